// BullMQ, with what its documentation recommends: jobs in bulk, high concurrency, ended jobs removed.
//   bullmq.mjs fill JOBS URL      stores so many
//   bullmq.mjs drain JOBS URL     works them off
import { Queue, Worker } from "bullmq";
import { arguments_of_a_job, measured, report } from "./measured.mjs";

const [what, count, url] = process.argv.slice(2);
const jobs = Number(count);
const connection = { host: "127.0.0.1", port: Number(new URL(url).port), maxRetriesPerRequest: null };

if (what === "fill") {
  const queue = new Queue("noop", { connection });
  for (let i = 0; i < jobs; i += 1000)
    await queue.addBulk(Array.from({ length: Math.min(1000, jobs - i) }, () => ({ name: "noop", data: arguments_of_a_job() })));
}
if (what === "drain") {
  const options = { connection, concurrency: 300, removeOnComplete: { count: 1000 } };
  await measured("BullMQ", jobs, (ended) => new Worker("noop", async () => ended(1), options));
}
report();
