// pg-boss: "prepare" makes its schema and queue, "drain" sends what waits and ends when all of it is recorded.
// Its best settings: no polling interval, batches of 1,000 that are completed by one statement, two at a time.
import PgBoss from 'pg-boss'
import { closeClient, send } from './sending.mjs'

const batches = 2
const boss = new PgBoss({ host: process.env.PGHOST, port: Number(process.env.PGPORT), user: process.env.PGUSER,
  database: process.env.PGDATABASE, max: 10, supervise: false, schedule: false })
boss.on('error', (error) => console.error(error))
await boss.start()

async function drain() {
  for (;;) {
    const jobs = await boss.fetch('bench', { batchSize: 1000 })
    if (jobs.length === 0) return
    await Promise.all(jobs.map((job) => send(job.id, job.data)))
    await boss.complete('bench', jobs.map((job) => job.id))
  }
}

if (process.argv[2] === 'prepare') await boss.createQueue('bench')
else await Promise.all(Array.from({ length: batches }, drain))
await closeClient()
await boss.stop({ graceful: false })
