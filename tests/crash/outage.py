"""What the tests share in which a fleet's database is away for a while: quick commands, commands that are held until they are let
go, and what workers say."""
import os
import pathlib
import re
import subprocess
import tempfile
import time

from fleet import HISTORY, HistoryTest, Worker
from running import SPOOL

SECONDS_TO_HAPPEN = 90
# Ends when somebody writes "go", with a result of so many random bytes.
HELD = """#!/bin/sh
touch "{folder}/began.$$"
while [ ! -e "{folder}/go" ]; do sleep 0.05; done
[ -z "$1" ] || printf '{{"result": {{"text": "%s"}}}}\\n' "$(head -c "$1" /dev/urandom | base64 -w 0)"
touch "{folder}/done.$$"
"""
CONFIG = """[commands.quick]
command = ["true"]
[commands.held]
command = ["{folder}/held"]
[commands.telling]
command = ["{folder}/held", "6000"]
"""
WAITS = "the store does not answer, waiting for it"
GOES_ON = "the store answers again"


class OutageTest(HistoryTest):
    database = "app"

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="spool-outage-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "held").write_text(HELD.format(folder=folder.name))
        (self.folder / "held").chmod(0o755)
        (self.folder / "spool.toml").write_text(CONFIG.format(folder=folder.name))

    def make_database(self):
        self.postgres.ask(f"CREATE DATABASE {self.database}")
        subprocess.run([SPOOL, "migrate", "--store", self.postgres.url(self.database)], check=True, stdout=subprocess.DEVNULL, timeout=60)
        self.ask(HISTORY)

    def ask(self, sql):
        return self.postgres.ask(sql, self.database)

    def number(self, sql):
        return int(self.ask(sql)[0][0])

    def enqueue(self, command, jobs):
        self.ask(f"SELECT count(spool.enqueue('exec', '{{\"command\": \"{command}\"}}')) FROM generate_series(1, {jobs})")

    def start_workers(self, url, workers, slots):
        for number in range(workers):
            command = [SPOOL, "worker", "--slots", str(slots), "--store", url, "--objects", str(self.folder / "objects"), "--config",
                       str(self.folder / "spool.toml")]
            self.workers.append(Worker(f"worker {number}", command, {}, self.folder / f"worker-{number}.log", {}))
            self.stack.callback(self.workers[-1].kill)

    def until(self, holds, what):
        deadline = time.monotonic() + SECONDS_TO_HAPPEN
        while not holds():
            for worker in self.workers:
                self.assertTrue(worker.lives(), f"{worker.name} has ended\n{self.what_workers_said()}")
            self.assertLess(time.monotonic(), deadline, f"{what}\n{self.what_workers_said()}")
            time.sleep(0.02)

    def times_said(self, words):
        """Of each worker."""
        return [len(re.findall(words, pathlib.Path(worker.log).read_text(errors="replace"))) for worker in self.workers]

    def until_held(self, jobs):
        self.until(lambda: len(list(self.folder.glob("began.*"))) == jobs, "the commands do not begin")

    def let_go(self, jobs):
        """Returns when all of them have ended."""
        (self.folder / "go").touch()
        self.until(lambda: len(list(self.folder.glob("done.*"))) == jobs, "the commands do not end")

    def until_all_wait(self):
        self.until(lambda: all(self.times_said(WAITS)), "not all workers say that they wait")

    def until_ended(self):
        self.until(lambda: self.number("SELECT count(*) FROM spool.job_status WHERE ended IS NULL") == 0, "not all jobs end")

    def assert_said_once(self):
        self.until(lambda: all(self.times_said(GOES_ON)), "not all workers say that they go on")
        for words in (WAITS, GOES_ON):
            self.assertEqual(self.times_said(words), [1] * len(self.workers), f"{words}\n{self.what_workers_said()}")

    def assert_all_end(self, claims=None):
        """Well, each once, after that many claims if they are given; workers have said their words once, and end in order."""
        self.until_ended()
        self.assert_said_once()
        if claims is not None:
            self.assertEqual(self.number("SELECT count(*) FROM history.event WHERE what = 'claimed'"), claims, "some were done again")
        self.assertEqual(self.ask("SELECT DISTINCT state, attempts FROM spool.job_status"), [["succeeded", "1"]])
        self.assert_nothing_was_lost_or_settled_twice(self.database)
        self.drain_fleet()
