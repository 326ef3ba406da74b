"""tests/servers/postgres must not outlive whoever wanted it. Python's standard library only."""
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

SCRIPT = pathlib.Path(__file__).with_name("postgres")
SECONDS = 60


def accepts(url):
    where = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((where.hostname, where.port), 5).close()
        return True
    except OSError:
        return False


class Test(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="spool-servers-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "server"
        (self.folder / "tmp").mkdir()
        (self.folder / "tmp").chmod(0o777)
        self.folder.chmod(0o755)
        self.environment = {**os.environ, "TMPDIR": str(self.folder / "tmp")}

    def begin(self, *words):
        """In the foreground: the process, its URL and PgBouncer's."""
        process = subprocess.Popen([SCRIPT, "--no-fsync", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env=self.environment)
        self.addCleanup(process.stdout.close)
        url, bouncer, pid = (process.stdout.readline().strip() for _ in range(3))
        self.assertEqual(int(pid), process.pid)
        return process, url, bouncer

    def assert_gone(self, *urls):
        for url in urls:
            self.assertFalse(accepts(url), url)
        self.assertEqual(list((self.folder / "tmp").iterdir()), [])

    def test_it_stops_when_stdin_is_closed(self):
        process, url, bouncer = self.begin("--pgbouncer")
        self.assertTrue(accepts(url) and accepts(bouncer))
        process.stdin.close()
        self.assertEqual(process.wait(SECONDS), 0)
        self.assert_gone(url, bouncer)

    def test_it_stops_on_sigterm(self):
        process, url, bouncer = self.begin()
        self.assertEqual(bouncer, "-")
        process.terminate()
        self.assertEqual(process.wait(SECONDS), 0)
        process.stdin.close()
        self.assert_gone(url)

    def test_the_server_does_not_outlive_a_killed_keeper(self):
        process, url, _ = self.begin()
        pid = next((self.folder / "tmp").glob("*/data/postmaster.pid")).read_text().split("\n")[0]
        server = os.pidfd_open(int(pid))
        process.kill()
        process.wait(SECONDS)
        process.stdin.close()
        self.assertTrue(select.select([server], [], [], SECONDS)[0], "the server still runs")
        self.assertFalse(accepts(url))

    def test_it_is_stopped_and_started_on_the_same_port(self):
        process, url, _ = self.begin()
        for command, there in (("stop", False), ("start", True), ("restart", True)):
            process.stdin.write(command + "\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), "done\n")
            self.assertEqual(accepts(url), there, command)
        process.stdin.close()
        self.assertEqual(process.wait(SECONDS), 0)

    def test_one_in_the_background_lives_until_it_is_stopped(self):
        subprocess.run([SCRIPT, "start", self.file, "--no-fsync"], check=True, env=self.environment, timeout=SECONDS)
        url, _, _ = self.file.read_text().split()
        self.assertTrue(accepts(url))
        subprocess.run([SCRIPT, "stop", self.file], check=True, env=self.environment, timeout=SECONDS)
        self.assertFalse(self.file.exists())
        self.assert_gone(url)

    def test_one_in_the_background_ends_with_whoever_started_it(self):
        start = f"import subprocess; subprocess.run([{str(SCRIPT)!r}, 'start', {str(self.file)!r}, '--no-fsync'], check=True); input()"
        starter = subprocess.Popen([sys.executable, "-c", start], stdin=subprocess.PIPE, env=self.environment)
        watched = os.pidfd_open(self.keeper(starter))
        starter.send_signal(signal.SIGKILL)
        starter.wait(SECONDS)
        starter.stdin.close()
        self.assertTrue(select.select([watched], [], [], SECONDS)[0], "the keeper still runs")
        self.assertFalse(self.file.exists())
        self.assert_gone()

    def keeper(self, starter):
        while not self.file.exists():
            self.assertIsNone(starter.poll(), "it did not start")
        return int(self.file.read_text().split()[2])

    def test_what_keeps_it_from_starting_is_said(self):
        for words in (["start", self.file], []):
            run = subprocess.run([SCRIPT, *words, "--no-fsync", "--set", "shared_buffers=nonsense"], capture_output=True, text=True,
                                 env=self.environment, timeout=SECONDS, stdin=subprocess.DEVNULL)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("shared_buffers", run.stderr)
            self.assertFalse(self.file.exists())
            self.assert_gone()


if __name__ == "__main__":
    unittest.main()
