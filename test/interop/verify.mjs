// Verifies requests with the npm packages standardwebhooks and svix.
//
// stdin [{"headers": {}, "body": TEXT, "secret": TEXT}...]
// stdout [{"standardwebhooks": "verified" or why not, "svix": the same}...]

import { readFileSync } from 'node:fs';
import { verifiers } from './packages.mjs';

function verify(Webhook, { headers, body, secret }) {
  try {
    new Webhook(secret).verify(body, headers);
    return 'verified';
  } catch (error) {
    return error.message;
  }
}

const requests = JSON.parse(readFileSync(0, 'utf8'));
console.log(
  JSON.stringify(
    requests.map((request) =>
      Object.fromEntries(Object.entries(verifiers).map(([name, Webhook]) => [name, verify(Webhook, request)])),
    ),
  ),
);
