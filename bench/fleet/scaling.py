"""1, 2, 4 and 8 worker processes on jobs that wait 50 ms: how much of what their slots could do.

With two slots each, what `spool worker` takes on a machine of two cores; with eight, four times the jobs on the same cores.
"""
import itertools
import statistics
import time

from programs import queue_bench, serving
from report import goal, in_turns, spread, table
from servers import wait_until

SLOTS = (2, 8)
WORKERS = (1, 2, 4, 8)
WAIT_MS = 50
ENDED = "SELECT count(*) FROM spool.outcome WHERE at > %s AND at <= %s"


def share(server, workers, slots, seconds):
    ideal = workers * slots * 1000 / WAIT_MS  # jobs a second
    url = server.fresh("bench")
    queue_bench(url, "fill", 0, round(ideal * (seconds + 10)), WAIT_MS)
    processes = [serving(url, slots) for _ in range(workers)]
    wait_until(lambda: server.sql("SELECT count(DISTINCT session) FROM spool.running", "bench") == workers,
               [worker.process for worker in processes])
    time.sleep(1)
    clock = lambda: server.sql("SELECT spool.clock(0)", "bench")
    begin = clock()
    time.sleep(seconds)
    end = clock()
    ended = server.sql(ENDED, "bench", (begin, end))
    left = server.sql("SELECT count(*) FROM spool.ready", "bench")
    for process in processes:
        process.end()
    if left == 0:
        raise RuntimeError("there were too few jobs")
    return ended / ((end - begin) / 1e6) / ideal


def measure(bench):
    seconds = bench.seconds(10)
    turns = {one: lambda one=one: share(bench.server, *one, seconds) for one in itertools.product(WORKERS, SLOTS)}
    shares = in_turns(bench.rounds, turns, "{:.3f} of ideal".format)
    table(("workers", *(f"{slots} slots each: share of ideal" for slots in SLOTS)),
          *((workers, *(spread(shares[workers, slots], "{:.3f}") for slots in SLOTS)) for workers in WORKERS))
    worst = min(statistics.median(shares[workers, SLOTS[0]]) for workers in WORKERS)
    return [goal("1, 2, 4, 8 workers on jobs that wait 50 ms: at least 0.95 of ideal", worst >= 0.95, f"{worst:.3f}")]
