"""What the services of tests/servers have in common: servers in a temporary folder, on free ports of 127.0.0.1, that end with
whoever started them and leave nothing.
"""
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


def free_ports(count):
    """Numbers of ports that nobody uses at the moment, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def die_with_parent(death=signal.SIGKILL):
    ctypes.CDLL(None).prctl(1, death)  # PR_SET_PDEATHSIG


class Service:
    """Its servers. A subclass has a `name`, `patience` (seconds for all of it to start), and start(), which tells in a
    dictionary how to use it."""

    def __init__(self, folder):
        self.folder = folder
        self.servers = {}
        self.end = time.monotonic() + self.patience

    def start_server(self, name, command):
        said = open(self.folder / f"{name}.said", "wb")
        self.servers[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                              preexec_fn=die_with_parent)

    def wait_for(self, name, attempt):
        """What `attempt` gives, as soon as it raises nothing, and as long as that server lives."""
        while True:
            try:
                return attempt()
            except OSError as error:  # and what urllib raises
                if self.servers[name].poll() is not None or time.monotonic() > self.end:
                    said = (self.folder / f"{name}.said").read_text(errors="replace")[-2000:]
                    sys.exit(f"{self.name}: {name} does not come up: {error}\n{said}")
                time.sleep(0.02)

    def wait_for_port(self, name, port):
        self.wait_for(name, lambda: socket.create_connection(("127.0.0.1", port), 1).close())

    def stop(self):
        for server in self.servers.values():
            server.kill()
        for server in self.servers.values():
            server.wait()


def end_once(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would end the clearing up
    sys.exit(0)


def run_until_told(make, place=None):
    """Starts make(folder), prints how to use it as a line of JSON, and waits for SIGTERM, Ctrl-C or the parent's end."""
    parent = os.getppid()
    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGTERM, end_once)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="spool-service-", dir=place))
    service = None
    try:
        service = make(folder)
        print(json.dumps(service.start()), flush=True)
        while True:
            signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        if service:
            service.stop()
        shutil.rmtree(folder, ignore_errors=True)
