// What the rivals' programs share: the job, the clock (the same in all processes) and the line of JSON at the end.
import { setTimeout as pause } from "node:timers/promises";

export const arguments_of_a_job = () => ({ input: "object:films/tears/source.mp4", from: 120, to: 180 });
export const now = () => Number(process.hrtime.bigint());

let line;

// start(ended) starts a worker, which calls ended(how many) from its handler; until all have ended.
export async function measured(what, jobs, start) {
  let done = 0;
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const began = now();
  await start((many) => {
    done += many;
    if (done === jobs) finish();
  });
  await finished;
  line = { what, jobs, jobs_per_second: Math.round(jobs / ((now() - began) / 1e9)) };
}

// How long jobs took from their insertion, which says when it began, to their handler.
export function pickups() {
  const all = [];
  return {
    add(at) {
      if (all.length === 0) console.log("up");
      all.push((now() - at) / 1e3);
    },
    async until_told() {
      for await (const _ of process.stdin);
      line = { what: "serve", pickup_us: all };
    },
  };
}

// So far apart as queue_bench's.
export async function patiently(jobs, bring) {
  for (let i = 0; i < jobs; ++i) {
    await pause(20 + 40 * Math.random());
    await bring();
  }
}

export function report() {
  if (line) console.log(JSON.stringify(line));
  process.exit(0);
}
