// The rival: no-op jobs through plainjob (npm, on better-sqlite3), with its own settings (WAL, synchronous=NORMAL).
// node plainjob.mjs JOBS FOLDER; prints the same line of JSON as queue_bench.
import { join } from "node:path";
import Database from "better-sqlite3";
import { better, defineQueue, defineWorker } from "plainjob";

const jobs = Number(process.argv[2] ?? 20000);
const folder = process.argv[3] ?? ".";
const silent = { debug() {}, info() {}, warn() {}, error: console.error };
const queue = defineQueue({ connection: better(new Database(join(folder, "plainjob.db"))), logger: silent });

const data = { input: "object:films/tears/source.mp4", from: 120, to: 180 };
for (let i = 0; i < jobs; i += 1000) queue.addMany("noop", Array(Math.min(1000, jobs - i)).fill(data));

let done = 0;
const cpu = process.cpuUsage();
const began = process.hrtime.bigint();
const worker = defineWorker("noop", async () => {}, {
  queue,
  logger: silent,
  onCompleted: () => {
    if (++done === jobs) worker.stop();
  },
});
await worker.start();
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
const used = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    what: "plainjob",
    jobs: done,
    seconds: Number(seconds.toFixed(3)),
    jobs_per_second: Math.round(done / seconds),
    cpu_us_per_job: Number(((used.user + used.system) / done).toFixed(2)),
  }),
);
process.exit(0); // its worker's timers would keep the process now and then
