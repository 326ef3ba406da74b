"""Insertion in batches of 1000, beside COPY of the same rows into the same tables."""
import io
import time

from programs import queue_bench
from report import goal, in_turns, ratio, spread, table

OURS, COPY = "spool, 1000 a call", "COPY, 1000 a transaction"
BATCH = 1000
TABLES = ("job", "ready")


def spool(server, jobs):
    return queue_bench(server.fresh("bench"), "insert", jobs)["jobs_per_second"]


def rows(server, jobs):
    """What our own insertion writes: of each batch what is copied into each table."""
    queue_bench(server.fresh("rows"), "fill", 0, jobs)
    connection = server.connect("rows")
    batches = []
    with connection.cursor() as cursor:
        for first in range(1, jobs, BATCH):
            texts = [io.BytesIO() for _ in TABLES]
            for name, text in zip(TABLES, texts):
                cursor.copy_expert(f"COPY (SELECT * FROM spool.{name} WHERE seq BETWEEN {first} AND {first + BATCH - 1}"
                                   " ORDER BY seq) TO STDOUT", text)
            batches.append(texts)
    connection.close()
    return batches


def copy(server, batches):
    queue_bench(server.fresh("bench"), "fill", 0, 0)  # makes the tables
    connection = server.connect("bench")
    connection.autocommit = False
    begin = time.monotonic()
    with connection.cursor() as cursor:
        for texts in batches:
            for name, text in zip(TABLES, texts):
                text.seek(0)
                cursor.copy_expert(f"COPY spool.{name} FROM STDIN", text)
            connection.commit()
    seconds = time.monotonic() - begin
    connection.close()
    stored = server.sql("SELECT count(*) FROM spool.ready JOIN spool.job USING (seq)", "bench")
    if stored != len(batches) * BATCH:
        raise RuntimeError(f"COPY stored {stored} jobs")
    return stored / seconds


def measure(bench):
    jobs = bench.jobs(200_000)
    batches = rows(bench.server, jobs)
    speeds = in_turns(bench.rounds, {OURS: lambda: spool(bench.server, jobs), COPY: lambda: copy(bench.server, batches)})
    to_copy = ratio(speeds[OURS], speeds[COPY])
    table(("", "jobs/s"), *((name, spread(values)) for name, values in speeds.items()))
    return [goal("insertion at least 0.60 of raw COPY", to_copy >= 0.6, f"{to_copy:.2f}")]
