"""From the insertion of a job to its handler's start, by an idle worker in another process: beside graphile-worker.

Who inserts writes the time at which it begins into the job; CLOCK_MONOTONIC is one clock for all processes. Each is measured
with its own client, and with its SQL function called by one and the same program.
"""
import json
import random
import statistics
import time

from programs import queue_bench, serving
from report import goal, in_turns, quantile, spread, table

GAP_MS = 40  # so that the worker is idle again
ENQUEUE = "SELECT spool.enqueue('noop', %s::jsonb, '{}')"
ADD_JOB = "SELECT graphile_worker.add_job('noop', %s::json)"


def by_sql(server, words):
    def bring(jobs):
        connection = server.connect("bench")
        with connection.cursor() as cursor:
            for _ in range(jobs):
                time.sleep(random.uniform(0.5, 1.5) * GAP_MS / 1000)
                job = {"input": "object:films/tears/source.mp4", "from": 120, "to": 180, "at": time.monotonic_ns()}
                cursor.execute(words, (json.dumps(job),))
        connection.close()
    return bring


def waited(worker, bring, jobs):
    """The median and the p99, in ms."""
    bring(1)
    worker.wait_until_up()
    bring(jobs)
    time.sleep(0.1)
    times = worker.end()["pickup_us"][1:]
    return quantile(times, 0.5) / 1000, quantile(times, 0.99) / 1000


def spool(server, jobs, bring=None):
    url = server.fresh("bench")
    queue_bench(url, "fill", 0, 0)  # makes the tables
    return waited(serving(url, 8), bring or (lambda many: queue_bench(url, "trickle", many, GAP_MS)), jobs)


def graphile(bench, jobs, bring=None):
    url = bench.server.fresh("bench")
    bench.rivals("graphile", "fill", 0, url)
    return waited(bench.rivals.serving("graphile", url),
                  bring or (lambda many: bench.rivals("graphile", "trickle", many, url)), jobs)


def measure(bench):
    jobs, server = max(100, round(500 * bench.size)), bench.server
    ours = {
        "spool, its own client": lambda: spool(server, jobs),
        "spool, spool.enqueue": lambda: spool(server, jobs, by_sql(server, ENQUEUE)),
    }
    theirs = {
        "graphile-worker 0.17, its own client": lambda: graphile(bench, jobs),
        "graphile-worker 0.17, add_job": lambda: graphile(bench, jobs, by_sql(server, ADD_JOB)),
    }
    times = in_turns(bench.rounds, {**ours, **theirs}, lambda both: f"p50 {both[0]:.2f} ms, p99 {both[1]:.2f} ms")
    p50, p99 = ({name: [both[which] for both in rounds] for name, rounds in times.items()} for which in (0, 1))
    table(("", "p50, ms", "p99, ms"), *((name, spread(p50[name], "{:.2f}"), spread(p99[name], "{:.2f}")) for name in times))
    return [goal_of("p50", 1, [statistics.median(p50[name]) for name in ours]),
            goal_of("p99", 4, [statistics.median(p99[name]) for name in ours])]


def goal_of(what, most_ms, medians):
    result = " and ".join(f"{value:.2f}" for value in medians)
    return goal(f"pick-up {what} at most {most_ms} ms", max(medians) <= most_ms, result + " ms")
