// A chatbot: takes questions as webhooks and answers through SQL.
//
//   npm install && WEBHOOK_SECRET=whsec_... PORT=8080 node bot.mjs
//
// The database is the one of psql (PGHOST, PGDATABASE ...). Deduplication is the
// database's: bot.reply() gives one answer to one webhook-id.

import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const { WEBHOOK_SECRET: secret = '', PORT: port = '8080' } = process.env;
const webhook = new Webhook(secret);
const maxBody = 1024 * 1024;

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    if ((size += chunk.length) > maxBody) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

// What people write enters the command in hexadecimal: nothing in it is SQL.
function text(value) {
  return `convert_from('\\x${Buffer.from(value).toString('hex')}', 'UTF8')`;
}

function query(sql) {
  return new Promise((resolve, reject) => {
    const psql = spawn('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let output = '';
    psql.stdout.on('data', (chunk) => (output += chunk));
    psql.on('error', reject);
    psql.on('close', (code) => (code === 0 ? resolve(output.trim()) : reject(new Error(`psql ended with ${code}`))));
    psql.stdin.on('error', reject);
    psql.stdin.end(sql);
  });
}

async function receive(request) {
  if (request.method !== 'POST') return 405;
  const body = await readBody(request);
  if (body === null) return 413;
  try {
    webhook.verify(body, request.headers, { jsonParse: false });
  } catch {
    return 401;
  }
  const isNew = await query(`SELECT bot.reply(${text(request.headers['webhook-id'])}, ${text(body)}::jsonb)`);
  console.log(isNew === 't' ? 'answered' : 'answered before');
  return 204;
}

const server = createServer(async (request, response) => {
  try {
    response.writeHead(await receive(request)).end();
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});

server.listen(Number(port), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
