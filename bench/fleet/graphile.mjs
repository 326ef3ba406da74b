// graphile-worker, with what its documentation recommends.
//   graphile.mjs fill JOBS URL       stores so many
//   graphile.mjs drain JOBS URL      works them off: a local queue and batched completion, as in its page on performance
//   graphile.mjs serve - URL         waits for jobs until its stdin ends; how long they waited for their handler
//   graphile.mjs trickle JOBS URL    brings those, one by one
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { arguments_of_a_job, measured, now, patiently, pickups, report } from "./measured.mjs";

const [what, count, connectionString] = process.argv.slice(2);
const jobs = Number(count);
const options = { connectionString, noHandleSignals: true, logger: new Logger(() => () => {}) };
const a_job = () => ({ identifier: "noop", payload: arguments_of_a_job() });
const fast = { concurrentJobs: 24, maxPoolSize: 25, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
const work = (noop, worker) => run({ ...options, taskList: { noop }, preset: { worker } });

if (what === "fill") {
  const utils = await makeWorkerUtils(options);
  await utils.migrate();
  for (let i = 0; i < jobs; i += 1000) await utils.addJobs(Array.from({ length: Math.min(1000, jobs - i) }, a_job));
}
if (what === "drain") await measured("graphile-worker", jobs, (ended) => work(async () => ended(1), fast));
if (what === "serve") {
  const waited = pickups();
  await work(async ({ at }) => waited.add(at), { concurrentJobs: 8 });
  await waited.until_told();
}
if (what === "trickle") {
  const utils = await makeWorkerUtils(options);
  await patiently(jobs, () => utils.addJob("noop", { ...arguments_of_a_job(), at: now() }));
}
report();
