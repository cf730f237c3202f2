// receiver.mjs - a webhook receiver for tests, the demo and the examples.
//
//   node receiver.mjs --port 0 --port-file F [--log F.jsonl] [--secrets F.json]
//                     [--tls-key F --tls-cert F [--tls-client-ca F]] [--host 127.0.0.1]
//                     [--until-stdin-closes]
//
// One process stands for many endpoints. The path says how an endpoint behaves
// and what it is called; everything is counted by that name:
//
//   /ok/NAME              204
//   /fail/N/NAME          the first N requests of each webhook-id 500, then 204
//   /hang-after/N/NAME    the first N requests of each webhook-id 500, and no answer to others
//   /status/CODE/NAME     CODE, with a line of text
//   /partly/PERCENT/CODE/NAME  CODE for so many of all requests, 204 for the others
//   /text/CODE/N/NAME     CODE, with N bytes of text
//   /binary/CODE/NAME     CODE, with 512 bytes that are not text
//   /endless/NAME         200, and a body that does not end
//   /hang/NAME            reads the request and never answers
//   /slow/MS/NAME         204 after MS milliseconds
//   /reset/NAME           breaks the connection off
//   /close/NAME           204, and closes the connection
//   /bytes/BASE64URL/NAME these bytes in place of an answer, and closes the connection
//   /gone/NAME            410
//   /challenge/HOW/NAME   204, but for a challenge: HOW is plain or json (the value as such
//                         or as JSON), late (plain, when released), wrong (another value), echo
//                         (the request's body) or a status with the value
//   /redirect/CODE/NAME   CODE with Location: /ok/NAME-redirected
//   /retry-after/S/NAME   the first request of each webhook-id 503 with
//                         Retry-After: S, then 204
//   /retry-date/S/NAME    the same with a date, S seconds from now, rounded up
//   /faulty/PERCENT/NAME  204, and each fault of faults.mjs for so many of all requests
//
// A request whose signature does not verify gets 401, whatever the path says.
// Signatures are verified by the npm package standardwebhooks, once the secrets
// of a name are known; with several, the request must be signed with each.
//
// Control is by GET, over plain HTTP, and answers JSON where not said otherwise:
//
//   /_control/counts[?name=N]             see counts() below; all names without one
//   /_control/silent                      connections that brought no request
//   /_control/requests?name=N             the first requests, with headers and body
//   /_control/arrivals?name=N             text: "webhook-id time status opened" a line;
//                                         status 0: not answered (yet); opened: when
//                                         its connection was; times in us
//   /_control/behave?name=N[&as=PATH]     behave as the path says, e.g. as=status/500;
//                                         without `as` as the request's path says
//   /_control/release?name=N              answers everything that hangs, with 204
//   /_control/secret?name=N&secret=S...   the secrets of a name, replacing
//   /_control/keep?name=N&requests=K      keep headers and bodies of the first K (100)
//   /_control/faults?on=B                 1: faults begin, also those of connections; 0: no more
//   /_control/reset[?name=N]              forget counts and requests, not secrets
//
// --secrets is {"NAME": "whsec_..." or ["whsec_...", ...]}. --log gets a line of
// JSON for each request when it has been answered or broken off, with its fault if it
// had one, and with the body while those of its name are kept; and one for each fault of a connection. The port file gets the port, and with TLS on
// a second line the port of HTTPS; it appears when both are open. SIGTERM ends it
// at once, and so does the end of stdin if asked, so that it outlives no test.

import { createWriteStream, readFileSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { parseArgs } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { answerFaultily, isBroken, switchFaults } from './faults.mjs';

const KEEP = 100; // requests of a name that are kept whole

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'port-file': { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    log: { type: 'string' },
    secrets: { type: 'string' },
    'tls-key': { type: 'string' },
    'tls-cert': { type: 'string' },
    'tls-client-ca': { type: 'string' },
    'until-stdin-closes': { type: 'boolean', default: false },
  },
});

const log = options.log ? createWriteStream(options.log, { flags: 'a' }) : null;

// ---------------------------------------------------------------------------
// What is known of each name
// ---------------------------------------------------------------------------

const names = new Map();
let silent = 0; // connections that have brought no request (yet)

class Name {
  webhooks = [];
  override = null; // a behaviour that replaces the path's
  keep = KEEP;
  open = 0; // connections now
  inFlight = 0;
  hanging = new Set(); // responses that wait for release

  constructor(name) {
    this.name = name;
    this.reset();
  }

  reset() {
    this.arrivals = [];
    this.kept = [];
    this.seen = new Map(); // webhook-id → { requests, delivered }
    this.delivered = 0;
    this.duplicates = 0;
    this.verified = 0;
    this.badSignatures = 0;
    this.connections = 0;
    this.peakConnections = this.open;
    this.peakInFlight = this.inFlight;
    this.statuses = {};
  }

  counts() {
    return {
      requests: this.arrivals.length,
      distinct: this.seen.size, // webhook-ids
      delivered: this.delivered, // webhook-ids that were answered 2xx
      duplicates: this.duplicates, // 2xx answers beyond the first of a webhook-id
      verified: this.verified, // requests whose signature was right
      bad_signatures: this.badSignatures,
      connections: this.connections, // whose first request was for this name
      open_connections: this.open,
      peak_connections: this.peakConnections,
      in_flight: this.inFlight,
      peak_in_flight: this.peakInFlight,
      statuses: this.statuses,
    };
  }
}

function nameOf(name) {
  let state = names.get(name);
  if (!state) names.set(name, (state = new Name(name)));
  return state;
}

function setSecrets(name, secrets) {
  nameOf(name).webhooks = secrets.map((secret) => new Webhook(secret));
}

// ---------------------------------------------------------------------------
// Behaviours: each answers an exchange { name, id, nth, response, arguments }
// ---------------------------------------------------------------------------

const TEXT = { 'content-type': 'text/plain; charset=utf-8' };

const behaviours = {
  ok: { arguments: 0, answer: (exchange) => reply(exchange, 204) },
  fail: {
    arguments: 1,
    answer: (exchange) => (exchange.nth <= Number(exchange.arguments[0]) ? fail(exchange) : reply(exchange, 204)),
  },
  status: { arguments: 1, answer: answerStatus },
  partly: { arguments: 2, answer: answerPartly },
  text: {
    arguments: 2,
    answer: (exchange) =>
      reply(exchange, Number(exchange.arguments[0]), TEXT, 'text '.repeat(exchange.arguments[1] / 5 + 1).slice(0, exchange.arguments[1])),
  },
  binary: {
    arguments: 1,
    answer: (exchange) =>
      reply(exchange, Number(exchange.arguments[0]), { 'content-type': 'application/octet-stream' }, Buffer.from(Array.from({ length: 512 }, (_, i) => i & 255))),
  },
  endless: { arguments: 0, answer: answerEndlessly },
  hang: { arguments: 0, answer: (exchange) => hang(exchange) },
  'hang-after': { arguments: 1, answer: (exchange) => (exchange.nth <= Number(exchange.arguments[0]) ? fail(exchange) : hang(exchange)) },
  slow: {
    arguments: 1,
    answer: (exchange) => setTimeout(() => reply(exchange, 204), Number(exchange.arguments[0])),
  },
  reset: { arguments: 0, answer: (exchange) => exchange.response.socket.resetAndDestroy() },
  close: { arguments: 0, answer: (exchange) => reply(exchange, 204, { connection: 'close' }) },
  bytes: { arguments: 1, answer: (exchange) => exchange.response.socket?.end(Buffer.from(exchange.arguments[0], 'base64url')) },
  challenge: { arguments: 1, answer: answerChallenge },
  gone: { arguments: 0, answer: (exchange) => reply(exchange, 410, TEXT, 'gone\n') },
  redirect: {
    arguments: 1,
    answer: (exchange) => reply(exchange, Number(exchange.arguments[0]), { location: `/ok/${exchange.name.name}-redirected` }),
  },
  'retry-after': { arguments: 1, answer: (exchange) => holdOff(exchange, exchange.arguments[0]) },
  'retry-date': {
    arguments: 1,
    answer: (exchange) => holdOff(exchange, new Date(Date.now() + exchange.arguments[0] * 1000 + 999).toUTCString()),
  },
  faulty: { arguments: 1, answer: (exchange) => answerFaultily(exchange, { reply }) },
};

function answerChallenge(exchange) {
  const event = JSON.parse(exchange.body);
  const how = exchange.arguments[0];
  const value = event.data?.challenge;
  if (event.type !== 'webhook.verification') return reply(exchange, 204);
  if (how === 'late') return hang(exchange, () => reply(exchange, 200, TEXT, value));
  const answers = { plain: `${value}\n`, json: JSON.stringify({ challenge: value }), wrong: value.replace(/^./, 'x'), echo: exchange.body };
  reply(exchange, Number(how) || 200, TEXT, answers[how] ?? value);
}

function fail(exchange) {
  reply(exchange, 500, TEXT, `failure ${exchange.nth} on purpose\n`);
}

/** Not by chance, and not the same ones of each batch. */
function answerPartly(exchange) {
  const [percent, code] = exchange.arguments.map(Number);
  const nth = (exchange.name.partly = (exchange.name.partly ?? 0) + 1);
  if ((nth * 61) % 100 < percent) reply(exchange, code, TEXT, `${code} now and then\n`);
  else reply(exchange, 204);
}

function answerStatus(exchange) {
  const code = Number(exchange.arguments[0]);
  if (code === 204 || code === 304) reply(exchange, code);
  else reply(exchange, code, TEXT, `status ${code} for ${exchange.name.name}\n`);
}

function answerEndlessly(exchange) {
  const chunk = Buffer.alloc(16384, 'endless ');
  record(exchange, 200);
  exchange.response.writeHead(200, TEXT);
  const write = () => {
    if (exchange.response.destroyed) return;
    if (exchange.response.write(chunk)) setImmediate(write);
    else exchange.response.once('drain', write);
  };
  write();
}

function hang(exchange, release = () => reply(exchange, 204)) {
  exchange.release = release;
  exchange.name.hanging.add(exchange);
  exchange.response.on('close', () => exchange.name.hanging.delete(exchange));
}

function holdOff(exchange, value) {
  if (exchange.nth === 1) reply(exchange, 503, { 'retry-after': value });
  else reply(exchange, 204);
}

function reply(exchange, status, headers, body) {
  if (exchange.response.destroyed) return;
  record(exchange, status);
  exchange.response.writeHead(status, headers);
  exchange.response.end(body);
}

// Counts an answer at the moment when it is given.
function record({ name, id, arrival }, status) {
  arrival.status = status;
  name.statuses[status] = (name.statuses[status] ?? 0) + 1;
  if (status < 200 || status > 299) return;
  const seen = name.seen.get(id);
  if (!seen) return; // forgotten by a reset in the meantime
  if (seen.delivered++ === 0) name.delivered++;
  else name.duplicates++;
}

// "fail/2/NAME" → { behaviour, arguments, rest: ["NAME"] }; null when unknown.
function parseBehaviour(path) {
  const [first, ...rest] = path.split('/');
  const behaviour = Object.hasOwn(behaviours, first) ? behaviours[first] : null;
  if (!behaviour || rest.length < behaviour.arguments) return null;
  return {
    behaviour,
    arguments: rest.slice(0, behaviour.arguments),
    rest: rest.slice(behaviour.arguments),
  };
}

const routes = new Map(); // path → route, because paths repeat

function routeOf(url) {
  let route = routes.get(url);
  if (route !== undefined) return route;
  const parsed = parseBehaviour(decodeURI(url.split('?')[0]).slice(1));
  route = parsed && parsed.rest[0] ? { ...parsed, name: nameOf(parsed.rest[0]) } : null;
  routes.set(url, route);
  return route;
}

// ---------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------

function nowMicroseconds() {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

function handle(request, response) {
  const at = nowMicroseconds();
  if (!request.socket.isHeard) {
    request.socket.isHeard = true;
    silent--;
  }
  if (request.url.startsWith('/_control/')) return control(request, response);

  const route = routeOf(request.url);
  if (!route) {
    request.resume();
    response.writeHead(404).end();
    return;
  }
  countConnection(request.socket, route.name);
  countInFlight(response, route.name);

  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    take(request, response, route, at, body);
  });
}

function take(request, response, route, at, body) {
  const { name } = route;
  const id = request.headers['webhook-id'] ?? '';
  const seen = name.seen.get(id) ?? { requests: 0, delivered: 0 };
  name.seen.set(id, seen);
  seen.requests++;

  const arrival = { id, at, status: 0, opened: request.socket.openedAt };
  name.arrivals.push(arrival);

  const verified = verify(name, request.headers, body);
  if (verified) name.verified++;
  const isKept = name.kept.length < name.keep;
  if (isKept) {
    name.kept.push({
      at_us: at,
      method: request.method,
      path: request.url,
      headers: request.headers,
      body: body.toString(),
      verified,
      from: request.socket.remoteAddress,
      to: request.socket.localAddress,
    });
  }

  const { behaviour, arguments: values } = name.override ?? route;
  const exchange = { name, id, nth: seen.requests, arrival, response, arguments: values, body: body.toString() };
  if (log) response.on('close', () => writeLog(exchange, request, isKept ? body : null, verified));

  if (verified === false) {
    name.badSignatures++;
    reply(exchange, 401, TEXT, 'the signature does not verify\n');
  } else {
    behaviour.answer(exchange);
  }
}

// true, false, or null when there is nothing to verify with.
function verify(name, headers, body) {
  if (name.webhooks.length === 0) return null;
  try {
    for (const webhook of name.webhooks) webhook.verify(body, headers, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}

function countConnection(socket, name) {
  if (socket.firstName) return;
  socket.firstName = name;
  name.connections++;
  name.open++;
  name.peakConnections = Math.max(name.peakConnections, name.open);
  socket.on('close', () => name.open--);
}

function countInFlight(response, name) {
  name.inFlight++;
  if (name.inFlight > name.peakInFlight) name.peakInFlight = name.inFlight;
  response.on('close', () => name.inFlight--);
}

function writeLog({ name, id, arrival, fault }, request, body, verified) {
  log.write(
    JSON.stringify({
      at_us: arrival.at,
      name: name.name,
      path: request.url,
      id,
      attempt: Number(request.headers['bm-webhook-attempt'] ?? 0),
      status: arrival.status,
      verified,
      fault,
      body: body?.toString(),
    }) + '\n',
  );
}

function logFault(fault) {
  log?.write(JSON.stringify({ at_us: nowMicroseconds(), fault }) + '\n');
}

// ---------------------------------------------------------------------------
// Control
// ---------------------------------------------------------------------------

const controls = {
  counts: (query) =>
    query.has('name')
      ? nameOf(query.get('name')).counts()
      : Object.fromEntries([...names.values()].map((name) => [name.name, name.counts()])),
  silent: () => ({ silent }),
  requests: (query) => nameOf(required(query, 'name')).kept,
  arrivals: (query) =>
    nameOf(required(query, 'name'))
      .arrivals.map(({ id, at, status, opened }) => `${id} ${at} ${status} ${opened}\n`)
      .join(''),
  behave: (query) => {
    const name = nameOf(required(query, 'name'));
    const parsed = query.has('as') ? parseBehaviour(query.get('as')) : null;
    if (query.has('as') && !parsed) throw new Error(`no behaviour "${query.get('as')}"`);
    name.override = parsed;
    return {};
  },
  release: (query) => {
    const { hanging } = nameOf(required(query, 'name'));
    const released = hanging.size;
    for (const exchange of hanging) exchange.release();
    return { released };
  },
  secret: (query) => {
    setSecrets(required(query, 'name'), query.getAll('secret'));
    return {};
  },
  keep: (query) => {
    nameOf(required(query, 'name')).keep = Number(required(query, 'requests'));
    return {};
  },
  faults: (query) => {
    switchFaults(required(query, 'on') === '1', servers, logFault);
    return {};
  },
  reset: (query) => {
    for (const name of query.has('name') ? [nameOf(query.get('name'))] : names.values()) name.reset();
    return {};
  },
};

function required(query, key) {
  if (!query.has(key)) throw new Error(`"${key}" is missing`);
  return query.get(key);
}

function control(request, response) {
  request.resume();
  const { pathname, searchParams } = new URL(request.url, 'http://receiver');
  const command = pathname.slice('/_control/'.length);
  try {
    if (!Object.hasOwn(controls, command)) throw new Error(`no control "${command}"`);
    const answer = controls[command](searchParams);
    if (typeof answer === 'string') response.writeHead(200, TEXT).end(answer);
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  } catch (error) {
    response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: error.message }));
  }
}

// ---------------------------------------------------------------------------
// Start and end
// ---------------------------------------------------------------------------

// Connections stay open as long as the sender likes: the tests count them.
const servers = [];

function open(server, port) {
  const isTls = server instanceof https.Server;
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  server.prependListener('connection', (socket) => {
    if (isBroken(socket, isTls, logFault)) return;
    if (!isTls) welcome(socket);
  });
  if (isTls) server.on('secureConnection', welcome);
  const listen = (then) => server.listen({ port: server.lastPort ?? port, host: options.host, backlog: 4096 }, then);
  servers.push({ server, listen: () => listen() });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    listen(() => resolve((server.lastPort = server.address().port)));
  });
}

function welcome(socket) {
  socket.openedAt = nowMicroseconds();
  silent++;
}

if (options.secrets) {
  for (const [name, secrets] of Object.entries(JSON.parse(readFileSync(options.secrets, 'utf8')))) {
    setSecrets(name, [secrets].flat());
  }
}

const ports = [await open(http.createServer(handle), Number(options.port))];

if (options['tls-key']) {
  const tls = { key: readFileSync(options['tls-key']), cert: readFileSync(options['tls-cert']) };
  // clients have to show a certificate of this authority
  if (options['tls-client-ca']) Object.assign(tls, { ca: readFileSync(options['tls-client-ca']), requestCert: true });
  ports.push(await open(https.createServer(tls, handle), 0));
}

if (options['port-file']) {
  writeFileSync(`${options['port-file']}.tmp`, ports.join('\n') + '\n');
  renameSync(`${options['port-file']}.tmp`, options['port-file']);
} else {
  console.log(ports.join('\n'));
}

function end() {
  if (log) log.end(() => process.exit(0));
  else process.exit(0);
}

process.on('SIGTERM', end);
if (options['until-stdin-closes']) process.stdin.on('end', end).resume();
