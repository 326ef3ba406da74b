"""What is drawn on a terminal: a pseudo terminal of a given size, and the screen that results."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
import unittest

from support import SPOOL, CliTest
from worker_test import CONFIG, HOLD


def run_on_terminal(words, folder, environment, columns=60, until=None, then=None):
    """Runs it on a terminal; returns (exit code, everything that was written). `then` is called once `until` was seen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(words, cwd=folder, env={**environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        if until and until in seen:
            then()
            until = None
    os.close(ours)
    return process.wait(20), seen.decode()


class OnATerminal(CliTest):
    def setUp(self):
        super().setUp()
        os.chmod(os.path.join(self.folder, self.write("hold", HOLD.format(folder=self.folder))), 0o755)
        self.write("spool.toml", CONFIG.format(folder=self.folder))

    def test_watch_draws_a_bar_in_place_and_clears_it(self):
        id = self.spool("submit", "exec", "command=hold", "--name", "holding").out.strip()
        worker = subprocess.Popen([SPOOL, "worker", "--until-idle"], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.DEVNULL)
        code, seen = run_on_terminal([SPOOL, "watch", id], self.folder, self.environment(), until=b"holding",
                                     then=lambda: self.write("go", ""))
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


if __name__ == "__main__":
    unittest.main()
