// store.mjs - an object store for one bucket, as far as PUT by AWS Signature Version 4 goes.
//
//   node store.mjs PORT_FILE FOLDER REGION ACCESS_KEY SECRET_KEY
//
// An object is a file below FOLDER. What is not signed as the store itself would sign it gets 403. Ends with its input.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';

const [portFile, folder, region, accessKey, secretKey] = process.argv.slice(2);
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
function signature(request, signed, date) {
	const day = date.slice(0, 8);
	const canonical = [request.method, request.url, '', ...signed.map((name) => `${name}:${request.headers[name].trim()}`), '',
		signed.join(';'), request.headers['x-amz-content-sha256']].join('\n');
	const scope = `${day}/${region}/s3/aws4_request`;
	const text = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
	const key = [day, region, 's3', 'aws4_request'].reduce(hmac, `AWS4${secretKey}`);
	return { credential: `${accessKey}/${scope}`, value: hmac(key, text).toString('hex') };
}

function isSigned(request) {
	const pattern = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
	const [, credential, names, value] = pattern.exec(request.headers.authorization ?? '') ?? [];
	if (value === undefined || !/(^|;)x-amz-content-sha256(;|$)/.test(names)) return false;
	const expected = signature(request, names.split(';'), request.headers['x-amz-date'] ?? '');
	return credential === expected.credential && timingSafeEqual(Buffer.from(value), Buffer.from(expected.value));
}

const server = createServer((request, response) => {
	const parts = [];
	request.on('data', (part) => parts.push(part));
	request.on('end', () => {
		const isRight = request.method === 'PUT' && isSigned(request);
		if (isRight) {
			const file = join(folder, request.url);
			mkdirSync(dirname(file), { recursive: true });
			writeFileSync(`${file}.new`, Buffer.concat(parts));
			renameSync(`${file}.new`, file);
		}
		response.writeHead(isRight ? 200 : 403).end();
	});
});

server.listen(0, '127.0.0.1', () => {
	writeFileSync(`${portFile}.new`, String(server.address().port));
	renameSync(`${portFile}.new`, portFile);
});
process.stdin.on('end', () => process.exit(0)).resume();
