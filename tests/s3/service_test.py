"""tests/servers/service.py: servers end with whoever started them, however that ends, and leave nothing."""
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import unittest

SERVERS = pathlib.Path(__file__).resolve().parents[1] / "servers"
# A service of one server, which listens, or ends at once with words where it is told to.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from service import Service, free_ports, run_until_told

class One(Service):
    name, patience = "one", 30
    def start(self):
        port, = free_ports(1)
        server = "import socket, signal; s = socket.create_server(('127.0.0.1', %d)); signal.pause()" % port
        self.start_server("server", [sys.executable, "-c", "raise SystemExit('no luck')" if sys.argv[2:] else server])
        self.wait_for_port("server", port)
        return {"folder": str(self.folder), "server": self.servers["server"].pid}

run_until_told(One)
"""


class Test(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="spool-service-test-")
        self.addCleanup(folder.cleanup)
        self.environment = {**os.environ, "TMPDIR": folder.name}
        self.folder = pathlib.Path(folder.name)

    def command(self, *more):
        return [sys.executable, "-B", "-c", PROGRAM, str(SERVERS), *more]

    def has_ended(self, pid):
        """Waits for the end of a process that may be nobody's child here."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], 30)[0])
        finally:
            os.close(descriptor)

    def test_a_service_says_how_to_use_it_and_ends_when_it_is_told(self):
        service = subprocess.Popen(self.command(), stdout=subprocess.PIPE, text=True, env=self.environment)
        said = json.loads(service.stdout.readline())
        self.assertTrue(pathlib.Path(said["folder"]).is_dir())
        service.send_signal(signal.SIGTERM)
        self.assertEqual(service.wait(30), 0)
        service.stdout.close()
        self.assertTrue(self.has_ended(said["server"]))
        self.assertEqual(list(self.folder.iterdir()), [], "its folder is left")

    def test_a_service_ends_with_its_parent(self):
        parent_program = "import subprocess, sys; subprocess.run(sys.argv[1:])"
        parent = subprocess.Popen([sys.executable, "-c", parent_program, *self.command()], stdout=subprocess.PIPE, text=True,
                                  env=self.environment)
        said = json.loads(parent.stdout.readline())
        parent.kill()
        parent.wait(30)
        self.assertTrue(self.has_ended(said["server"]))
        self.assertEqual(parent.stdout.read(), "", "and closes what it has, so it has ended too")
        parent.stdout.close()
        self.assertEqual(list(self.folder.iterdir()), [], "its folder is left")

    def test_a_killed_service_takes_its_servers_along(self):
        service = subprocess.Popen(self.command(), stdout=subprocess.PIPE, text=True, env=self.environment)
        said = json.loads(service.stdout.readline())
        service.kill()
        service.wait(30)
        service.stdout.close()
        self.assertTrue(self.has_ended(said["server"]))

    def test_a_server_that_does_not_come_up_is_quoted(self):
        done = subprocess.run(self.command("fail"), capture_output=True, text=True, timeout=60, env=self.environment)
        self.assertEqual(done.returncode, 1)
        self.assertIn("one: server does not come up", done.stderr)
        self.assertIn("no luck", done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [], "its folder is left")


if __name__ == "__main__":
    unittest.main()
