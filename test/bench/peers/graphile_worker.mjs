// graphile-worker: "prepare" makes its schema, "drain" sends what waits and ends when all of it is recorded.
// Its best settings: jobs are fetched and completed in batches.
import pg from 'pg'
import { Logger, makeWorkerUtils, runOnce } from 'graphile-worker'
import { closeClient, inFlight, send } from './sending.mjs'

const pgPool = new pg.Pool({ max: inFlight + 6 })
pgPool.on('error', console.error)
pgPool.on('connect', (client) => client.on('error', console.error))

if (process.argv[2] === 'prepare') {
  const utils = await makeWorkerUtils({ pgPool })
  await utils.migrate()
  await utils.release()
} else {
  const quiet = { error: console.error, warning: console.error, info() {}, debug() {} }
  await runOnce({
    pgPool,
    logger: new Logger(() => (level, message) => quiet[level]?.(message)),
    preset: { worker: { concurrentJobs: inFlight, localQueue: { size: 1000 }, completeJobBatchDelay: 5, failJobBatchDelay: 5 } },
    taskList: { bench: (payload, helpers) => send(`msg_${helpers.job.id}`, payload) },
  })
}
await closeClient()
await pgPool.end()
