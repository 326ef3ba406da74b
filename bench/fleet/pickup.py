"""From the insertion of a job to its handler's start, by an idle worker in another process: beside graphile-worker.

Who inserts writes the time at which it begins into the job; CLOCK_MONOTONIC is one clock for all processes. Each is measured
with its own client, and with its SQL function called by one and the same program.
"""
import json
import random
import time

from programs import queue_bench, serving
from report import goal, in_turns, quantile, spread, table

GAP_MS = 20
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
    jobs, server = max(100, round(1000 * bench.size)), bench.server
    times = in_turns(bench.rounds, {
        "spool, its own client": lambda: spool(server, jobs),
        "spool, spool.enqueue": lambda: spool(server, jobs, by_sql(server, ENQUEUE)),
        "graphile-worker 0.17, its own client": lambda: graphile(bench, jobs),
        "graphile-worker 0.17, add_job": lambda: graphile(bench, jobs, by_sql(server, ADD_JOB)),
    }, lambda both: f"p50 {both[0]:.2f} ms, p99 {both[1]:.2f} ms")
    columns = {name: list(zip(*values)) for name, values in times.items()}
    table(("", "p50, ms", "p99, ms"), *((name, *(spread(column, "{:.2f}") for column in both)) for name, both in columns.items()))
    p50, p99 = ([sorted(column)[len(column) // 2] for column in both] for both in zip(*(columns[n] for n in list(columns)[:2])))
    return [goal("pick-up p50 at most 1 ms", max(p50) <= 1, f"{p50[0]:.2f} and {p50[1]:.2f} ms"),
            goal("pick-up p99 at most 4 ms", max(p99) <= 4, f"{p99[0]:.2f} and {p99[1]:.2f} ms")]
