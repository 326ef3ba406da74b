"""Claims of ten jobs where many wait and many more have ended, in turns with an empty database."""
import statistics

from programs import queue_bench
from report import goal, say, spread, table


def measure(bench):
    finished, waiting = (bench.jobs(many if bench.long else many / 10) for many in (5_000_000, 1_000_000))
    say(f"storing {finished:,} finished and {waiting:,} waiting jobs")
    full = bench.server.fresh("filled")
    queue_bench(full, "fill", finished, waiting)
    bench.server.settle("filled")
    rounds = []
    for number in range(bench.rounds):
        rounds.append(queue_bench(full, "claim", 0, 0, empty=bench.server.fresh("bench")))
        say(f"round {number + 1} of {bench.rounds}: {rounds[-1]}")
    of = lambda key: [values[key] for values in rounds]
    ratio = statistics.median(a / b for a, b in zip(of("full_p99_us"), of("empty_p99_us")))
    table(("claim of 10", "p50, us", "p99, us"),
          ("empty", spread(of("empty_us")), spread(of("empty_p99_us"))),
          (f"{waiting:,} waiting, {finished:,} finished", spread(of("full_us")), spread(of("full_p99_us"))))
    bench.server.sql("DROP DATABASE filled WITH (FORCE)")
    return [goal("claim p99 of a full database at most 1.5 of an empty one's", ratio <= 1.5, f"{ratio:.2f}")]
