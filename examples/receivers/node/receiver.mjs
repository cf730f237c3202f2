// A receiver of webhooks in Node:
//
//   npm install && WEBHOOK_SECRET=whsec_... PORT=8080 INBOX=inbox node receiver.mjs
//
// 200: the answer to a challenge, which proves that this URL wants webhooks.
// 204: taken, or taken before. 401: not from the sender, or too old. Anything
// else makes the sender try again. The folder INBOX gets one file for each event.

import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';

const { WEBHOOK_SECRET: secret = '', PORT: port = '8080', INBOX: inbox = 'inbox' } = process.env;
const webhook = new Webhook(secret);
const maxBody = 1024 * 1024;

// The bytes as they came: what JSON.parse and JSON.stringify make of them has another signature.
async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    if ((size += chunk.length) > maxBody) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function isVerified(headers, body) {
  try {
    webhook.verify(body, headers, { jsonParse: false }); // signature, and age up to 5 minutes
    return /^[\w-]{1,64}$/.test(headers['webhook-id']); // it becomes the name of a file
  } catch {
    return false;
  }
}

// False when this event is here already: link() makes the file as a whole, and only once.
async function keep(id, body) {
  const temporary = join(inbox, `.${id}.${randomUUID()}`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(body);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, join(inbox, `${id}.json`));
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

// The status of the answer, and its body if it has one.
async function receive(request) {
  if (request.method !== 'POST') return [405];
  const body = await readBody(request);
  if (body === null) return [413];
  if (!isVerified(request.headers, body)) return [401];
  const event = JSON.parse(body);
  if (event.type === 'webhook.verification') return [200, event.data.challenge];
  if (await keep(request.headers['webhook-id'], body)) {
    console.log(`new event ${event.type}`); // do the work here, or read the inbox later
  }
  return [204];
}

const server = createServer(async (request, response) => {
  try {
    const [status, answer] = await receive(request);
    response.writeHead(status).end(answer);
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});

mkdirSync(inbox, { recursive: true });
server.listen(Number(port), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
