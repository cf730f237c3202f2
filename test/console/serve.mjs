// Serves console/web and the API of its pages, for the test of the pages alone: serve.mjs PORT
// PGHOST, PGPORT and PGDATABASE name the server. Each question is a psql of its own, as the role that has signed in.
import { createServer } from 'node:http';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';

const root = new URL('../../console/web/', import.meta.url).pathname;
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const questions = new Set('overview hour endpoints endpoint causes count_deliveries deliveries delivery event message message_rates delivery_rates event_types operations system preview session'.split(' '));
const actions = new Set('save_endpoint delete_endpoint pause resume ping redeliver redeliver_since recover cancel secret rotate_secret delete_secret set_aside put_back verify_endpoint'.split(' '));
const headers = { 'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'",
	'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' };
const sessions = new Map();

function ask(role, sql, a, isChange = false, then = '') {
	const input = `\\set ON_ERROR_STOP on\n\\set VERBOSITY verbose\nBEGIN ${isChange ? '' : 'READ ONLY'};\nSELECT ${sql} FROM (SELECT '${a.replaceAll("'", "''")}'::jsonb) x (a);\n${then}\nCOMMIT;\n`;
	return new Promise((resolve, reject) => {
		const child = execFile('psql', ['-XAtq', '-F', '\t'], { env: { ...process.env, PGUSER: role.user, PGPASSWORD: role.password }, maxBuffer: 1 << 26 }, (failure, out, err) => {
			if (!failure) return resolve(out.trimEnd());
			const [, sqlstate, message] = err.match(/(?:ERROR|FATAL):\s+(?:(\w{5}): )?(.*)/) ?? [];
			return reject({ sqlstate, message: message ?? 'wrong user or password', detail: err.match(/DETAIL:\s+(.*)/)?.[1], hint: err.match(/HINT:\s+(.*)/)?.[1] });
		});
		child.stdin.end(input);
	});
}

async function live(request, response, role) {
	let cursor = request.headers['last-event-id'];
	response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' });
	response.write(': open\n\n');
	while (!response.destroyed) {
		const [next, data] = (await ask(role, 't.cursor, t.data FROM bm_webhook.console_tail(x.a) t', JSON.stringify(cursor ? { cursor } : {})).catch(() => '\t'))
			.split('\t');
		if (!next) break;
		cursor = next;
		if (data) response.write(`id: ${cursor}\nevent: tail\ndata: ${data}\n\n`);
		await new Promise((resolve) => setTimeout(resolve, 1000));
	}
	response.end();
}

const body = async (request) => (await request.setEncoding('utf8').toArray()).join('');

async function api(request, response, name, url) {
	const json = (status, text, more = {}) => response.writeHead(status, { ...headers, 'content-type': 'application/json', ...more }).end(text);
	const fail = (error) => json(error.sqlstate === '42501' ? 403 : error.sqlstate === '42704' ? 404 : 422, JSON.stringify(error));
	if (name === 'login') {
		const role = JSON.parse(await body(request));
		await ask(role, '1', '{}');
		const id = randomBytes(32).toString('hex');
		sessions.set(id, { ...role, csrf: randomBytes(16).toString('hex') });
		return json(200, JSON.stringify({ csrf: sessions.get(id).csrf }), { 'set-cookie': `s=${id}; HttpOnly; SameSite=Strict; Path=/` });
	}
	const id = request.headers.cookie?.match(/s=(\w+)/)?.[1];
	const role = sessions.get(id);
	if (!role) return json(401, '{"sqlstate": "28000", "message": "sign in first"}');
	if (request.method === 'POST' && request.headers['x-csrf'] !== role.csrf) return json(403, '{"message": "no token"}');
	if (name === 'logout') return json(200, '{}', sessions.delete(id) && {});
	if (name === 'live') return live(request, response, role);
	const isChange = request.method === 'POST';
	const a = isChange ? await body(request) : url.searchParams.get('a') ?? '{}';
	if (name === 'export') return response.writeHead(200, { ...headers, 'content-type': 'text/plain' }).end((await ask(role, 'bm_webhook.console_export(x.a)', a, false, 'FETCH ALL FROM console_export;')).replace(/^.*\n?/, ''));
	if (!(isChange ? actions : questions).has(name)) return json(404, '{"message": "there is no such question"}');
	const answer = await ask(role, `bm_webhook.console_${name}(x.a)`, a, isChange).catch((error) => { fail(error); });
	if (answer !== undefined) json(200, name === 'session' ? `{"csrf": "${role.csrf}", "session": ${answer}}` : answer);
	return undefined;
}

createServer(async (request, response) => {
	const url = new URL(request.url, 'http://localhost');
	try {
		if (url.pathname.startsWith('/api/')) return await api(request, response, url.pathname.slice(5), url);
		const path = extname(url.pathname) ? normalize(url.pathname) : '/index.html';
		return response.writeHead(200, { ...headers, 'content-type': types[extname(path)] }).end(await readFile(join(root, path)));
	} catch (error) {
		return response.headersSent ? response.end() : response.writeHead(error.sqlstate === undefined && error.message ? 401 : 404, headers).end(JSON.stringify({ message: error.message ?? String(error) }));
	}
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));
