"""5,000 jobs a second come and go while another transaction holds the vacuum horizon: is the end as fast as the beginning?"""
import contextlib

from programs import queue_bench
from report import goal, table

RATE = 5000


@contextlib.contextmanager
def held_horizon(server):
    """No row that dies from now on can be vacuumed."""
    connection = server.connect("bench")
    connection.set_session(isolation_level="REPEATABLE READ", autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id(), (SELECT count(*) FROM spool.ready)")
    yield
    connection.close()


def measure(bench):
    seconds = bench.seconds(600 if bench.long else 60)
    url = bench.server.fresh("bench")
    queue_bench(url, "fill", 0, 0)  # makes the tables
    with held_horizon(bench.server):
        tenths = queue_bench(url, "steady", seconds, RATE)
        dead = bench.server.sql("SELECT count(*) FROM spool.outcome", "bench")
    row = lambda name, key: (name, *(f"{tenths[key][i]:,.0f}" for i in range(10)))
    print(f"{seconds} s, {RATE:,} jobs/s in batches of 100; {dead:,} jobs ended, whose dead rows nobody may vacuum.\n")
    table(("tenth", *range(1, 11)), row("settled a second", "settled_per_second"), row("claim p50, us", "claim_p50_us"),
          row("claim p99, us", "claim_p99_us"))
    (first, *_, last), (first_p99, *_, last_p99) = tenths["settled_per_second"], tenths["claim_p99_us"]
    speed, time = last / first, last_p99 / first_p99
    return [goal("steady state: last tenth at least 0.90 of the first's throughput", speed >= 0.9, f"{speed:.2f}"),
            goal("steady state: claim p99 at most twice the first tenth's", time <= 2, f"{time:.2f}")]
