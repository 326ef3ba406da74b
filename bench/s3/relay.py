"""A TCP relay before a service, that notes what the service really sends. Python's standard library only."""
import contextlib
import socket
import threading
import time

MOST = 256 << 10  # bytes at once


class Relay:
    """On a port of its own until the program ends. `came`: (Unix time, bytes) of what came from the service."""

    def __init__(self, host, port):
        self.service = (host, port)
        self.came = []
        self.server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.endpoint = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            client, _ = self.server.accept()
            service = socket.create_connection(self.service)
            for side in (client, service):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pass_on, args=(client, service, None), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(service, client, self.came), daemon=True).start()

    @staticmethod
    def pass_on(source, sink, came):
        with contextlib.suppress(OSError):  # one of them has gone: so has the connection
            while data := source.recv(MOST):
                if came is not None:
                    came.append((time.time(), len(data)))
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def between(self, begin, end):
        return sum(size for when, size in self.came if begin <= when < end)
