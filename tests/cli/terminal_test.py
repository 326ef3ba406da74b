"""What is drawn on a terminal: a pseudo terminal of a given size, and the screen that results."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
import unittest

from support import SPOOL, CliTest
from transcode_test import make_film
from worker_test import CONFIG, HOLD


def run_on_terminal(words, folder, environment, columns=60, steps=()):
    """Runs it on a terminal; returns (exit code, everything that was written). Of each step, one after the other, (pattern,
    action): the action is done once the pattern was seen after that of the step before; bytes are typed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(words, cwd=folder, env={**environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
                               start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(theirs)
    seen, steps, behind = b"", list(steps), 0
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        while steps and (found := re.compile(steps[0][0]).search(seen, behind)):
            behind, action = found.end(), steps.pop(0)[1]
            os.write(ours, action) if isinstance(action, bytes) else action()
    os.close(ours)
    try:
        return process.wait(20), seen.decode()
    finally:
        process.kill()


class OnATerminal(CliTest):
    def setUp(self):
        super().setUp()
        os.chmod(os.path.join(self.folder, self.write("hold", HOLD.format(folder=self.folder))), 0o755)
        self.write("spool.toml", CONFIG.format(folder=self.folder))

    def test_watch_draws_a_bar_in_place_and_clears_it(self):
        id = self.spool("submit", "exec", "command=hold", "--name", "holding").out.strip()
        worker = subprocess.Popen([SPOOL, "worker", "--until-idle"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.DEVNULL)
        code, seen = run_on_terminal([SPOOL, "watch", id], self.folder, self.environment(),
                                     steps=[(b"holding", lambda: self.write("go", ""))])
        self.assertEqual(worker.wait(60), 0)
        self.assertEqual(code, 0, seen)
        self.assertIn("\x1b[1mholding\x1b[0m", seen)
        self.assertRegex(seen, r"\d+%")
        # The last thing before the result is that the display goes: up its one line, and clear to the end.
        self.assertRegex(seen, r"\x1b\[1A\r\x1b\[J\{")

    def test_colours_are_for_terminals_without_no_color(self):
        id = self.spool("submit", "exec", "command=hold").out.strip()
        self.assertIn("\x1b[", run_on_terminal([SPOOL, "show", id], self.folder, self.environment())[1])
        self.assertNotIn("\x1b[", run_on_terminal([SPOOL, "show", id], self.folder, self.environment(NO_COLOR="1"))[1])

    def test_a_tree_is_as_wide_as_its_terminal(self):
        id = self.spool("submit", "exec", "command=hold", "--name", "n" * 200).out.strip()
        for columns in (40, 72, 100):
            _, seen = run_on_terminal([SPOOL, "show", id], self.folder, self.environment(NO_COLOR="1"), columns)
            self.assertEqual(max(len(line) for line in seen.splitlines()) <= columns, True, seen)


FILM_LADDER = """rungs:
  - {name: 720p, short_side: 720, codec: h264, crf: 20, max_bits_per_second: 4000000}
  - {name: 144p, short_side: 144, codec: h264, crf: 23, max_bits_per_second: 300000}
"""
NUMBERS = rb"\d frames/s   \d+\.\d+x real time"
GO_ON = "spool: stopped; run the same command again to go on"


def was_given_back(job):
    return job["state"] != "succeeded" and (job["progress"] > 0 or job["usage"]["cpu_seconds"] > 0)


class ATranscodeOnATerminal(CliTest):
    def setUp(self):
        super().setUp()
        make_film(os.path.join(self.folder, "film.mp4"), 40, "1280x720")
        self.write("two.yaml", FILM_LADDER)

    def transcode(self, *steps):
        words = [SPOOL, "transcode", "film.mp4", "-o", "out", "--ladder", "./two.yaml", "--speed", "balanced", "--slots", "1", "--json"]
        return run_on_terminal(words, self.folder, self.environment(NO_COLOR="1"), columns=80, steps=steps)

    def chunks(self):
        """{id: job} of the film's chunks."""
        store, objects = ("--store", "sqlite:out/.spool/spool.db"), ("--objects", "out")
        root = self.spool("jobs", *store, "--json").json["jobs"][0]["id"]
        tree = self.spool("show", root, "--all", "--json", *store, *objects).json
        return {job["id"]: job for job in tree["children"] if job["kind"] == "transcode.chunk"}

    def test_it_is_drawn_while_it_runs_and_ctrl_c_ends_it_between_two_chunks(self):
        shown = (rb"film\.mp4.*\d+%", rb"playable while it grows: \S*/out/(early|master)\.m3u8",
                 "▕[█▒·]+▏ \\d of \\d chunks".encode(), NUMBERS)
        code, seen = self.transcode(*((pattern, b"") for pattern in shown[:-1]), (NUMBERS, b"\x03"))
        self.assertEqual(code, 3, seen)
        self.assertIn(GO_ON, seen)
        self.assertIn('"code":"cancelled"', seen)
        stopped = self.chunks()
        done = {id: job for id, job in stopped.items() if job["state"] == "succeeded"}
        self.assertTrue(0 < len(done) < len(stopped), stopped)
        self.assertEqual([job for job in stopped.values() if was_given_back(job)], [])

        code, seen = self.transcode()
        self.assertEqual(code, 0, seen)
        self.assertIn('"state":"succeeded"', seen)
        self.assertNotIn(GO_ON, seen)
        for id, job in self.chunks().items():
            self.assertEqual((job["state"], job["attempts"]), ("succeeded", 1))
            self.assertEqual(job["ended"], done.get(id, job)["ended"], "a chunk that was done is done again")

    def test_ctrl_c_twice_stops_the_chunks_at_work(self):
        # Behind the first two, short chunks a long one has just begun.
        code, seen = self.transcode((rb" 2 of \d chunks", b"\x03"), (rb"Ctrl-C again stops at once", b"\x03"))
        self.assertEqual(code, 3, seen)
        self.assertIn(GO_ON, seen)
        chunks = self.chunks().values()
        self.assertEqual(sum(job["state"] == "succeeded" for job in chunks), 2, "the long one was finished")
        for job in chunks:
            if job["state"] != "succeeded":
                self.assertEqual((job["attempts"], job["errors"]), (0, []), "stopping charges nothing")


if __name__ == "__main__":
    unittest.main()
