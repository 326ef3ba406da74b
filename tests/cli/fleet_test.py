"""A fleet from outside: queues, workers, limits, schedules, stats, retention."""
import collections
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import time
import unittest

from support import SPOOL, CliTest

COUNTS = "created waiting scheduled available running succeeded failed cancelled".split()


class Fleet(CliTest):
    def setUp(self):
        super().setUp()
        self.write("spool.toml", '[commands.wait]\ncommand = ["sh", "-c", "read x < $WAIT_FOR"]\n'
                                 f'environment = {{ WAIT_FOR = "{self.folder}/go" }}\n'
                                 '[commands.fine]\ncommand = ["true"]\n')

    def submit(self, *more, command="fine", code=0):
        return self.spool("submit", "exec", f"command={command}", *more, code=code).out.strip()

    def state(self, job):
        return self.spool("show", job, "--json").json["state"]

    def drain(self):
        self.spool("worker", "--until-idle", "--slots", "2")

    def counts(self, queue):
        return {q["queue"]: q for q in self.spool("queues", "--json").json["queues"]}[queue]


class Queues(Fleet):
    def test_they_are_counted(self):
        self.submit("--queue", "night")
        self.submit("--queue", "night", "--held")
        night = self.counts("night")
        self.assertEqual({k: v for k, v in night["counts"].items() if v}, {"available": 1, "created": 1})
        self.assertEqual(set(night["counts"]), set(COUNTS))
        self.assertFalse(night["paused"])
        self.assertRegex(night["oldest_ready"], r"^\d{4}-\d\d-\d\dT")
        table = self.spool("queues").out.splitlines()
        self.assertEqual(table[0].split()[:3], ["QUEUE", "AVAILABLE", "RUNNING"])
        self.assertEqual(table[1].split()[:2], ["night", "1"])

    def test_a_paused_one_is_not_worked_on_until_it_is_resumed(self):
        job = self.submit("--queue", "night")
        self.assertEqual(self.spool("queues", "pause", "night").out, "paused night\n")
        self.assertEqual(self.spool("queues", "pause", "night", "--json").json, {"queue": "night", "paused": True})
        self.assertTrue(self.counts("night")["paused"])
        self.assertRegex(self.spool("queues").out, "PAUSED\n(.*\n)*night .* yes\n")
        self.drain()
        self.assertEqual(self.state(job), "available")
        self.assertEqual(self.spool("queues", "resume", "night").out, "resumed night\n")
        self.drain()
        self.assertEqual(self.state(job), "succeeded")

    def test_clearing_one_cancels_what_has_not_begun(self):
        done = self.submit("--queue", "night")
        self.drain()
        waits = self.submit("--queue", "night")
        other = self.submit()
        self.assertEqual(self.spool("queues", "clear", "night").out, "cancelled 1 of night\n")
        self.assertEqual([self.state(j) for j in (done, waits, other)], ["succeeded", "cancelled", "available"])
        self.assertEqual(self.spool("queues", "clear", "night", "--json").json, {"queue": "night", "cancelled": 0})

    def test_one_without_a_name_is_no_queue(self):
        self.assertIn("a queue has a name", self.spool("queues", "pause", "", code=2).err)

    def test_no_store_is_an_error_and_no_jobs_are_none(self):
        self.assertIn("there is no store here yet", self.spool("queues", code=2).err)
        self.spool("queues", "pause", "night")
        self.assertEqual(self.counts("night")["counts"]["available"], 0)


class Workers(Fleet):
    def test_who_works_is_seen_with_what_it_runs(self):
        os.mkfifo(os.path.join(self.folder, "go"))
        job = self.submit("--name", "slow", command="wait")
        self.assertEqual(self.spool("workers", "--json").json, {"workers": []})
        self.assertIn("no workers", self.spool("workers").err)
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "2", "--tag", "gpu"], cwd=self.folder,
                                  env=self.environment(), stderr=subprocess.DEVNULL)
        try:
            # Opened for writing as soon as the command reads.
            go = os.open(os.path.join(self.folder, "go"), os.O_WRONLY)
            seen, = self.spool("workers", "--json").json["workers"]
            self.assertEqual(set(seen), set("id host pid version slots slots_taken tags lease expires draining running".split()))
            self.assertEqual((seen["pid"], seen["slots"], seen["slots_taken"], seen["tags"]), (worker.pid, 2, 1, ["gpu", "sandbox"]))
            running, = seen["running"]
            self.assertEqual((running["id"], running["kind"], running["name"], running["slots"]), (job, "exec", "slow", 1))
            self.assertIn(f":{worker.pid}  ", self.spool("workers").out)
            stats = self.spool("stats", "--json").json
            self.assertEqual(stats["workers"][0]["running"][0]["id"], job)
            text = self.spool("stats", "--prometheus").out
            self.assertIn("\nspool_workers 1\n", text)
            self.assertIn("\nspool_worker_slots 2\n", text)
            self.assertIn('\nspool_jobs{queue="default",state="running"} 1\n', text)
            os.write(go, b"x\n")
            os.close(go)
            self.spool("watch", job)
        finally:
            worker.send_signal(signal.SIGTERM)
            self.assertEqual(worker.wait(60), 0)
        self.assertEqual(self.state(job), "succeeded")


    def test_one_is_drained_from_elsewhere(self):
        os.mkfifo(os.path.join(self.folder, "go"))
        job = self.submit(command="wait")
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(worker.stderr.close)
        go = os.open(os.path.join(self.folder, "go"), os.O_WRONLY)
        later = self.submit()
        seen, = self.spool("workers", "--json").json["workers"]
        name = f"{seen['host']}:{seen['pid']}"
        draining = subprocess.Popen([SPOOL, "worker", "--drain", name], cwd=self.folder, env=self.environment(),
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("1 worker was asked to drain", draining.stderr.readline())
        seen, = self.spool("workers", "--json").json["workers"]
        self.assertTrue(seen["draining"])
        self.assertIn("draining", self.spool("workers").out)
        while "asked to drain" not in worker.stderr.readline():
            self.assertIsNone(worker.poll())
        os.write(go, b"x\n")
        os.close(go)
        out, err = draining.communicate(timeout=60)
        self.assertEqual((draining.returncode, out), (0, f"drained {name}\n"), err)
        self.assertEqual(worker.wait(60), 0)
        # The command ran here; what it made is published by whoever claims next.
        shown = self.spool("show", job, "--json").json
        self.assertEqual((shown["state"], shown["phase"], shown["errors"], self.state(later)), ("available", "publish", [], "available"))
        self.drain()
        self.assertEqual((self.state(job), self.state(later)), ("succeeded", "succeeded"))
        self.assertEqual(self.spool("show", job, "--json").json["attempts"], 1)

    def test_one_that_loses_its_lease_is_drained_all_the_same(self):
        self.submit("--held")
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.PIPE, text=True)
        for undo in (worker.stderr.close, worker.wait, worker.kill):
            self.addCleanup(undo)
        while not (seen := self.spool("workers", "--json").json["workers"]):
            self.assertIsNone(worker.poll())
        name = f"{seen[0]['host']}:{worker.pid}"
        draining = subprocess.Popen([SPOOL, "worker", "--drain", name], cwd=self.folder, env=self.environment(),
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("1 worker was asked to drain", draining.stderr.readline())
        with contextlib.closing(sqlite3.connect(os.path.join(self.folder, "spool-data/spool.db"))) as database, database:
            database.execute("UPDATE session SET expires = ?", (int((time.time() - 1) * 1e6),))
        out, err = draining.communicate(timeout=120)
        self.assertEqual((draining.returncode, out), (0, f"drained {name}\n"), err)
        self.assertEqual(worker.wait(60), 0)

    def test_who_is_not_there_cannot_be_drained(self):
        self.assertIn("there is no store here yet", self.spool("worker", "--drain", "web-1", code=2).err)
        self.submit()
        self.assertIn('there is no worker "web-1"', self.spool("worker", "--drain", "web-1", code=2).err)
        self.spool("worker", "--drain", "web-1", "--slots", "2", code=2)


class Limits(Fleet):
    def test_a_limit_is_set_listed_and_removed(self):
        self.assertEqual(self.spool("limit", "set", "--key", "ada", "--concurrency", "1").out, "ada: 1 at once\n")
        self.spool("limit", "set", "--queue", "night*", "--rate", "10/1m", "--burst", "3")
        first, second = self.submit("--limit-key", "ada"), self.submit("--limit-key", "ada")
        queue, key = self.spool("limit", "list", "--json").json["limits"]
        self.assertEqual(queue, {"scope": "queue", "name": "night*", "concurrency": None, "taken": 0, "waiting": 0,
                                 "rate": {"count": 10, "period": 60, "burst": 3}})
        self.assertEqual(key, {"scope": "key", "name": "ada", "concurrency": 1, "rate": None, "taken": 1, "waiting": 1})
        self.assertEqual([line.split()[:2] for line in self.spool("limit", "list").out.splitlines()],
                         [["FOR", "NAME"], ["queue", "night*"], ["key", "ada"]])
        job = self.spool("show", second, "--json").json
        self.assertEqual((job["state"], job["limited"], job["limit_key"]), ("waiting", True, "ada"))
        self.assertIn("limited", self.spool("jobs").out)
        def listed(state):
            return [job["id"] for job in self.spool("jobs", "--state", state, "--json").json["jobs"]]
        self.assertEqual(listed("limited"), [second])
        self.assertEqual(listed("waiting"), [second])
        self.assertEqual(listed("available"), [first])
        self.assertEqual(self.spool("limit", "rm", "--key", "ada").out, "removed the limit for ada\n")
        self.assertEqual(self.state(second), "available")
        self.assertIn("there is no limit for ada", self.spool("limit", "rm", "--key", "ada", code=2).err)
        self.drain()
        self.assertEqual(self.state(first), "succeeded")

    def test_a_limit_of_none_keeps_no_worker_from_being_idle(self):
        self.spool("limit", "set", "--queue", "night", "--concurrency", "0")
        self.spool("limit", "set", "--key", "a*", "--concurrency", "0")
        jobs = [self.submit("--queue", "night"), self.submit("--limit-key", "ada"), self.submit("--limit-key", "bob")]
        self.drain()
        self.assertEqual([self.state(job) for job in jobs], ["waiting", "waiting", "succeeded"])

    def test_jobs_over_a_limit_run_one_after_the_other(self):
        os.mkfifo(os.path.join(self.folder, "go"))
        self.spool("limit", "set", "--queue", "default", "--concurrency", "1")
        jobs = [self.submit(command="wait") for _ in range(3)]
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "3", "--until-idle"], cwd=self.folder,
                                  env=self.environment(), stderr=subprocess.DEVNULL)
        self.addCleanup(worker.kill)
        for _ in jobs:
            with open(os.path.join(self.folder, "go"), "w", encoding="utf-8") as go:  # waits for the one who reads
                self.assertEqual(self.counts("default")["counts"]["running"], 1)
                go.write("x\n")
        self.assertEqual(worker.wait(60), 0)
        self.assertEqual([self.state(job) for job in jobs], ["succeeded"] * 3)

    def test_what_is_no_limit_is_refused(self):
        for words, told in ((["--key", "a"], "how many run at once"),
                            (["--concurrency", "1"], ""),
                            (["--key", "a", "--queue", "b", "--concurrency", "1"], ""),
                            (["--key", "a", "--rate", "10"], "10/1m"),
                            (["--key", "a", "--rate", "0/1m"], "0 starts"),
                            (["--key", "a", "--burst", "2"], "--rate"),
                            (["--queue", "a*b", "--concurrency", "1"], "only at its end"),
                            (["--key", "a", "--concurrency", "-1"], "")):
            self.assertIn(told, self.spool("limit", "set", *words, code=2).err)


class Schedules(Fleet):
    def add(self, *words, code=0):
        return self.spool("schedule", "add", "nightly", *words, "--", "exec", "command=fine", code=code)

    def test_a_schedule_is_added_listed_paused_and_removed(self):
        added = self.add("--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--missed", "skip", "--queue", "night", "--json").json
        self.assertRegex(added["next"], r"^\d{4}-\d\d-\d\dT0[01]:30:00")
        listed, = self.spool("schedule", "list", "--json").json["schedules"]
        self.assertEqual(listed, added)
        expected = {"name": "nightly", "cron": "30 2 * * *", "zone": "Europe/Berlin", "missed": "skip", "paused": False,
                    "kind": "exec", "queue": "night"}
        self.assertEqual({k: listed[k] for k in expected}, expected)
        self.assertEqual(listed["args"]["command"], "fine")
        self.assertIn("nightly", self.spool("schedule", "list").out)
        self.assertEqual(self.spool("schedule", "pause", "nightly").out, "paused nightly\n")
        self.assertTrue(self.spool("schedule", "list", "--json").json["schedules"][0]["paused"])
        self.assertIn("paused", self.spool("schedule", "list").out)
        self.spool("schedule", "resume", "nightly")
        self.assertEqual(self.spool("schedule", "remove", "nightly").out, "removed nightly\n")
        self.assertEqual(self.spool("schedule", "list").out, "")
        self.assertIn("there is no schedule nightly", self.spool("schedule", "remove", "nightly", code=2).err)

    def test_what_is_wrong_with_a_schedule_is_said_before_it_is_stored(self):
        for words, told in ((["--cron", "61 * * * *"], 'minute: "61" is not within 0 and 59'),
                            (["--cron", "@daily", "--tz", "Europe/Berlinn"], 'no time zone "Europe/Berlinn"'),
                            (["--cron", "@daily", "--missed", "never"], "--missed"),
                            (["--cron", "@daily", "--attempts", "0"], "--attempts"),
                            (["--cron", "@daily", "--slots", "0"], "--slots: Value 0 not in range 1 to 4096"),
                            ([], "--cron")):
            self.assertIn(told, self.add(*words, code=2).err)
        wrong = self.spool("schedule", "add", "nightly", "--cron", "@daily", "--", "exce", code=2)
        self.assertIn("did you mean 'exec'", wrong.err)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "spool-data")))


class Retention(Fleet):
    def test_by_number_by_age_and_only_of_a_queue(self):
        for _ in range(3):
            self.submit("--queue", "night")
        self.submit()
        self.drain()
        self.assertEqual(self.spool("prune", "--older-than", "1h").out, "pruned 0 jobs\n")
        self.assertEqual(self.spool("prune", "--queue", "night", "--keep", "1").out, "pruned 2 jobs\n")
        self.assertEqual(self.spool("prune", "--keep", "1", "--json").json, {"pruned": 0})
        self.assertEqual(self.spool("prune", "--keep", "0", "--with-outputs", "--json").json, {"pruned": 2})
        self.assertEqual(self.spool("jobs", "--json").json["jobs"], [])

    def test_a_worker_does_it_by_itself_where_it_is_configured(self):
        for _ in range(3):
            self.submit("--queue", "night")
        self.submit()
        self.drain()
        self.assertEqual(self.left_to(2, "[retention.night]\nkeep = 1\n"), {"night": 1, "default": 1})

    def test_a_queue_goes_by_its_own_rules_alone(self):
        for queue in ("archive", "night", "day"):
            self.submit("--queue", queue)
        self.drain()
        rules = '[retention."*"]\nkeep = 0\n[retention.archive]\nolder_than = "365d"\n'
        self.assertEqual(self.left_to(1, rules), {"archive": 1})

    def left_to(self, jobs, rules):
        """How many jobs of which queue there are when a worker has so many left by those rules."""
        with open(os.path.join(self.folder, "spool.toml"), "a", encoding="utf-8") as config:
            config.write(rules)
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.DEVNULL)
        left, end = collections.Counter(), time.monotonic() + 60
        while (not left or left.total() > jobs) and time.monotonic() < end:
            left = collections.Counter(job["queue"] for job in self.spool("jobs", "--json").json["jobs"])
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(worker.wait(60), 0)
        return left

    def test_it_wants_to_know_what_goes(self):
        self.submit()
        self.assertIn("--older-than", self.spool("prune", code=2).err)
        self.assertIn("--older-than", self.spool("prune", "--older-than", "10", code=2).err)


class Stats(Fleet):
    def test_they_have_every_part(self):
        self.spool("limit", "set", "--key", "ada", "--concurrency", "1")
        self.submit("--limit-key", "ada")
        stats = self.spool("stats", "--json").json
        self.assertEqual(set(stats), {"now", "queues", "workers", "limits"})
        text = self.spool("stats", "--prometheus").out
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) spool_\w+ .+|spool_\w+(\{(\w+="[^"]*",?)+\})? [0-9.e+-]+)$')
        self.assertEqual(len(re.findall(r"(?m)^# TYPE", text)), len(set(re.findall(r"(?m)^(spool_\w+)", text))))
        self.assertIn("default", self.spool("stats").out)
        self.spool("stats", "--prometheus", "--json", code=2)


if __name__ == "__main__":
    unittest.main()
