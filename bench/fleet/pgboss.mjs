// pg-boss, with what its documentation has for many small jobs: batches, fetched on as long as they come back full.
//   pgboss.mjs fill JOBS URL      stores so many
//   pgboss.mjs drain JOBS URL     works them off
import { PgBoss } from "pg-boss";
import { arguments_of_a_job, measured, report } from "./measured.mjs";

const [what, count, connectionString] = process.argv.slice(2);
const jobs = Number(count);
const boss = new PgBoss({ connectionString });
boss.on("error", (error) => {
  throw error;
});
await boss.start();
await boss.createQueue("noop");

if (what === "fill")
  for (let i = 0; i < jobs; i += 1000)
    await boss.insert("noop", Array.from({ length: Math.min(1000, jobs - i) }, () => ({ data: arguments_of_a_job() })));
if (what === "drain") {
  const options = { batchSize: 1000, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5, localConcurrency: 2 };
  await measured("pg-boss", jobs, (ended) => boss.work("noop", options, async (batch) => ended(batch.length)));
}
report();
