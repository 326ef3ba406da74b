"""What 50 idle workers (`spool worker`, each with its LISTEN) cost the database: CPU time of all its processes."""
import os
import subprocess
import tempfile
import time

from programs import SPOOL
from report import goal, in_turns, spread, table
from servers import end_with_us

WORKERS = 50
LISTENING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1397771084 AND objid = 2 AND granted"


def start(url, folder):
    return subprocess.Popen([SPOOL, "worker", "--slots", "1", "--store", url, "--objects", folder], cwd=folder, env=os.environ,
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
            while bench.server.sql(LISTENING) < WORKERS:
                if any(worker.poll() is not None for worker in workers):
                    raise RuntimeError("a worker has ended")
                time.sleep(0.1)
            time.sleep(bench.seconds(10))
            shares = in_turns(bench.rounds, {f"{WORKERS} workers": lambda: share(bench.server, seconds)}, lambda part: f"{part:.2%}")
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
        shares["none"] = in_turns(1, {"none": lambda: share(bench.server, seconds)}, lambda part: f"{part:.2%}")["none"]
    table(("idle", "of a core, in the database"), *((name, spread(values, "{:.2%}")) for name, values in shares.items()))
    middle = sorted(shares[f"{WORKERS} workers"])[bench.rounds // 2]
    return [goal("an idle fleet of 50 workers: under 1% of a core in the database", middle < 0.01, f"{middle:.2%}")]
