// What both peers do for an event: a POST like ours, with the same headers and signature.
import { createHmac } from 'node:crypto'
import { Pool } from 'undici'

export const inFlight = 64
const key = Buffer.alloc(32)
const target = new URL(process.env.SINK_URL)
const client = new Pool(target.origin, { connections: inFlight, pipelining: 1, keepAliveTimeout: 60_000 })

export async function send(id, data) {
  const timestamp = Math.floor(Date.now() / 1000)
  const body = JSON.stringify({ id, type: 'bench.message', timestamp: new Date().toISOString(), data })
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  const response = await client.request({
    path: target.pathname,
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'bm_webhook/bench',
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': `v1,${signature}`,
      'bm-webhook-attempt': '1',
    },
  })
  await response.body.dump()
  if (response.statusCode >= 300) throw new Error(`the sink answered ${response.statusCode}`)
}

export const closeClient = () => client.close()
