"""A worker whose files are in a bucket: a real Swift, behind a proxy that can let requests hang, refuse them, or be away."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

from support import SOURCE, SPOOL, CliTest

GIVES_UP = 30  # seconds after which a silent service is not waited for any more; then it is tried again
GRACE = 10     # that a job which is asked to stop has
TRIES = 2      # of the question whether the objects answer
WAITS = "the objects do not answer, waiting for them"
GOES_ON = "the objects answer again"
ASKS = "^GET .*prefix=.*nothing"  # whether they do


class Server:
    """One of tests/servers."""

    def __init__(self, name, *words):
        self.process = subprocess.Popen([os.path.join(SOURCE, "tests/servers", name), *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.said = json.loads(self.process.stdout.readline())

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdin.close()
        self.process.stdout.close()


class Bucket(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.swift = Server("swift")
        cls.addClassCleanup(cls.swift.stop)
        cls.faults = Server("s3_faults", cls.swift.said["endpoint"])
        cls.addClassCleanup(cls.faults.stop)

    def setUp(self):
        super().setUp()
        self.faults.ask(clear=True)

    @classmethod
    def put_film(cls):
        with tempfile.NamedTemporaryFile(suffix=".mp4") as film:
            subprocess.run(["ffmpeg", "-y", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=2", "-c:v", "libx264",
                            "-pix_fmt", "yuv420p", film.name], check=True)
            cls.put("film.mp4", film.read())

    def environment(self, **more):
        said = self.swift.said
        return super().environment(
            SPOOL_OBJECTS=f"s3://{said['bucket']}?endpoint={self.faults.said['endpoint']}&region={said['region']}",
            AWS_ACCESS_KEY_ID=said["access_key"], AWS_SECRET_ACCESS_KEY=said["secret_key"], **more)

    @classmethod
    def put(cls, name, data):
        said = cls.swift.said
        request = urllib.request.Request(f"{said['storage_url']}/{said['bucket']}/{name}", data, {"X-Auth-Token": said["token"]},
                                         method="PUT")
        urllib.request.urlopen(request, timeout=60).close()

    def await_request(self, pattern, worker, times=1):
        while self.faults.ask(count=pattern)["count"] < times:
            self.assertIsNone(worker.poll(), "the worker has ended")

    def stopped_after_two_signals(self, worker):
        """How long it took after the second one."""
        worker.send_signal(signal.SIGTERM)
        while "draining" not in worker.stderr.readline():
            self.assertIsNone(worker.poll())
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=300)
        self.assertEqual(worker.returncode, 0, said)
        return time.monotonic() - began

    def worker(self):
        worker = subprocess.Popen([SPOOL, "worker", "--slots", "1"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(worker.stderr.close)
        return worker

    def test_a_second_sigterm_does_not_wait_for_requests_that_hang(self):
        self.put("film.mp4", b"no film")
        for method in ("HEAD", "GET"):
            with self.subTest(method):
                self.faults.ask(clear=True)
                self.faults.ask(method=method, target="film.mp4", stall=True, times=-1)
                job = self.spool("submit", "probe", "-i", "object:film.mp4").out.strip()
                worker = self.worker()
                self.await_request(f"^{method} .*film.mp4", worker)
                self.assertLess(self.stopped_after_two_signals(worker), min(GRACE, GIVES_UP))
                shown = self.spool("show", job, "--json").json
                self.assertEqual((shown["state"], shown["attempts"], shown["errors"]), ("available", 0, []))
                self.spool("cancel", job)

    def test_nor_for_those_of_its_sweeper(self):
        self.faults.ask(target=r"\?.*uploads", stall=True, times=-1)
        worker = self.worker()
        self.await_request(r"\?.*uploads", worker)
        self.assertLess(self.stopped_after_two_signals(worker), min(GRACE, GIVES_UP))

    def hear(self, worker, words):
        """What the worker says until it says that."""
        lines = []
        while not lines or words not in lines[-1]:
            lines.append(worker.stderr.readline())
            self.assertTrue(lines[-1], f"the worker has ended\n{''.join(lines)}")
        return lines

    def submit(self, *words):
        return self.spool("submit", *words).out.strip()

    def show(self, job):
        return self.spool("show", job, "--json").json

    def test_objects_that_are_away_or_refuse_everybody_are_waited_for(self):
        self.put_film()
        away = {"answer": 503, "code": "ServiceUnavailable"}
        # (which requests, what happens to them, how often a question is asked in three attempts' worth)
        for requests, what, questions in (({}, away, 3 * TRIES), ({"method": "GET"}, away, 3 * TRIES), ({}, {"cut_request": 0}, 3 * TRIES),
                                          ({}, {"answer": 403, "code": "InvalidAccessKeyId"}, 3)):
            with self.subTest(requests=requests, what=what):
                self.faults.ask(clear=True)
                worker = self.worker()
                self.hear(worker, "working on")
                self.faults.ask(**requests, **what, times=-1)
                jobs = [self.submit("poster", "-i", "object:film.mp4") for _ in range(3)]
                said = self.hear(worker, WAITS)
                self.await_request(ASKS, worker, questions + 1)
                self.faults.ask(clear=True)
                said += self.hear(worker, GOES_ON)
                for job in jobs:
                    shown = self.spool("watch", job, "--json").json
                    self.assertEqual((shown["state"], shown["attempts"], shown["errors"]), ("succeeded", 1, []))
                worker.terminate()
                said += worker.communicate(timeout=60)[1].splitlines()
                self.assertEqual(worker.returncode, 0, said)
                self.assertEqual([sum(words in line for line in said) for words in (WAITS, GOES_ON)], [1, 1], said)

    def test_sigterm_ends_a_worker_that_waits_for_its_objects(self):
        worker = self.worker()
        self.hear(worker, "working on")
        self.faults.ask(answer=403, code="ExpiredToken", times=-1)
        job = self.submit("probe", "-i", "object:film.mp4")
        self.hear(worker, WAITS)
        self.faults.ask(clear=True)
        self.faults.ask(stall=True, times=-1)
        self.await_request(ASKS, worker)  # which hangs
        began = time.monotonic()
        worker.terminate()
        _, said = worker.communicate(timeout=300)
        self.assertEqual(worker.returncode, 0, said)
        self.assertLess(time.monotonic() - began, GIVES_UP)
        shown = self.show(job)
        self.assertEqual((shown["state"], shown["attempts"], shown["errors"]), ("available", 0, []))

    def test_a_source_that_is_missing_or_cannot_be_read_fails_its_own_job(self):
        self.put_film()
        self.faults.ask(target="film.mp4", answer=500, code="InternalError", times=-1)
        jobs = [self.submit("probe", "--attempts", "1", "-i", f"object:{name}") for name in ("film.mp4", "none.mp4")]
        self.assertNotIn(WAITS, self.spool("worker", "--until-idle").err)
        for job, code in zip(jobs, ("unavailable", "not_found")):
            shown = self.show(job)
            self.assertEqual((shown["state"], shown["attempts"], shown["errors"][0]["code"]), ("failed", 1, code))


if __name__ == "__main__":
    unittest.main()
