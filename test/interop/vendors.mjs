// Verifies requests with the libraries of those whose schemes they are: @octokit/webhooks-methods (GitHub) and stripe;
// and, as Meta publishes none, as its documentation says, with Node's cryptography.
//
// stdin [{"header": TEXT, "body": TEXT, "secret": TEXT}...]
// stdout [{"octokit": boolean, "stripe": the event's id or why not, "meta": boolean, "hex": boolean}...]

import crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import { verify as octokit } from '@octokit/webhooks-methods';
import Stripe from 'stripe';

const stripe = new Stripe('sk_test_unused');

function byStripe(body, header, secret) {
  try {
    return stripe.webhooks.constructEvent(body, header, secret).id;
  } catch (error) {
    return error.message;
  }
}

async function verify({ header, body, secret }) {
  const digits = crypto.createHmac('sha256', secret).update(body).digest('hex');
  return {
    octokit: await octokit(secret, body, header).catch(() => false),
    stripe: byStripe(body, header, secret),
    meta: header.startsWith('sha256=') && crypto.timingSafeEqual(Buffer.from(header.slice(7)), Buffer.from(digits)),
    hex: header === digits,
  };
}

const requests = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(await Promise.all(requests.map(verify))));
