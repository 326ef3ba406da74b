"""spool worker, with commands of the operator's: whole pipelines, draining, what an attempt leaves."""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
import unittest

from support import SPOOL, CliTest

COMMAND = """#!/usr/bin/env python3
import json, os, sys
item = json.load(open(os.environ["WORK_ITEM_FILE"]))
text = open(item["inputs"]["input"]).read()
open(os.path.join(item["outputs"], "twice.txt"), "w").write(text * 2)
"""
HOLD = """#!/bin/sh
touch "{folder}/began"
while [ ! -e "{folder}/go" ]; do sleep 0.05; done
"""
CONFIG = """[commands.twice]
command = ["{folder}/twice"]
[commands.hold]
command = ["{folder}/hold"]
[commands.second]
command = ["/bin/sh", "-c", "[ -e {folder}/tried ] || {{ touch {folder}/tried; exit 1; }}"]
[commands.broken]
command = ["/bin/sh", "-c", "echo it is broken >&2; exit 3"]
"""
LADDER = '{"name": "tiny", "rungs": [{"name": "120p", "short_side": 120, "codec": "h264", "crf": 30, "max_bits_per_second": 200000}]}'
PIPELINE = """version: 1
name: doubling
steps:
  second: {kind: exec, command: twice, input: $steps.first.twice.txt}
  first: {kind: exec, command: twice, input: $source}
  extra: {kind: exec, command: broken, optional: true}
"""


def terminate_below(pid):
    """SIGTERM to all that a process has started, and so on. Some of them end meanwhile by themselves."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children") as file:
                children = [int(word) for word in file.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            terminate_below(child)
            try:
                os.kill(child, signal.SIGTERM)
            except ProcessLookupError:
                pass


class Worker(CliTest):
    def setUp(self):
        super().setUp()
        for name, text in (("twice", COMMAND), ("hold", HOLD.format(folder=self.folder))):
            os.chmod(os.path.join(self.folder, self.write(name, text)), 0o755)
        self.write("spool.toml", CONFIG.format(folder=self.folder))
        self.write("a.txt", "ab")

    def submit(self, *words):
        return self.spool("submit", *words).out.strip()

    def work(self):
        self.spool("worker", "--until-idle", "--slots", "2")

    def wait_for(self, condition):
        for _ in range(1200):   # a condition is awaited; a minute says that it will not come
            if condition():
                return
            time.sleep(0.05)
        self.fail("it did not happen in a minute")

    def test_a_pipeline_runs_whole_and_a_later_step_takes_what_an_earlier_one_gave(self):
        self.write("p.yaml", PIPELINE)
        id = self.submit("p.yaml", "-i", "a.txt")
        self.work()
        result = self.spool("watch", id).out
        tree = self.spool("show", id, "--json").json
        self.assertEqual(tree["state"], "succeeded", result)
        steps = tree["result"]["steps"]
        self.assertEqual({k: v["state"] for k, v in steps.items()},
                         {"first": "succeeded", "second": "succeeded", "extra": "failed"})
        key = steps["second"]["outputs"]["twice.txt"]
        self.assertTrue(key.startswith("object:"), key)
        with open(os.path.join(self.folder, "spool-data/objects", key[len("object:"):])) as file:
            self.assertEqual(file.read(), "ab" * 4)
        drawn = self.spool("show", id).out
        self.assertIn("doubling (pipeline)", drawn)
        self.assertIn("extra (exec), optional", drawn)
        self.assertIn("attempt 1 after", drawn)

    def test_what_a_job_fans_out_to_is_worked_by_a_worker_of_its_queue_alone(self):
        self.make_film()
        id = self.submit("transcode", "-i", "film.mp4", f"ladder={LADDER}", "--queue", "media", "--tag", "big", "--priority", "3")
        self.spool("worker", "--until-idle", "--slots", "2", "--queue", "media", "--tag", "big")
        tree = self.spool("show", id, "--json").json
        self.assertEqual(tree["state"], "succeeded")
        self.assertTrue(tree["children"])
        for job in tree["children"]:
            self.assertEqual((job["queue"], job["tags"], job["priority"]), ("media", ["big", "sandbox"], 3))

    def test_a_worker_of_one_queue_is_idle_whatever_others_hold(self):
        other = self.submit("exec", "command=twice", "-i", "a.txt")
        mine = self.submit("exec", "command=twice", "-i", "a.txt", "--queue", "media")
        told = self.spool("worker", "--until-idle", "--queue", "media").err
        self.assertIn("spool: idle: 1 job is left for other workers\n", told)
        self.assertEqual([self.state(mine), self.state(other)], ["succeeded", "available"])
        self.assertNotIn("other workers", self.spool("worker", "--until-idle").err)

    def test_a_worker_is_idle_when_what_is_left_is_for_others(self):
        tagged = self.submit("exec", "command=twice", "-i", "a.txt", "--tag", "gpu")
        later = self.submit("exec", "command=twice", "-i", "a.txt", "--tag", "gpu", "--delay", "1h")
        limited = self.submit("exec", "command=twice", "-i", "a.txt", "--tag", "gpu", "--limit-key", "none")
        self.spool("limit", "set", "--key", "none", "--concurrency", "0")
        unknown = self.submit("exec", "command=twice", "-i", "a.txt")
        with contextlib.closing(sqlite3.connect(os.path.join(self.folder, "spool-data/spool.db"))) as database, database:
            database.execute("UPDATE job SET kind = 'of a newer one' WHERE hex(id) = ?", (unknown.replace("-", "").upper(),))
        self.write("p.yaml", PIPELINE)
        waiting = self.submit("p.yaml", "-i", "a.txt", "--tag", "gpu")
        mine = self.submit("exec", "command=twice", "-i", "a.txt")
        told = self.spool("worker", "--until-idle").err
        self.assertIn("spool: idle: 5 jobs are left for other workers\n", told)
        self.assertIn("does not know jobs of kind 'of a newer one'", told)
        self.assertEqual([self.state(id) for id in (tagged, later, limited, unknown, waiting, mine)],
                         ["available", "scheduled", "waiting", "scheduled", "available", "succeeded"])

    def test_a_worker_does_not_wait_for_what_was_asked_for_later(self):
        later = self.submit("exec", "command=twice", "-i", "a.txt", "--delay", "1h")
        mine = self.submit("exec", "command=twice", "-i", "a.txt")
        self.assertIn("spool: idle: 1 job is left for later\n", self.spool("worker", "--until-idle").err)
        self.submit("exec", "command=twice", "-i", "a.txt", "--tag", "gpu")
        self.assertIn("spool: idle: 2 jobs are left for other workers or for later\n", self.spool("worker", "--until-idle").err)
        self.assertEqual([self.state(mine), self.state(later)], ["succeeded", "scheduled"])

    def test_a_worker_waits_for_what_it_tries_again(self):
        mine = self.submit("exec", "command=second")
        self.assertNotIn("spool: idle", self.spool("worker", "--until-idle").err)
        shown = self.spool("show", mine, "--json").json
        self.assertEqual((shown["state"], len(shown["errors"])), ("succeeded", 1))

    def make_film(self):
        subprocess.run(["ffmpeg", "-y", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc=s=160x120:r=25:d=2", "-c:v", "libx264",
                        "-preset", "ultrafast", "-pix_fmt", "yuv420p", "film.mp4"], cwd=self.folder, check=True)

    def state(self, id):
        return self.spool("show", id, "--json").json["state"]

    def test_a_worker_without_a_sandbox_leaves_media_where_it_is_and_does_the_rest(self):
        self.make_film()
        media = self.submit("probe", "-i", "film.mp4")
        command = self.submit("exec", "command=twice", "-i", "a.txt")
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
        worker = subprocess.Popen([*unshare, "sh", "-ec", 'mount --bind /dev/null "$(command -v bwrap)"; exec "$@"', "sh", SPOOL, "worker"],
                                  cwd=self.folder, stderr=subprocess.PIPE, text=True, env=self.environment())
        self.addCleanup(worker.kill)
        self.wait_for(lambda: self.state(command) == "succeeded")
        worker.send_signal(signal.SIGTERM)
        self.assertIn("jobs that read media are left to other workers", worker.communicate(timeout=60)[1])
        left = self.spool("show", media, "--json").json
        self.assertEqual((left["state"], left["attempts"]), ("available", 0))
        self.work()
        self.assertEqual(self.state(media), "succeeded")

    def test_files_of_the_machine_are_read_only_where_the_operator_lets_jobs_do_it(self):
        self.make_film()
        refused = self.submit("probe", "-i", "film.mp4", "--attempts", "1")
        self.spool("worker", "--until-idle", SPOOL_LOCAL_FILES="0")
        error = self.spool("show", refused, "--json").json["errors"][0]
        self.assertIn("local_files = true under [worker]", json.dumps(error))
        read = self.submit("probe", "-i", "film.mp4")
        self.work()
        self.assertEqual(self.state(read), "succeeded")

    def test_objects_elsewhere_are_refused_in_words(self):
        told = self.spool("worker", "--until-idle", "--objects", "gs://films", code=2).err
        self.assertIn("gs://films: files are kept in a folder or in s3://BUCKET (--objects)", told)

    def test_a_failed_step_fails_its_pipeline_and_a_retry_keeps_what_was_done(self):
        self.write("p.yaml", PIPELINE.replace(", optional: true", ""))
        id = self.submit("p.yaml", "-i", "a.txt")
        self.work()
        run = self.spool("watch", id, "--json", code=1)
        self.assertEqual(run.json["state"], "failed")
        ended = {c["name"]: c["ended"] for c in run.json["children"] if c["state"] == "succeeded"}
        self.assertEqual(set(ended), {"first", "second"})
        self.write("spool.toml", CONFIG.format(folder=self.folder).replace("exit 3", "exit 0"))
        self.spool("retry", id)
        self.work()
        tree = self.spool("watch", id, "--json").json
        self.assertEqual({c["name"]: c["ended"] for c in tree["children"] if c["name"] in ended}, ended)

    def test_what_a_removed_job_left_and_published_goes_and_what_was_put_where_somebody_asked_for_stays(self):
        own = self.submit("exec", "command=twice", "-i", "a.txt")
        asked = self.submit("exec", "command=twice", "-i", "a.txt", "destination=mine")
        self.work()
        objects = os.path.join(self.folder, "spool-data/objects")
        published = os.path.join(objects, "jobs", own)
        left = os.path.join(objects, ".spool/attempts", own)
        os.makedirs(left)   # as a crash leaves it
        self.assertTrue(os.path.exists(os.path.join(published, "twice.txt")))
        self.spool("rm", own, asked)
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.DEVNULL)
        try:
            self.wait_for(lambda: not os.path.exists(published) and not os.path.exists(left))
        finally:
            worker.send_signal(signal.SIGTERM)
            self.assertEqual(worker.wait(60), 0)
        self.assertTrue(os.path.exists(os.path.join(objects, "mine/twice.txt")))

    def test_an_error_names_the_command_and_keeps_its_last_words(self):
        id = self.submit("exec", "command=broken", "--attempts", "1")
        self.work()
        error = self.spool("show", id, "--json").json["errors"][0]
        self.assertIn("'broken' ended with exit code 3", error["message"])
        self.assertIn("it is broken", error["log_tail"])
        self.assertIn("it is broken", self.spool("show", id).out)

    def test_waiting_for_a_submitted_job_gives_its_result(self):
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.DEVNULL)
        try:
            run = self.spool("submit", "exec", "command=twice", "-i", "a.txt", "--wait", "--json")
            self.assertEqual(run.json["state"], "succeeded")
        finally:
            worker.send_signal(signal.SIGTERM)
            self.assertEqual(worker.wait(60), 0)

    def test_sigterm_lets_what_runs_end_and_claims_no_more(self):
        first = self.submit("exec", "command=hold", "--name", "first")
        second = self.submit("exec", "command=hold", "--name", "second")
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.PIPE, text=True)
        self.wait_for(lambda: os.path.exists(os.path.join(self.folder, "began")))
        worker.send_signal(signal.SIGTERM)
        self.assertTrue(any(line.startswith("spool: draining") for line in worker.stderr), "it never said that it drains")
        self.write("go", "")
        _, said = worker.communicate(timeout=60)
        self.assertEqual(worker.returncode, 0, said)
        # What ran has come to its end, the publishing of its outputs is left for the next worker; the other never began.
        jobs = [self.spool("show", id, "--json").json for id in (first, second)]
        self.assertEqual(sorted(job["phase"] for job in jobs), ["", "publish"])
        self.assertEqual([job["errors"] for job in jobs], [[], []])
        self.work()
        self.assertEqual(self.spool("show", first, "--json").json["state"], "succeeded")

    def test_a_second_sigterm_gives_back_what_runs_and_charges_nothing(self):
        id = self.submit("exec", "command=hold")
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.DEVNULL)
        self.wait_for(lambda: os.path.exists(os.path.join(self.folder, "began")))
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGINT)
        self.assertEqual(worker.wait(60), 0)
        job = self.spool("show", id, "--json").json
        self.assertEqual((job["state"], job["attempts"], job["errors"]), ("available", 0, []))

    def test_a_second_sigterm_ends_the_process_even_where_a_job_does_not_listen(self):
        # Its guardian, which is asked to end the command, is stopped.
        self.write("deaf", f'#!/bin/sh\necho $PPID > "{self.folder}/guardian.new"\n'
                           f'mv "{self.folder}/guardian.new" "{self.folder}/guardian"\nexec sleep 1000\n')
        os.chmod(os.path.join(self.folder, "deaf"), 0o755)
        self.write("spool.toml", f'[commands.deaf]\ncommand = ["{self.folder}/deaf"]\n')
        id = self.submit("exec", "command=deaf")
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.PIPE, text=True)
        self.wait_for(lambda: os.path.exists(os.path.join(self.folder, "guardian")))
        with open(os.path.join(self.folder, "guardian")) as file:
            guardian = int(file.read())
        os.kill(guardian, signal.SIGSTOP)
        self.addCleanup(os.kill, guardian, signal.SIGKILL)
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGINT)
        _, said = worker.communicate(timeout=60)   # 10 s of grace and 5 s more
        self.assertEqual(worker.returncode, 0, said)
        self.assertIn("left behind", said)
        job = self.spool("show", id, "--json").json
        self.assertEqual((job["state"], job["attempts"], job["errors"]), ("available", 0, []))

    def test_a_sigterm_to_all_processes_of_the_service_charges_nothing(self):
        id = self.submit("exec", "command=hold")
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.DEVNULL)
        self.wait_for(lambda: os.path.exists(os.path.join(self.folder, "began")))
        worker.send_signal(signal.SIGTERM)
        terminate_below(worker.pid)
        self.assertEqual(worker.wait(60), 0)
        job = self.spool("show", id, "--json").json
        self.assertEqual((job["state"], job["attempts"], job["errors"]), ("available", 0, []))

    def test_a_command_that_somebody_ends_while_the_worker_goes_on_has_failed(self):
        id = self.submit("exec", "command=hold", "--attempts", "1")
        worker = subprocess.Popen([SPOOL, "worker", "--until-idle"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.DEVNULL)
        self.wait_for(lambda: os.path.exists(os.path.join(self.folder, "began")))
        terminate_below(worker.pid)   # sandboxes, the guardian, the command
        self.assertEqual(worker.wait(60), 0)
        errors = self.spool("show", id, "--json").json["errors"]
        self.assertIn("ended by signal 15", errors[0]["message"])


if __name__ == "__main__":
    unittest.main()
