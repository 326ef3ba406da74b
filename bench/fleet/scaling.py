"""1, 2, 4 and 8 worker processes on jobs that wait 50 ms: how much of what their slots could do."""
import time

from programs import queue_bench, serving
from report import goal, in_turns, spread, table
from servers import wait_until

SLOTS = 8
WAIT_MS = 50
ENDED = "SELECT count(*) FROM spool.outcome WHERE at > %s AND at <= %s"


def share(server, workers, seconds):
    ideal = workers * SLOTS * 1000 / WAIT_MS  # jobs a second
    url = server.fresh("bench")
    queue_bench(url, "fill", 0, round(ideal * (seconds + 10)), WAIT_MS)
    processes = [serving(url, SLOTS) for _ in range(workers)]
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
    turns = {workers: lambda workers=workers: share(bench.server, workers, seconds) for workers in (1, 2, 4, 8)}
    shares = in_turns(bench.rounds, turns, "{:.3f} of ideal".format)
    table((f"workers, {SLOTS} slots each", "share of ideal"),
          *((workers, spread(values, "{:.3f}")) for workers, values in shares.items()))
    worst = min(sorted(values)[len(values) // 2] for values in shares.values())
    return [goal("1, 2, 4, 8 workers on jobs that wait 50 ms: at least 0.95 of ideal", worst >= 0.95, f"{worst:.3f}")]
