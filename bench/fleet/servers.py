"""The servers of a benchmark, on free ports of 127.0.0.1, in temporary folders, until they are left."""
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1


def end_with_us():
    """For a child process, before it starts."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_until(condition, processes):
    """They have to live on until then."""
    while not condition():
        if dead := [process for process in processes if process.poll() is not None]:
            raise RuntimeError(f"{dead[0].args[0]} has ended with {dead[0].returncode}")
        time.sleep(0.05)


class Postgres:
    """At its durable defaults."""

    def __enter__(self):
        self.process = subprocess.Popen([ROOT / "tests/servers/postgres", "--set", "max_connections=400"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def of(self, database):
        return self.url.rsplit("/", 1)[0] + "/" + database

    def connect(self, database):
        connection = psycopg2.connect(self.of(database))
        connection.autocommit = True
        return connection

    def sql(self, words, database="postgres", parameters=None):
        """The first value of the first row, if there is one."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(words, parameters)
                return cursor.fetchone()[0] if cursor.description else None
        finally:
            connection.close()

    def fresh(self, database):
        self.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self.sql(f"CREATE DATABASE {database}")
        return self.of(database)

    def settle(self, database):
        """What was just written is as it will be for long: with statistics, and nothing left to be flushed."""
        self.sql("VACUUM ANALYZE", database)
        self.sql("CHECKPOINT", database)

    def cpu_seconds(self):
        """Of all its processes, those that have ended too."""
        stat = lambda pid: pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        connection = self.connect("postgres")
        postmaster = stat(connection.get_backend_pid())[1]
        connection.close()
        ticks = sum(map(int, stat(postmaster)[11:15]))
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                fields = stat(process.name)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[1] == postmaster:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS


class Redis:
    """Durable: every write is synced before it is answered."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="spool-redis-")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", self.folder.name, "--appendonly", "yes",
             "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"],
            stdout=subprocess.DEVNULL, preexec_fn=end_with_us)
        while self.process.poll() is None:
            try:
                self.connection = socket.create_connection(("127.0.0.1", port))
                return self
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise RuntimeError("redis-server does not start")

    def __exit__(self, *_):
        self.connection.close()
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def fresh(self):
        self.connection.sendall(b"FLUSHALL\r\n")
        self.connection.recv(100)
        return self.url
