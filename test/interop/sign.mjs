// Signs with the npm packages standardwebhooks and svix.
//
// stdin [{"id": TEXT, "timestamp": seconds, "body": TEXT, "secret": TEXT}...]
// stdout [{"standardwebhooks": SIGNATURE, "svix": SIGNATURE}...]

import { readFileSync } from 'node:fs';
import { verifiers } from './packages.mjs';

const messages = JSON.parse(readFileSync(0, 'utf8'));
console.log(
  JSON.stringify(
    messages.map(({ id, timestamp, body, secret }) =>
      Object.fromEntries(
        Object.entries(verifiers).map(([name, Webhook]) => [
          name,
          new Webhook(secret).sign(id, new Date(timestamp * 1000), body),
        ]),
      ),
    ),
  ),
);
