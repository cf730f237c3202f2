// faults.mjs - what receiver.mjs does wrong now and then, for a sender that must not lose anything by it.
//
// /faulty/PERCENT/NAME does each of these to so many of all requests, and answers the others with 204. To connections it does
// two more, as long as switchFaults(true) holds: of those that bring no request yet it breaks some off, in plain text where
// TLS is expected, and every ten seconds nobody listens for a tenth of one.

const answers = {
  'refuses with 500': (exchange, by) => by.reply(exchange, 500),
  'refuses with 503': (exchange, by) => by.reply(exchange, 503),
  '429 with Retry-After': (exchange, by) => by.reply(exchange, 429, { 'retry-after': '1' }),
  'never answers': () => {},
  'reset after the request': ({ response }) => reset(response.socket),
  'reset in the answer': ({ response }) => raw(response, 'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf', reset),
  'truncated answer': ({ response }) => raw(response, 'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf', end),
  'a byte at a time': ({ response }) => trickle(response),
  'no HTTP': ({ response }) => raw(response, 'SSH-2.0-OpenSSH_9.2\r\n', end),
  'late answer': (exchange, by) => setTimeout(() => by.reply(exchange, 204), 300),
  'closes the connection': (exchange, by) => by.reply(exchange, 204, { connection: 'close' }),
};
const kinds = Object.keys(answers);

const BROKEN_EVERY = 20; // of the connections that are opened with TLS, and of those without
const DEAF_EVERY_MS = 10000;
const DEAF_FOR_MS = 100;

let timer = null;
const opened = { true: 0, false: 0 };

/** Sends these bytes past the HTTP server, and then ends the connection this way. */
function raw({ socket }, bytes, then) {
  socket?.write(bytes, () => then(socket));
}

const end = (socket) => socket.end();

/** Node.js resets a connection without TLS alone; the other one ends without a word. */
function reset(socket) {
  if (socket?.encrypted) socket.destroy();
  else socket?.resetAndDestroy();
}

function trickle(response) {
  const { socket } = response;
  const text = `HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(10000)}`;
  let at = 0;
  const next = setInterval(() => {
    if (!socket || socket.destroyed) clearInterval(next);
    else socket.write(text[at++]);
  }, 20);
}

/** The fault of this request, if it has one; tells it `by` whoever can answer. */
export function answerFaultily(exchange, by) {
  const nth = Math.floor((Math.random() * 100) / Number(exchange.arguments[0]));
  if (!timer) return by.reply(exchange, 204);
  if (nth >= kinds.length) return by.reply(exchange, 204);
  exchange.fault = kinds[nth];
  answers[kinds[nth]](exchange, by);
}

/** Whether this new connection is broken off; it is told what was done to it. */
export function isBroken(socket, isTls, tell) {
  if (!timer || ++opened[isTls] % BROKEN_EVERY !== BROKEN_EVERY / 2) return false;
  if (isTls) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  else reset(socket);
  tell(isTls ? 'no TLS' : 'reset before the request');
  return true;
}

/** servers: [{ server, listen() }] */
export function switchFaults(on, servers, tell) {
  if (timer) clearInterval(timer);
  timer = on ? setInterval(() => beDeaf(servers, tell), DEAF_EVERY_MS) : null;
}

function beDeaf(servers, tell) {
  tell('refused');
  for (const { server, listen } of servers) {
    server.close();
    server.closeIdleConnections();
    setTimeout(listen, DEAF_FOR_MS);
  }
}
