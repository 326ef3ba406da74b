"""No-op jobs, stored beforehand, worked off by one worker process: beside raw SQL on the same tables, and beside the rivals."""
import subprocess
import time

from programs import HERE, queue_bench
from report import goal, in_turns, ratio, spread, table
from servers import Redis

OURS, RAW, GRAPHILE = "spool worker, 500 slots", "raw SQL, 2 clients, batches of 500", "graphile-worker 0.17, local queue"
PGBOSS, BULLMQ = "pg-boss 12, batches of 1000", "BullMQ 6, Redis with appendfsync always"


def spool(server, jobs, slots):
    url = server.fresh("bench")
    queue_bench(url, "fill", 0, jobs)
    server.settle("bench")
    return queue_bench(url, "drain", jobs, slots)["jobs_per_second"]


def raw(server, jobs):
    url = server.fresh("bench")
    queue_bench(url, "fill", 0, jobs)
    server.settle("bench")
    begin = time.monotonic()
    subprocess.run(["pgbench", "-n", "-c", "2", "-j", "2", "-t", str(jobs // 1000), "-f", HERE / "raw.sql", url], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - begin
    return (jobs - server.sql("SELECT count(*) FROM spool.ready", "bench")) / seconds


def rival(bench, name, jobs):
    url = bench.server.fresh("bench")
    bench.rivals(name, "fill", jobs, url)
    bench.server.settle("bench")
    return bench.rivals(name, "drain", jobs, url)["jobs_per_second"]


def bullmq(bench, redis, jobs):
    url = redis.fresh()
    bench.rivals("bullmq", "fill", jobs, url)
    return bench.rivals("bullmq", "drain", jobs, url)["jobs_per_second"]


def measure(bench):
    jobs = bench.jobs(200_000)
    with Redis() as redis:
        speeds = in_turns(bench.rounds, {
            OURS: lambda: spool(bench.server, jobs, 500),
            RAW: lambda: raw(bench.server, jobs),
            "spool worker, 8 slots": lambda: spool(bench.server, bench.jobs(20_000), 8),
            GRAPHILE: lambda: rival(bench, "graphile", jobs),
            PGBOSS: lambda: rival(bench, "pgboss", jobs),
            BULLMQ: lambda: bullmq(bench, redis, jobs),
        })
    table(("", "jobs/s", "spool with 500 slots, to it"),
          *((name, spread(values), f"{ratio(speeds[OURS], values):.2f}") for name, values in speeds.items()))
    to_raw, to_graphile = ratio(speeds[OURS], speeds[RAW]), ratio(speeds[OURS], speeds[GRAPHILE])
    return [goal("drain at least 0.60 of raw SQL", to_raw >= 0.6, f"{to_raw:.2f}"),
            goal("drain at least 4 times graphile-worker", to_graphile >= 4, f"{to_graphile:.2f}")]
