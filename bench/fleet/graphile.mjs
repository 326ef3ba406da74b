// graphile-worker as its documentation recommends for throughput: a local queue, batched completion.
import { run, makeWorkerUtils } from "graphile-worker";

const jobs = Number(process.argv[2]);
const connectionString = process.argv[3];

const utils = await makeWorkerUtils({ connectionString });
await utils.migrate();
const batch = 1000;
for (let i = 0; i < jobs; i += batch)
  await utils.addJobs(Array.from({ length: batch }, () => ({ identifier: "noop", payload: { input: "object:films/tears/source.mp4" } })));

let done = 0;
let finish;
const finished = new Promise((resolve) => (finish = resolve));
const began = process.hrtime.bigint();
const runner = await run({
  connectionString,
  noHandleSignals: true,
  logger: new (await import("graphile-worker")).Logger(() => () => {}),
  taskList: {
    noop: async () => {
      if (++done === jobs) finish();
    },
  },
  preset: {
    worker: {
      concurrentJobs: 24,
      maxPoolSize: 10,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
});
await finished;
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
console.log(JSON.stringify({ what: "graphile-worker", jobs, jobs_per_second: Math.round(jobs / seconds) }));
await runner.stop();
process.exit(0);
