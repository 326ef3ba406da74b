"""What 50 idle workers (`spool worker`, each with its LISTEN) cost the database: CPU time of all its processes."""
import statistics
import subprocess
import tempfile
import time

from programs import SPOOL
from report import goal, in_turns, spread, table
from servers import end_with_us, wait_until

WORKERS = 50
FLEET = f"{WORKERS} workers"
LISTENING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1397771084 AND objid = 2 AND granted"


def start(url, folder):
    return subprocess.Popen([SPOOL, "worker", "--slots", "1", "--store", url, "--objects", folder], cwd=folder,
                            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_us)


def share(server, seconds):
    begin, cpu = time.monotonic(), server.cpu_seconds()
    time.sleep(seconds)
    return (server.cpu_seconds() - cpu) / (time.monotonic() - begin)


def measure(bench):
    seconds, url = bench.seconds(30), bench.server.fresh("bench")
    with tempfile.TemporaryDirectory() as folder:
        workers = [start(url, folder) for _ in range(WORKERS)]
        try:
            wait_until(lambda: bench.server.sql(LISTENING) == WORKERS, workers)
            time.sleep(bench.seconds(90))  # what they needed to begin is closed by then
            shares = in_turns(bench.rounds, {FLEET: lambda: share(bench.server, seconds)}, "{:.2%}".format)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
        shares |= in_turns(1, {"none": lambda: share(bench.server, seconds)}, "{:.2%}".format)
    table(("idle", "of a core, in the database"), *((name, spread(values, "{:.2%}")) for name, values in shares.items()))
    middle = statistics.median(shares[FLEET])
    return [goal("an idle fleet of 50 workers: under 1% of a core in the database", middle < 0.01, f"{middle:.2%}")]
