// Verifies and signs scheme v1a (ed25519) with Node's own cryptography and with the npm package tweetnacl, neither of
// which is OpenSSL's code for it alone: tweetnacl is written in JavaScript.
//
// stdin {"requests": [{"headers": {}, "body": TEXT, "key": whpk_..., "jwks": {"keys": [...]}}...],
//        "messages": [{"id": TEXT, "timestamp": seconds, "body": TEXT, "key": whsk_...}...]}
// stdout {"requests": [{"node": boolean, "tweetnacl": boolean, "jwks": boolean}...], "messages": [{"node": SIGNATURE,
//        "tweetnacl": SIGNATURE}...]}

import crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import nacl from 'tweetnacl';

const bytesOf = (key) => Buffer.from(key.replace(/^wh[sp]k_/, ''), 'base64');
const jwkOf = (x, d) => ({ kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url'), ...(d && { d: d.toString('base64url') }) });

function verify({ headers, body, key, jwks }) {
  const content = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`);
  const signatures = headers['webhook-signature']
    .split(' ')
    .filter((signature) => signature.startsWith('v1a,'))
    .map((signature) => Buffer.from(signature.slice(4), 'base64'));
  const byNode = (jwk) => {
    const publicKey = crypto.createPublicKey({ key: jwk, format: 'jwk' });
    return signatures.some((signature) => crypto.verify(null, content, publicKey, signature));
  };
  return {
    node: byNode(jwkOf(bytesOf(key))),
    tweetnacl: signatures.some((signature) => nacl.sign.detached.verify(content, signature, bytesOf(key))),
    jwks: jwks.keys.some(byNode),
  };
}

function sign({ id, timestamp, body, key }) {
  const content = Buffer.from(`${id}.${timestamp}.${body}`);
  const pair = bytesOf(key);
  const privateKey = crypto.createPrivateKey({ key: jwkOf(pair.subarray(32), pair.subarray(0, 32)), format: 'jwk' });
  const spell = (signature) => `v1a,${Buffer.from(signature).toString('base64')}`;
  return { node: spell(crypto.sign(null, content, privateKey)), tweetnacl: spell(nacl.sign.detached(content, pair)) };
}

const { requests, messages } = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify({ requests: requests.map(verify), messages: messages.map(sign) }));
