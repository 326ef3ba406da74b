"""tests/crash/network.py does the damage that it says."""
import socket
import subprocess
import time
import unittest

from network import Namespace, Network


class Test(unittest.TestCase):
    def setUp(self):
        self.network = Network()
        self.addCleanup(self.network.close)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.proxy = self.network.proxy(self.listener.getsockname()[1])

    def connect(self):
        """(client, server) of a connection through the proxy."""
        client = socket.create_connection(("127.0.0.1", self.proxy.port), 30)
        server, _ = self.listener.accept()
        for end in (client, server):
            end.settimeout(30)
            self.addCleanup(end.close)
        return client, server

    def assert_passes(self, sender, receiver):
        sender.sendall(b"word")
        self.assertEqual(receiver.recv(4), b"word")

    def assert_lost(self, sender, receiver):
        """What is sent now does not arrive before what arrives through another connection."""
        sender.sendall(b"word")
        end = time.monotonic() + 30
        while not self.proxy.has_lost() and time.monotonic() < end:
            pass
        self.proxy.lose(False)
        self.assert_passes(*self.connect())
        receiver.settimeout(0.1)
        with self.assertRaises(TimeoutError):
            receiver.recv(4)

    def test_it_passes_both_ways_and_ends_with_either_side(self):
        client, server = self.connect()
        self.assert_passes(client, server)
        self.assert_passes(server, client)
        client.close()
        self.assertEqual(server.recv(1), b"")

    def test_what_is_cut_ends_on_both_sides(self):
        client, server = self.connect()
        self.assert_passes(client, server)
        self.proxy.cut()
        self.assertEqual(client.recv(1), b"")
        self.assertEqual(server.recv(1), b"")
        self.assert_passes(*self.connect())

    def test_what_is_held_arrives_when_it_is_let_go(self):
        client, server = self.connect()
        self.proxy.hold(True)
        client.sendall(b"word")
        server.settimeout(0.1)
        with self.assertRaises(TimeoutError):
            server.recv(4)
        self.proxy.hold(False)
        server.settimeout(30)
        self.assertEqual(server.recv(4), b"word")

    def test_half_open_loses_all_and_stays_so(self):
        client, server = self.connect()
        self.assert_passes(client, server)
        self.proxy.lose(True)
        self.assert_lost(client, server)
        self.assert_lost(server, client)

    def test_only_answers_may_be_lost(self):
        client, server = self.connect()
        self.proxy.lose(True, answers_alone=True)
        self.assert_passes(client, server)
        self.assert_lost(server, client)

    def test_a_namespace_reaches_this_machine_until_it_is_cut_off(self):
        try:
            namespace = Namespace()
        except PermissionError as refused:
            self.skipTest(str(refused))
        self.addCleanup(namespace.close)
        proxy = self.network.proxy(self.listener.getsockname()[1], namespace.address)
        ask = [*namespace.command(), "bash", "-c", f"echo word > /dev/tcp/{namespace.address}/{proxy.port}"]
        self.assertEqual(subprocess.run(ask, timeout=30).returncode, 0)
        server, _ = self.listener.accept()
        with server:
            self.assertEqual(server.recv(4), b"word")
        namespace.cut(True)
        with self.assertRaises(subprocess.TimeoutExpired):
            subprocess.run(ask, timeout=0.5)
        namespace.cut(False)
        self.assertEqual(subprocess.run(ask, timeout=30).returncode, 0)


if __name__ == "__main__":
    unittest.main()
