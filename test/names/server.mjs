// A name server for tests: node server.mjs PORT_FILE. It ends with its standard input.
//
// The first label of a name says how it is answered; it and the number of the type follow each
// question on standard output. Knows A, AAAA and CNAME, UDP and TCP, no compression but of the
// name in question, and how to misbehave.

import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';

const A = 1, CNAME = 5, AAAA = 28;
const open = '127.0.0.2', closed = '127.0.0.1';
const asked = new Map(); // how often, by name and type

const many = (count, address) => Array.from({ length: count }, (_, i) => [A, address(i)]);
const zone = {
  good: () => [[A, open]],
  slow: () => [[A, open]],
  loopback: () => [[A, closed]],
  zero: () => [[A, '0.0.0.0']],
  metadata: () => [[A, '169.254.169.254']],
  private: () => [[A, '10.1.2.3']],
  six: () => [[AAAA, '0000:0000:0000:0000:0000:0000:0000:0001']],
  mapped: () => [[AAAA, '0000:0000:0000:0000:0000:ffff:7f00:0002']],
  nat64: () => [[AAAA, '0064:ff9b:0000:0000:0000:0000:7f00:0002']],
  sixtofour: () => [[AAAA, '2002:7f00:0002:0000:0000:0000:0000:0001']],
  local: () => [[AAAA, 'fd00:0ec2:0000:0000:0000:0000:0000:0254']],
  mixed: () => [[A, open], [A, closed]],
  mixedback: () => [[A, closed], [A, open]],
  mixedsix: () => [[AAAA, '0000:0000:0000:0000:0000:0000:0000:0001'], [A, open]],
  rebind: (times) => [[A, times === 1 ? open : closed]],
  chain: (_, rest) => [[CNAME, `link.${rest}`], [CNAME, `good.${rest}`, `link.${rest}`], [A, open, `good.${rest}`]],
  inward: (_, rest) => [[CNAME, `loopback.${rest}`], [A, closed, `loopback.${rest}`]],
  localhost: () => [[CNAME, 'localhost'], [A, closed, 'localhost']],
  loop: (_, rest) => [[CNAME, `loop.${rest}`]],
  dangling: (_, rest) => [[CNAME, `nothing.${rest}`]],
  huge: () => many(400, () => open),
  hugeinside: () => many(400, () => '10.1.2.3'),
  empty: () => [],
  other: () => [[A, open, 'somebody.else.example.com']],
};
const codes = { servfail: 2, nxdomain: 3, notimp: 4, refused: 5 };

function nameBytes(name) {
  return Buffer.concat([...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])]);
}

function addressBytes(type, text) {
  if (type === CNAME) return nameBytes(text);
  return type === A ? Buffer.from(text.split('.').map(Number)) : Buffer.from(text.replaceAll(':', ''), 'hex');
}

function record([type, value, owner]) {
  const bytes = addressBytes(type, value);
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(0, 4); // not to be kept
  head.writeUInt16BE(bytes.length, 8);
  return Buffer.concat([owner ? nameBytes(owner) : Buffer.from([0xc0, 12]), head, bytes]);
}

function read(query) {
  const labels = [];
  let at = 12;
  for (; query[at] !== 0; at += query[at] + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
  return { labels, type: query.readUInt16BE(at + 1), question: query.subarray(12, at + 5) };
}

// The answer, or undefined for none.
function answer(query, isTcp) {
  const { labels: [word, ...rest], type, question } = read(query);
  const key = `${word}/${type}`;
  if (word === 'never') return undefined;
  if (word === 'garbage') return Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(40, 0xc0)]);
  asked.set(key, (asked.get(key) ?? 0) + 1);
  const all = zone[word]?.(asked.get(key), rest.join('.')) ?? [];
  const records = all.filter(([kind]) => kind === type || kind === CNAME).map(record);
  const head = Buffer.alloc(12);
  const isCut = !isTcp && records.length > 20;
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8180 | (isCut ? 0x0200 : 0) | (codes[word] ?? (zone[word] ? 0 : 3)), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(isCut ? 0 : records.length, 6);
  return Buffer.concat([head, question, ...(isCut ? [] : records)]);
}

function reply(query, isTcp, send) {
  const { labels: [word], type } = read(query);
  process.stdout.write(`${word} ${type}\n`);
  const bytes = answer(query, isTcp);
  if (bytes) setTimeout(() => send(bytes), word === 'slow' ? 1500 : 0);
}

const udp = dgram.createSocket('udp4');
udp.on('message', (query, from) => reply(query, false, (bytes) => udp.send(bytes, from.port, from.address)));
const tcp = net.createServer((socket) => {
  let got = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    got = Buffer.concat([got, bytes]);
    while (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) {
      const end = 2 + got.readUInt16BE(0);
      reply(got.subarray(2, end), true, (answered) => {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answered.length, 0);
        socket.write(Buffer.concat([length, answered]));
      });
      got = got.subarray(end);
    }
  });
});
tcp.listen(0, '127.0.0.1', () => udp.bind(tcp.address().port, '127.0.0.1', () => {
  fs.writeFileSync(`${process.argv[2]}.new`, `${tcp.address().port}\n`);
  fs.renameSync(`${process.argv[2]}.new`, process.argv[2]);
}));
process.stdin.resume().on('end', () => process.exit());
