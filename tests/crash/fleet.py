"""What the tests of a fleet share: real servers, worker processes with a network between, the faults that befall them, and the
history of every claim and end, which the database itself writes down."""
import contextlib
import glob
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest
import urllib.parse
import urllib.request

from network import Namespace, Network
from running import descendants, kill

SERVERS = pathlib.Path(__file__).resolve().parents[1] / "servers"
sys.path.insert(0, str(SERVERS))
from service import die_with_parent
LEASE = 30  # seconds, of a worker (src/queue/worker.h)
SEED = int(os.environ.get("SPOOL_CHAOS_SEED", random.randrange(1 << 30)))
SECONDS_TO_END = 60
# Every claim (its token and session), how each left the table of running jobs, and every end, each with its transaction.
HISTORY = """
CREATE SCHEMA history;
CREATE TABLE history.event (n bigint GENERATED ALWAYS AS IDENTITY, what text, seq bigint, token uuid, session bigint,
  at timestamptz DEFAULT clock_timestamp(), xid bigint DEFAULT pg_current_xact_id()::text::bigint);
CREATE FUNCTION history.claimed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO history.event (what, seq, token, session) VALUES ('claimed', new.seq, new.token, new.session); RETURN NULL; END $$;
CREATE FUNCTION history.left() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO history.event (what, seq, token, session) VALUES ('left', old.seq, old.token, old.session); RETURN NULL; END $$;
CREATE FUNCTION history.handed_over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO history.event (what, seq, token, session) VALUES ('handed over', old.seq, new.token, new.session); RETURN NULL; END $$;
CREATE FUNCTION history.ended() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO history.event (what, seq, token) VALUES ('ended', new.seq, new.token); RETURN NULL; END $$;
CREATE TRIGGER history_claimed AFTER INSERT ON spool.running FOR EACH ROW EXECUTE FUNCTION history.claimed();
CREATE TRIGGER history_handed_over AFTER UPDATE OF session ON spool.running FOR EACH ROW EXECUTE FUNCTION history.handed_over();
CREATE TRIGGER history_left AFTER DELETE ON spool.running FOR EACH ROW EXECUTE FUNCTION history.left();
CREATE TRIGGER history_ended AFTER INSERT ON spool.outcome FOR EACH ROW EXECUTE FUNCTION history.ended();
"""


def say(line):
    print(line, file=sys.stderr, flush=True)


class Postgres:
    """A real one, durable as by default, that can be made to crash. `more`: options of tests/servers/postgres. Raises PermissionError
    where it can have no --disk."""

    def __init__(self, *more):
        self.process = subprocess.Popen([SERVERS / "postgres", "--set", "max_connections=600", *map(str, more)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.admin = self.process.stdout.readline().strip()
        if not self.admin:
            raise PermissionError("the server's disk cannot be mounted") if self.process.wait() == 77 else AssertionError("no server")
        for _ in range(2):
            self.process.stdout.readline()
        self.port = urllib.parse.urlsplit(self.admin).port

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n", "the server's keeper has ended"

    def url(self, database, port=None, host="127.0.0.1"):
        return f"postgres://spool@{host}:{port or self.port}/{database}"

    def ask(self, sql, database="postgres", patience=SECONDS_TO_END):
        """Rows of text, as soon as the server is there to answer. What is asked for may be done twice."""
        deadline = time.monotonic() + patience
        while True:
            done = subprocess.run(["psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", self.url(database), "-f", "-"], input=sql, text=True,
                                  capture_output=True, timeout=patience)
            if done.returncode == 0:
                return [line.split("|") for line in done.stdout.splitlines()]
            if done.returncode != 2 and "terminat" not in done.stderr or time.monotonic() > deadline:  # 2: the connection
                raise AssertionError(f"{sql}\n{done.stderr}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(SECONDS_TO_END)
        self.process.stdout.close()


class Swift:
    """A real S3 service, and its own interface, which needs no signatures."""

    def __init__(self):
        self.process = subprocess.Popen([SERVERS / "swift"], stdout=subprocess.PIPE, text=True)
        self.told = json.loads(self.process.stdout.readline())
        self.port = urllib.parse.urlsplit(self.told["endpoint"]).port
        self.keys = {"AWS_ACCESS_KEY_ID": self.told["access_key"], "AWS_SECRET_ACCESS_KEY": self.told["secret_key"]}

    def url(self, prefix, port=None, host="127.0.0.1"):
        return f"s3://{self.told['bucket']}/{prefix}?endpoint=http://{host}:{port or self.port}&region={self.told['region']}"

    def request(self, path, data=None, method="GET"):
        asked = urllib.request.Request(f"{self.told['storage_url']}/{self.told['bucket']}{path}", data=data, method=method,
                                       headers={"X-Auth-Token": self.told["token"]})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.read()

    def names(self, prefix):
        query = urllib.parse.urlencode({"prefix": prefix, "format": "json", "limit": 10000})
        return [entry["name"] for entry in json.loads(self.request(f"?{query}"))]

    def get(self, name):
        return self.request("/" + urllib.parse.quote(name))

    def put(self, name, data):
        self.request("/" + urllib.parse.quote(name), data, "PUT")

    def close(self):
        self.process.terminate()
        self.process.wait(SECONDS_TO_END)
        self.process.stdout.close()


def clock_off_by(seconds):
    """The variables under which a program, but none of its sandboxed children, believes that it is earlier or later."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise AssertionError("libfaketime is missing: scripts/setup test")
    return {"LD_PRELOAD": found[0], "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class Worker:
    """A process, its ways to the servers, and what it says. tend() does what a service's manager would: one that has ended, because it
    found no database when it began, is started again."""

    def __init__(self, name, command, environment, log, proxies, namespace=None):
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.proxies, self.namespace = proxies, namespace
        self.start()

    def start(self):
        self.began, self.killed = time.monotonic(), False
        inside = self.namespace.command() if self.namespace else []
        with open(self.log, "ab") as log:
            self.said_before = log.tell()
            self.process = subprocess.Popen([*inside, *self.command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment}, preexec_fn=die_with_parent)

    def lives(self):
        return self.process.poll() is None

    def has_begun(self):
        return b"working on" in pathlib.Path(self.log).read_bytes()[self.said_before:]

    def tend(self):
        if self.killed or self.lives():
            return
        assert self.process.returncode > 0, f"{self.name} has ended with {self.process.returncode} by itself"
        if time.monotonic() > self.began + 1:
            self.start()

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()


class Faults:
    """What can happen to a fleet: each kind is a method that says what it did and how it is undone (None: it is over at once), or
    nothing where it finds nothing to hit. What is not undone when it is time for the next one goes on beside it."""

    def __init__(self, chance, workers, postgres, longest, children=True):
        self.chance, self.workers, self.postgres, self.longest = chance, workers, postgres, longest
        self.server_is_away = False
        self.kinds = [self.kill_worker, self.stop_worker, self.restart_server, self.drop_connections, self.delay_connections,
                      self.half_open_connections, self.lose_answers]
        if children:
            self.kinds += [self.kill_child, self.stop_child]
        if any(worker.namespace for worker in workers):
            self.kinds.append(self.cut_namespace)
        self.struck = {kind.__name__: 0 for kind in self.kinds}
        self.going_on = []  # (until when, undo)

    def some_worker(self):
        living = [worker for worker in self.workers if worker.lives()]
        return self.chance.choice(living) if living else None

    def some_child(self, worker):
        below = descendants(worker.process.pid)
        return self.chance.choice(below) if below else None

    def kill_worker(self):
        if worker := self.some_worker():
            worker.kill()
            return f"SIGKILL of {worker.name}", worker.start

    def kill_child(self):
        worker = self.some_worker()
        if worker and (child := self.some_child(worker)) and kill(child):
            return f"SIGKILL of a child of {worker.name}", None

    def stop_worker(self):
        if worker := self.some_worker():
            process = worker.process
            process.send_signal(signal.SIGSTOP)
            return f"SIGSTOP of {worker.name}", lambda: process.send_signal(signal.SIGCONT)

    def stop_child(self):
        worker = self.some_worker()
        if worker and (child := self.some_child(worker)) and kill(child, signal.SIGSTOP):
            return f"SIGSTOP of a child of {worker.name}", lambda: kill(child, signal.SIGCONT)

    def restart_server(self):
        if self.server_is_away:
            return None
        self.postgres.tell("stop")  # as pg_ctl's stop -m immediate does
        self.server_is_away = True

        def start():
            self.postgres.tell("start")
            self.server_is_away = False

        return "PostgreSQL stops immediately", start

    def some_ways(self):
        """(whose, to what, proxies): of one worker or of all, to one server."""
        whom = self.chance.choice([*self.workers, None])
        way = self.chance.choice(sorted(self.workers[0].proxies))
        return whom.name if whom else "all", way, [worker.proxies[way] for worker in ([whom] if whom else self.workers)]

    def drop_connections(self):
        whose, way, proxies = self.some_ways()
        for proxy in proxies:
            proxy.cut()
        return f"connections of {whose} to {way} end", None

    def delay_connections(self):
        whose, way, proxies = self.some_ways()
        for proxy in proxies:
            proxy.hold(True)
        return f"connections of {whose} to {way} are slow", lambda: [proxy.hold(False) for proxy in proxies]

    def half_open_connections(self, answers_alone=False):
        whose, way, proxies = self.some_ways()
        for proxy in proxies:
            proxy.lose(True, answers_alone)
        what = "answers are lost" if answers_alone else "half-open"
        return f"connections of {whose} to {way}: {what}", lambda: [proxy.lose(False) for proxy in proxies]

    def lose_answers(self):
        return self.half_open_connections(answers_alone=True)

    def cut_namespace(self):
        worker, = (worker for worker in self.workers if worker.namespace)
        worker.namespace.cut(True)
        return f"{worker.name} is cut off in its network namespace", lambda: worker.namespace.cut(False)

    def duration(self):
        """Mostly short; one in six may outlast a lease."""
        return self.chance.uniform(0, self.longest if self.chance.random() < 1 / 6 else min(4, self.longest))

    def strike(self):
        """One fault, of the kind that has struck least, or of any, as chance has it."""
        while True:
            least = min(self.struck.values())
            fresh = [kind for kind in self.kinds if self.struck[kind.__name__] == least]
            kind = self.chance.choice(self.chance.choice([fresh, self.kinds]))
            if done := kind():
                break
        said, undo = done
        self.struck[kind.__name__] += 1
        seconds = self.duration()
        say(f"  {said} ({seconds:.1f} s)" if undo else f"  {said}")
        if undo:
            self.going_on.append((time.monotonic() + seconds, undo))

    def tend(self, everything=False):
        """Ends what has lasted its time, or everything."""
        for worker in self.workers:
            worker.tend()
        now = time.monotonic()
        over = [fault for fault in self.going_on if everything or fault[0] <= now]
        self.going_on = [fault for fault in self.going_on if fault not in over]
        for _, undo in over:
            undo()


class HistoryTest(unittest.TestCase):
    """Workers of a database whose history is written: what they said and did."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.workers = []

    def opened(self, thing):
        self.stack.callback(thing.close)
        return thing

    def what_workers_said(self):
        return "\n".join(f"--- {worker.name}\n{pathlib.Path(worker.log).read_text(errors='replace')[-3000:]}" for worker in self.workers)

    def drain_fleet(self):
        """Each ends by SIGTERM, in order."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            try:
                code = worker.process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                code = None
            # Who was just being started may have found no database, or have died before it heard signals: nobody tends it any more.
            if worker.has_begun() or code not in (3, -signal.SIGTERM):
                self.assertEqual(code, 0, f"{worker.name} did not end in order\n{self.what_workers_said()}")
        self.workers = []

    def assert_nothing_was_lost_or_settled_twice(self, database):
        ask = lambda sql: self.postgres.ask(sql, database)
        left = ask("SELECT (SELECT count(*) FROM spool.ready) + (SELECT count(*) FROM spool.parked) + (SELECT count(*) FROM spool.running)")
        self.assertEqual(left, [["0"]], "jobs are left that are not ended")
        ends = ask("SELECT j.id, count(o.n) FROM spool.job j LEFT JOIN spool.outcome o ON o.seq = j.seq AND NOT o.superseded"
                   " GROUP BY j.id HAVING count(o.n) <> 1")
        self.assertEqual(ends, [], "jobs that have not ended once")
        self.check_history(ask("SELECT what, seq, token, session, xid FROM history.event ORDER BY n"))

    def check_history(self, events):
        """A job is held by one attempt at a time, and what has a token ends in the transaction in which that attempt let go of it."""
        held, let_go = {}, {}
        for what, seq, token, session, xid in events:
            if what == "claimed":
                self.assertNotIn(seq, held, "claimed while another attempt held it")
                held[seq] = (token, session)
            elif what == "handed over":  # to the same worker's next session
                self.assertEqual(held.get(seq, (None,))[0], token, "what was handed over was not held")
                held[seq] = (token, session)
            elif what == "left":
                self.assertEqual(held.pop(seq, None), (token, session), "an attempt let go of what it did not hold")
                let_go[seq] = (token, xid)
            elif token:
                self.assertEqual(let_go.get(seq), (token, xid), "a stale token has written")
        self.assertEqual(held, {}, "still held")


class FleetTest(HistoryTest):
    """Four workers of `command()`, on a database of their own."""

    def setUp(self):
        super().setUp()
        say(f"SPOOL_CHAOS_SEED={SEED}")
        self.chance = random.Random(SEED)
        self.postgres = self.opened(Postgres())
        self.network = self.opened(Network())
        try:
            self.namespace = self.opened(Namespace())
        except PermissionError as refused:
            self.namespace = None
            self.addCleanup(self.report_skipped, str(refused))

    def report_skipped(self, why):  # at the end: a skip in setUp would keep the test from running
        with self.subTest("a worker that is cut off"):
            self.skipTest(why)

    def start_fleet(self, folder, database, make, clocks=(0, 0, 0, 0)):
        """make(ways) gives a worker's command and environment; ways: {server: (host, port)}."""
        for number, clock in enumerate(clocks):
            namespace = self.namespace if number == len(clocks) - 1 else None
            host = namespace.address if namespace else "127.0.0.1"
            proxies = {name: self.network.proxy(port, host) for name, port in self.servers().items()}
            command, environment = make(database, {name: (host, proxy.port) for name, proxy in proxies.items()})
            if clock:
                environment = {**environment, **clock_off_by(clock)}
            worker = Worker(f"worker {number}", command, environment, folder / f"{database}-worker-{number}.log", proxies, namespace)
            self.workers.append(worker)
            self.stack.callback(worker.kill)

    def servers(self):
        """{name: port} of what workers reach through proxies."""
        return {"PostgreSQL": self.postgres.port}

    def disturb(self, database, faults, most, rest, ended):
        """At most so many faults with such pauses at most between them, until it has ended(), and then peace. Returns how many there
        were. What was hit goes on within two leases."""
        struck, next_one = 0, time.monotonic() + self.chance.uniform(0, rest)
        while struck < most and not (not faults.server_is_away and ended()):
            faults.tend()
            if time.monotonic() >= next_one:
                faults.strike()
                struck += 1
                next_one = time.monotonic() + self.chance.uniform(0, rest)
            time.sleep(0.1)
        while faults.going_on and not (not faults.server_is_away and ended()):
            faults.tend()
            time.sleep(0.1)
        faults.tend(everything=True)
        self.assert_goes_on(database, ended)
        return struck

    def assert_goes_on(self, database, ended):
        """From now on no two leases pass in which no job ends."""
        began = time.monotonic()
        seen, last = None, began
        while not ended():
            for worker in self.workers:
                worker.tend()
            rows = self.postgres.ask("SELECT count(*) FROM history.event WHERE what = 'ended'", database)
            if rows != seen:
                seen, last = rows, time.monotonic()
            self.assertLess(time.monotonic() - last, 2 * LEASE, f"nothing goes on any more\n{self.what_workers_said()}")
            time.sleep(0.1)
        say(f"  ended {time.monotonic() - began:.1f} s after the last fault was over")
