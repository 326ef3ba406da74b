"""A worker whose files are in a bucket: a real Swift, behind a proxy that can let requests hang."""
import json
import os
import signal
import subprocess
import time
import unittest
import urllib.request

from support import SOURCE, SPOOL, CliTest

GIVES_UP = 30  # seconds after which a silent service is not waited for any more; then it is tried again
GRACE = 10     # that a job which is asked to stop has


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

    def environment(self, **more):
        said = self.swift.said
        return super().environment(
            SPOOL_OBJECTS=f"s3://{said['bucket']}?endpoint={self.faults.said['endpoint']}&region={said['region']}",
            AWS_ACCESS_KEY_ID=said["access_key"], AWS_SECRET_ACCESS_KEY=said["secret_key"], **more)

    def put(self, name, data):
        said = self.swift.said
        request = urllib.request.Request(f"{said['storage_url']}/{said['bucket']}/{name}", data, {"X-Auth-Token": said["token"]},
                                         method="PUT")
        urllib.request.urlopen(request, timeout=60).close()

    def await_request(self, pattern, worker):
        while self.faults.ask(count=pattern)["count"] == 0:
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


if __name__ == "__main__":
    unittest.main()
