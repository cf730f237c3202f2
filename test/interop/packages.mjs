// The libraries of others that verify and sign webhooks, by name.

import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';

export const verifiers = { standardwebhooks: StandardWebhook, svix: SvixWebhook };
