"""The same program on PostgreSQL: the fleet's store, and jobs from anybody's transaction (docs/enqueue_from_sql.md)."""
import hashlib
import json
import os
import re
import subprocess
import unittest

from support import SOURCE, SPOOL, CliTest

NIL = "00000000-0000-0000-0000-000000000000"
CONFIG = """
[commands.count]
command = ["/bin/sh", "-c", "printf '{\\"result\\": {\\"words\\": 3}}\\\\n'"]
"""


class Postgres(CliTest):
    server_options = ()

    def setUp(self):
        super().setUp()
        self.write("spool.toml", CONFIG)
        self.server = subprocess.Popen([os.path.join(SOURCE, "tests/servers/postgres"), "--no-fsync", *self.server_options],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        self.admin, self.bouncer = (self.server.stdout.readline().strip() for _ in range(2))
        self.psql("CREATE DATABASE app")
        self.url = self.admin.rsplit("/", 1)[0] + "/app"

    def stop(self):
        self.server.stdin.close()
        self.server.wait(timeout=60)
        self.server.stdout.close()

    def tell(self, command):
        self.server.stdin.write(command + "\n")
        self.server.stdin.flush()
        while self.server.stdout.readline().strip() != "done":
            self.assertIsNone(self.server.poll())

    def run_psql(self, sql, url=None):
        return subprocess.run(["psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", url or self.admin, "-f", "-"], input=sql,
                              text=True, capture_output=True, timeout=60)

    def psql(self, sql, url=None):
        done = self.run_psql(sql, url)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def refused(self, sql, url=None):
        done = self.run_psql(sql, url)
        self.assertNotEqual(done.returncode, 0, sql)
        return done.stderr

    def on_store(self, *words, **more):
        return self.spool(*words, "--store", self.url, **more)

    def start_worker(self):
        """Its process, and what `spool workers` says of it."""
        worker = subprocess.Popen([SPOOL, "worker", "--store", self.url], cwd=self.folder, env=self.environment(),
                                  stderr=subprocess.PIPE, text=True)
        for undo in (worker.stderr.close, worker.wait, worker.kill):
            self.addCleanup(undo)
        while "working on" not in worker.stderr.readline():
            self.assertIsNone(worker.poll())
        while not (workers := self.on_store("workers", "--json").json["workers"]):
            self.assertIsNone(worker.poll())
        return worker, workers

    def application(self):
        """A role with rights to enqueue alone, and a table of its own; returns the URL by which it connects."""
        self.psql("CREATE ROLE shop LOGIN PASSWORD 'sesame'")
        self.psql("SELECT spool.allow('shop'); CREATE TABLE public.orders (film text); GRANT ALL ON public.orders TO shop", self.url)
        return re.sub(r"//[^@]*@", "//shop:sesame@", self.url)


class Store(Postgres):
    def test_commands_work_as_on_a_file(self):
        run = self.on_store("submit", "exec", "command=count", "--json")
        job = run.json["id"]
        self.assertEqual(self.on_store("show", job, "--json").json["state"], "available")
        self.on_store("worker", "--until-idle", "--slots", "1")
        shown = self.on_store("show", job, "--json").json
        self.assertEqual(shown["state"], "succeeded", shown["errors"])
        self.assertEqual([j["id"] for j in self.on_store("jobs", "--json").json["jobs"]], [job])
        self.on_store("rm", job)
        self.assertEqual(self.on_store("show", job, code=2).code, 2)

    def test_a_worker_is_idle_when_what_is_left_is_for_others(self):
        tagged, mine = (self.on_store("submit", "exec", "command=count", *tag).out.strip() for tag in (("--tag", "gpu"), ()))
        self.assertIn("spool: idle: 1 job is left for other workers\n", self.on_store("worker", "--until-idle").err)
        for job, state in ((tagged, "available"), (mine, "succeeded")):
            self.assertEqual(self.on_store("show", job, "--json").json["state"], state)

    def test_a_worker_is_drained_from_elsewhere(self):
        worker, workers = self.start_worker()
        self.assertEqual(self.on_store("worker", "--drain", workers[0]["id"][:18]).out, f"drained {workers[0]['host']}:{worker.pid}\n")
        self.assertEqual(worker.wait(60), 0)

    def test_a_worker_need_not_own_the_schema(self):
        self.on_store("migrate")
        self.psql("CREATE ROLE fleet LOGIN PASSWORD 'sesame'")
        self.psql("CREATE ROLE keeper", self.url)
        self.psql("ALTER SCHEMA spool OWNER TO keeper", self.url)
        self.psql("SELECT spool.allow_worker('fleet')", self.url)  # as a superuser, who is not the owner
        owner, self.url = self.url, re.sub(r"//[^@]*@", "//fleet:sesame@", self.url)
        job = self.on_store("submit", "exec", "command=count").out.strip()
        self.spool("schedule", "add", "nightly", "--cron", "30 2 * * *", "--store", self.url, "--", "exec", "command=count")
        self.on_store("limit", "set", "--queue", "default", "--concurrency", "4")
        self.on_store("worker", "--until-idle")
        self.assertEqual(self.on_store("show", job, "--json").json["state"], "succeeded")
        for words in (("jobs",), ("workers",), ("queues",), ("stats",), ("schedule", "list"), ("prune", "--keep", "1"), ("rm", job)):
            self.on_store(*words)
        self.psql("SET ROLE keeper; CREATE TABLE spool.later (n bigserial)", owner)  # as a later migration would
        self.psql("INSERT INTO spool.later DEFAULT VALUES", self.url)
        self.assertIn("must be owner", self.refused("ALTER TABLE spool.job ADD COLUMN x integer", self.url))
        self.assertIn("permission denied", self.refused("CREATE TABLE spool.mine ()", self.url))

    def test_a_rolling_restart_loses_nothing_and_charges_no_attempts(self):
        self.write("spool.toml", '[commands.short]\ncommand = ["sleep", "0.2"]\n')
        for _ in range(24):
            self.on_store("submit", "exec", "command=short")

        def start():
            worker = subprocess.Popen([SPOOL, "worker", "--slots", "2", "--store", self.url], cwd=self.folder,
                                      env=self.environment(), stderr=subprocess.DEVNULL)
            self.addCleanup(worker.kill)
            return worker

        workers = [start(), start()]
        for place in range(2):
            old = workers[place]
            while not any(w["running"] for w in self.on_store("workers", "--json").json["workers"] if w["pid"] == old.pid):
                self.assertIsNone(old.poll())
            workers[place] = start()
            old.terminate()
            self.assertEqual(old.wait(60), 0)
        while self.psql("SELECT count(*) FROM spool.job_status WHERE ended IS NULL", self.url) != "0":
            self.assertIsNone(workers[0].poll())
        self.assertEqual(self.psql("SELECT DISTINCT state, attempts FROM spool.job_status", self.url), "succeeded|1")
        self.assertEqual(self.psql("SELECT count(*) FROM spool.failure", self.url), "0")
        for worker in workers:
            worker.terminate()
            self.assertEqual(worker.wait(60), 0)

    def test_who_waits_goes_on_waiting_while_the_server_is_away(self):
        self.write("spool.toml", f'[commands.wait]\ncommand = ["sh", "-c", "read x < {self.folder}/go"]\n')
        os.mkfifo(os.path.join(self.folder, "go"))
        worker, [about] = self.start_worker()
        job = self.on_store("submit", "exec", "command=wait").out.strip()
        while self.on_store("show", job, "--json").json["state"] != "running":
            self.assertIsNone(worker.poll())
        waiting = {}
        for words in (["watch", job], ["worker", "--drain", about["id"]]):
            one = subprocess.Popen([SPOOL, *words, "--store", self.url], cwd=self.folder, env=self.environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for undo in (one.stdout.close, one.stderr.close, one.wait, one.kill):
                self.addCleanup(undo)
            waiting[words[0]] = one
        self.assertIn("waiting until what they run has ended", waiting["worker"].stderr.readline())
        while self.psql("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%j.most_attempts%'") == "0":
            self.assertIsNone(waiting["watch"].poll())  # until it watches
        self.tell("stop")
        for one in waiting.values():
            self.assertIn("the store does not answer, waiting for it", one.stderr.readline())
        self.tell("start")
        with open(os.path.join(self.folder, "go"), "w") as go:
            go.write("\n")
        for one in waiting.values():
            self.assertEqual(one.wait(60), 0, one.stderr.read())
        self.assertEqual(worker.wait(60), 0)
        self.assertEqual(self.on_store("show", job, "--json").json["rescues"], 0)

    def test_migrate_says_the_version_and_may_be_run_again(self):
        for _ in range(2):
            self.assertGreater(self.on_store("migrate", "--json").json["schema"], 0)
        self.assertIn("only a PostgreSQL store", self.spool("migrate", "--store", "sqlite:x.db", code=2).err)

    def test_who_looks_at_an_empty_database_is_told_and_leaves_it_empty(self):
        job = "01890a5d-ac96-774b-bcce-b302099a8057"
        for words in (["workers"], ["queues"], ["stats"], ["jobs"], ["show", job], ["watch", job], ["cancel", job], ["prune", "--keep", "1"],
                      ["schedule", "list"], ["limit", "list"], ["worker", "--drain", "all"]):
            self.assertIn("there is no spool schema in this database", self.on_store(*words, code=2).err, words)
        doctor = self.on_store("doctor", code=None)
        self.assertNotEqual(doctor.code, 0)
        self.assertIn("there is no spool schema in this database", doctor.out)
        self.assertEqual(self.psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'spool'", self.url), "0")

    def test_a_worker_and_a_submit_make_the_schema(self):
        for command in (["submit", "exec", "command=count"], ["worker", "--until-idle", "--slots", "1"]):
            self.on_store(*command)
            self.on_store("jobs")
            self.psql("DROP SCHEMA spool CASCADE", self.url)

    def test_a_newer_schema_is_refused_in_words(self):
        self.on_store("migrate")
        self.psql("INSERT INTO spool.schema_version (version, file) VALUES (999, 'later')", self.url)
        for words in (["jobs"], ["worker", "--until-idle"], ["submit", "exec", "command=count"], ["migrate"]):
            self.assertIn("use a newer spool", self.on_store(*words, code=2).err, words)

    def test_what_cannot_be_reached_is_named_without_its_password(self):
        for url, told in (("postgres://spool:sesame@127.0.0.1:1/app", "127.0.0.1"),
                          (self.url.rsplit("/", 1)[0] + "/nowhere", "nowhere"),
                          ("postgres://spool:sesame@127.0.0.1:port/app", "port")):
            run = self.spool("jobs", "--store", url, code=None)
            self.assertIn(run.code, (2, 3))
            self.assertIn(told, run.err)
            self.assertNotIn("sesame", run.err)

    def test_a_password_that_breaks_the_url_is_told_how_to_be_written_and_not_shown(self):
        for store, told in (("postgres://spool:p@sesame/w:rd@127.0.0.1:1/app", "'@' as %40"),
                            ("host=127.0.0.1 user=spool password=sesame", "postgres://USER@HOST/DATABASE"),
                            ("spool:sesame@127.0.0.1/app", "postgres://USER@HOST/DATABASE")):
            for words in (["worker"], ["queues"], ["queues", "--json"], ["doctor"], ["doctor", "--json"]):
                run = self.spool(*words, "--store", store, code=None)
                self.assertNotEqual(run.code, 0)
                self.assertIn(told, run.out + run.err)
                self.assertNotIn("sesame", run.out + run.err)
            self.assertNotIn("sesame", self.spool("migrate", "--store", store, code=2).err)
        url = "postgres://spool:sesame@127.0.0.1:1/app"
        for words in (["queues", url], [url], ["queues", "--stor=" + url]):
            self.assertNotIn("sesame", self.spool(*words, code=2).err)


class Bouncer(Postgres):
    """The program has no other way to the database than PgBouncer in transaction mode."""

    server_options = ("--pgbouncer",)

    def setUp(self):
        super().setUp()
        self.straight, self.url = self.url, self.bouncer.rsplit("/", 1)[0] + "/app"

    def test_a_worker_works_is_seen_and_is_drained(self):
        self.on_store("migrate")
        worker, workers = self.start_worker()
        self.assertEqual([(w["pid"], w["running"]) for w in workers], [(worker.pid, [])])
        submitted = self.on_store("submit", "exec", "command=count", "--wait", "--json").json
        self.assertEqual((submitted["state"], submitted["result"]["result"]), ("succeeded", {"words": 3}))
        enqueue = "SELECT spool.enqueue('exec', '{\"command\": \"count\"}')"
        jobs = [self.psql(enqueue, url) for url in (self.url, self.straight)]
        kept = self.psql(f"BEGIN; {enqueue}; COMMIT", self.url)
        self.psql(f"BEGIN; {enqueue}; ROLLBACK", self.url)
        for job in (*jobs, kept):
            self.assertEqual(self.on_store("watch", job, "--json").json["state"], "succeeded")
        self.assertEqual(self.psql("SELECT state, attempts, count(*) FROM spool.job_status GROUP BY 1, 2", self.url), "succeeded|1|4")
        self.assertEqual(self.on_store("queues", "--json").json["queues"][0]["counts"]["succeeded"], 4)
        self.on_store("worker", "--drain", f"{workers[0]['host']}:{worker.pid}")
        self.assertEqual(worker.wait(60), 0)
        self.assertRegex(worker.stderr.read(), r"\A[^\n]*asked to drain[^\n]*\n\Z", "nothing else was to be said")
        self.assertEqual(self.on_store("workers", "--json").json["workers"], [])


class Enqueue(Postgres):
    def setUp(self):
        super().setUp()
        self.on_store("migrate")
        self.shop = self.application()

    def enqueue(self, arguments, url=None):
        return self.psql(f"SELECT spool.enqueue({arguments})", url or self.shop)

    def test_a_job_is_made_in_the_callers_transaction_or_not_at_all(self):
        kept = self.psql("BEGIN; INSERT INTO orders VALUES ('kept'); SELECT spool.enqueue('exec', '{\"command\": \"count\"}',"
                         " '{\"name\": \"kept\", \"labels\": {\"order\": 1}}'); COMMIT", self.shop).splitlines()[-1]
        self.psql("BEGIN; SELECT spool.enqueue('exec', '{\"command\": \"count\"}'); ROLLBACK", self.shop)
        self.on_store("worker", "--until-idle", "--slots", "1")
        rows = self.psql("SELECT id, name, state, labels ->> 'order' FROM spool.job_status", self.shop)
        self.assertEqual(rows, f"{kept}|kept|succeeded|1")

    def test_arguments_are_checked_by_the_first_worker(self):
        wrong = self.enqueue("'transcode', '{\"sped\": 1}'")
        unknown = self.enqueue("'transcoed', '{}'")
        self.on_store("worker", "--until-idle", "--slots", "1")
        for job, told in ((wrong, "sped"), (unknown, "transcoed")):
            row = self.psql(f"SELECT state, error FROM spool.job_status WHERE id = '{job}'", self.shop)
            self.assertTrue(row.startswith("failed|"), row)
            self.assertIn(told, row)

    def status(self, job):
        return json.loads(self.psql(f"SELECT to_jsonb(s) FROM spool.job_status s WHERE id = '{job}'", self.shop))

    def make_film(self):
        folder = os.path.join(self.folder, "spool-data/objects/films")
        os.makedirs(folder)
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=3", "-f", "lavfi", "-i",
                        "sine=d=3", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac",
                        os.path.join(folder, "talk.mp4")], check=True)

    def path(self, reference):
        self.assertTrue(reference.startswith("object:"), reference)
        return os.path.join(self.folder, "spool-data/objects", reference[len("object:"):])

    def test_a_film_is_made_into_a_ladder_as_the_documentation_shows(self):
        self.make_film()
        with open(os.path.join(SOURCE, "docs/enqueue_from_sql.md"), encoding="utf-8") as file:
            shown = re.findall(r"```sql\n(.*?)```", file.read(), re.DOTALL)[2:]
        ladder, poster, pipeline = (self.psql(sql, self.shop) for sql in (*shown[0].strip().splitlines(), *shown[1:]))
        self.on_store("worker", "--until-idle", "--slots", "2")
        done = {job: self.status(job) for job in (ladder, poster, pipeline)}
        for job in done.values():
            self.assertEqual((job["state"], job["error"]), ("succeeded", None))
        self.assertEqual(self.on_store("show", ladder, "--json").json["args"],
                         {"input": "object:films/talk.mp4", "ladder": "mobile", "start": "500ms", "mp4": True}, "they stay as given")
        # The same as the command line's.
        twin = self.on_store("submit", "transcode", "-i", "object:films/talk.mp4", "ladder=mobile", "start=500ms", "mp4=true").out.strip()
        self.on_store("worker", "--until-idle", "--slots", "2")
        lists = []
        for job in (done[ladder], self.status(twin)):
            with open(self.path(job["result"]["outputs"]["master"]), encoding="utf-8") as file:
                lists.append(file.read())
        self.assertEqual(lists[0], lists[1])
        self.assertIn("RESOLUTION", lists[0])
        length = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0",
                                 self.path(done[ladder]["result"]["outputs"]["mp4"])], capture_output=True, text=True, check=True).stdout
        self.assertAlmostEqual(float(length), 2.5, delta=0.1)
        self.assertTrue(os.path.exists(self.path(done[poster]["result"]["outputs"]["poster.jpg"])))
        steps = done[pipeline]["result"]["steps"]
        self.assertEqual({name: step["state"] for name, step in steps.items()}, {"ladder": "succeeded", "strip": "succeeded"})
        self.assertEqual(len(steps["strip"]["outputs"]), 3)

    def test_parameters_that_mean_nothing_fail_the_job_with_the_reason(self):
        self.write("mine.yaml", "sesame: {\n")
        self.write("spool.toml", "ladders = '.'\n" + CONFIG)
        film = '"input": "object:films/talk.mp4"'
        for kind, args, told in (("transcode", f'{{{film}, "ladder": "mobil"}}', 'there is no ladder "mobil", did you mean "mobile"?'),
                                 ("transcode", f'{{{film}, "ladder": "{self.folder}/mine.yaml"}}', "there is no ladder"),
                                 ("transcode", f'{{{film}, "ladder": "mine"}}', 'the ladder "mine" of this worker is wrong'),
                                 ("transcode", f'{{{film}, "ladder": "{"ä" * 33}"}}', "there is no ladder"),
                                 ("transcode", f'{{{film}, "start": "3x"}}', '"3x" is not a duration'),
                                 ("transcode", '{"input": "talk.mp4"}', "such as object:films/talk.mp4"),
                                 ("transcode", '{"input": "file:/etc/passwd"}', "local_files = true under"),
                                 ("poster", f'{{{film}, "at": "soon"}}', '"soon" is not a duration'),
                                 ("pipeline", '{"version": 1, "steps": {"a": {"kind": "probe", "input": "$source"}}}', "no source was given"),
                                 ("pipeline", '{"version": 1, "source": "/etc/passwd", "steps": {"a": {"kind": "probe", "input": "$source"}}}',
                                  "source: must be object:KEY"),
                                 ("pipeline", '{"version": 1, "steps": {"a": {"kind": "prob"}}}', 'there is no kind "prob"')):
            job = self.enqueue(f"'{kind}', '{args}', '{{\"most_attempts\": 1}}'")
            self.on_store("worker", "--until-idle", "--slots", "1")
            status = self.status(job)
            self.assertEqual(status["state"], "failed", args)
            self.assertIn(told, status["error"])
            if self.folder not in args:
                self.assertNotIn(self.folder, status["error"])
            self.assertNotIn("sesame", status["error"])

    def test_options_are_checked_at_once(self):
        for arguments, told in (("'exec', '[]'", "args: not an object"),
                                ("'exec', '{}', '{\"dely\": 1}'", "there is no 'dely'; known are deadline, delay"),
                                ("'exec', '{}', '{\"delay\": \"5 minuts\"}'", "is no duration"),
                                ("'exec', '{}', '{\"slots\": 0}'", "slots: not within 1 and 4096"),
                                ("'exec', '{}', '{\"slots\": 4097}'", "slots: not within 1 and 4096"),
                                ("'exec', '{}', '{\"id\": \"12\"}'", 'id: "12" is no id of a job'),
                                ("'exec', '{}', '{\"parent\": \"xx\"}'", 'parent: "xx" is no id of a job'),
                                ("'exec', '{}', '{\"tags\": \"a\"}'", "tags: not of type array"),
                                ("'exec', '{}', '{\"needs\": [\"01890a5d-ac96-774b-bcce-b302099a8057\"]}'", "does not exist"),
                                ("'exec', '{\"a\": [1, {\"b\": -1e400}]}'", "args: a number is too large"),
                                ("'exec', '{}', '{\"labels\": {\"a\": 1e400}}'", "options: a number is too large"),
                                ("'', '{}'", "kind: 1 to 200 bytes"),
                                ("null, '{}'", "kind: 1 to 200 bytes"),
                                ("U&'a\\009b', '{}'", "kind: 1 to 200 bytes"),
                                ("'exec', null", "args: not an object"),
                                ("'exec', '{}', null", "options: not an object"),
                                ("'exec', jsonb_build_object('text', repeat('x', 1100000))", "the most is 1048576")):
            self.assertIn(told, self.refused(f"SELECT spool.enqueue({arguments})", self.shop))
        self.assertEqual(self.psql("SELECT count(*) FROM spool.job_status", self.shop), "0")

    def test_values_of_options_are_checked_at_once(self):
        text, neither = "without control characters", "is neither an id nor"
        for option, value, told in (
                ("needs", [1], neither), ("needs", [None], neither), ("needs", [{"jobb": "x"}], neither), ("needs", [{"job": 1}], neither),
                ("needs", [{"job": "x", "optional": 1}], neither), ("needs", [{"job": "x", "more": 1}], neither), ("needs", [["x"]], neither),
                ("needs", ["x"], 'needs: "x" is no id'),
                ("tags", [None], "tags: each a text"), ("tags", [{"a": 2}], "tags: each a text"), ("tags", [["a"]], "tags: each a text"),
                ("tags", [""], "tags: each a text"), ("tags", ["t" * 201], "tags: each a text"), ("tags", ["a\x1b"], "tags: each a text"),
                ("tags", list("abcdefghijk"), "tags: more than 10"),
                ("name", "n" * 8193, "at most 8192 bytes"), ("owner", "o" * 8193, "at most 8192 bytes"),
                ("unique_key", "u" * 8193, "at most 8192 bytes"),
                ("queue", "", text), ("queue", "q" * 201, text), ("queue", "a\x7fb", text),
                ("limit_key", "l" * 201, text), ("limit_key", "a\rb", text),
                ("labels", {"a": "l" * 1100000}, "the most is 1048576"),
                ("delay", [1], "delay: not of type number or string"), ("timeout", True, "timeout: not of type number or string"),
                ("deadline", {}, "deadline: not of type number or string"), ("delay", 1e300, "is no duration"),
                ("delay", -1, "delay: not within"), ("timeout", 0, "timeout: not within"), ("deadline", "200 years", "deadline: not within"),
                ("id", NIL, f"id: {NIL} is no id"), ("parent", NIL, f"parent: {NIL} is no id"),
                ("run_at", "infinity", 'run_at: "infinity" is no moment'), ("run_at", "-infinity", "is no moment"),
                ("run_at", "soon", 'run_at: "soon" is no moment'), ("run_at", "294000-01-01", "run_at: more than 100 years from now"),
                ("run_at", "9999-01-01", "run_at: more than 100 years from now"),
                ("slots", 1.5, "slots: 1.5 is no whole number"), ("priority", 1 << 31, "priority: 2147483648 is no whole number"), ("priority", 1001, "priority: "), ("most_attempts", 0, "most_attempts: "), ("weight", -1, "weight: ")):
            options = json.dumps({option: value})
            self.assertIn(told, self.refused(f"SELECT spool.enqueue('exec', '{{}}', '{options}')", self.shop), options[:100])
        both = '{"run_at": "2027-01-31 18:00+01", "delay": 0}'
        self.assertIn("run_at and delay: give one of them", self.refused(f"SELECT spool.enqueue('exec', '{{}}', '{both}')", self.shop))
        self.assertIn("the id of the job is null", self.refused("SELECT spool.cancel(null)", self.shop))
        self.assertEqual(self.psql("SELECT count(*) FROM spool.job_status", self.shop), "0")

    def test_the_longest_and_the_empty_values_are_taken(self):
        longest = {"name": "n" * 8192, "owner": "o" * 8192, "queue": "q" * 200, "unique_key": "u" * 8192, "limit_key": "l" * 200, "slots": 4096,
                   "tags": [hashlib.shake_128(bytes([n])).hexdigest(100) for n in range(10)], "run_at": "2000-01-01"}
        empty = {"name": "", "owner": "", "unique_key": "", "limit_key": "", "tags": [], "needs": [], "run_at": None, "delay": None}
        one, other = (self.enqueue(f"'exec', '{{}}', '{json.dumps(options)}'") for options in (longest, empty))
        third = self.enqueue(f"'exec', '{{}}', '{json.dumps(empty)}'")
        self.assertEqual(len({one, other, third}), 3, "an empty unique key is none")
        needs = json.dumps({"needs": [one, {"job": other, "optional": True}, {"job": third}]})
        self.assertEqual(self.on_store("show", self.enqueue(f"'exec', '{{}}', '{needs}'"), "--json").json["state"], "waiting")

    def test_the_same_id_is_one_job_and_a_unique_key_is_held(self):
        id_option = "'{\"id\": \"01890a5d-ac96-774b-bcce-b302099a8057\"}'"
        first = self.enqueue("'exec', '{\"command\": \"count\"}', " + id_option)
        self.assertEqual(self.enqueue("'exec', '{\"command\": \"count\"}', " + id_option), first)
        self.assertIn("is taken", self.refused("SELECT spool.enqueue('exec', '{}', " + id_option + ")", self.shop))
        held = self.enqueue("'exec', '{\"command\": \"count\"}', '{\"unique_key\": \"k\"}'")
        self.assertEqual(self.enqueue("'exec', '{\"command\": \"other\"}', '{\"unique_key\": \"k\"}'"), held)

    def test_cancel_ends_what_waits(self):
        job = self.enqueue("'exec', '{\"command\": \"count\"}', '{\"delay\": \"1 hour\"}'")
        self.psql(f"SELECT spool.cancel('{job}')", self.shop)
        self.assertEqual(self.psql("SELECT state FROM spool.job_status", self.shop), "cancelled")
        self.assertIn("there is no job", self.refused("SELECT spool.cancel('01890a5d-ac96-774b-bcce-b302099a8057')", self.shop))

    def test_the_role_can_do_nothing_else(self):
        for sql in ("SELECT * FROM spool.job", "DELETE FROM spool.ready", "SELECT spool.retry(0, gen_random_uuid())",
                    "SELECT spool.rescue(0, 1)", "CREATE TABLE spool.mine ()"):
            self.assertIn("permission denied", self.refused(sql, self.shop), sql)
        self.assertEqual(self.psql("SELECT string_agg(proname, ',' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'spool'::regnamespace"
                                   " AND has_function_privilege('shop', oid, 'EXECUTE')", self.url), "cancel,enqueue,state_name")
        self.assertEqual(self.psql("SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'spool'::regnamespace"
                                   " AND relkind IN ('r', 'v', 'p')"
                                   " AND has_table_privilege('shop', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')", self.url),
                         "job_status")

    def test_psql_does_as_the_documentation_shows(self):
        with open(os.path.join(SOURCE, "docs/enqueue_from_sql.md"), encoding="utf-8") as file:
            shown = re.findall(r"```sql\n(.*?)```", file.read(), re.DOTALL)[1]
        self.psql(shown, self.shop)
        self.assertIn("talk", [job["name"] for job in self.on_store("jobs", "--json").json["jobs"]])
        self.assertEqual(self.psql("SELECT DISTINCT film FROM orders", self.shop), "talk.mov")

    def test_a_nul_is_refused(self):
        self.assertIn("\\u0000", self.refused("""SELECT spool.enqueue('exec', '{"command": "\\u0000"}')""", self.shop))

    def test_python_and_node_do_as_the_documentation_shows(self):
        with open(os.path.join(SOURCE, "docs/enqueue_from_sql.md"), encoding="utf-8") as file:
            blocks = dict(re.findall(r"```(python|js)\n(.*?)```", file.read(), re.DOTALL))
        self.write("app.py", blocks["python"])
        self.write("app.js", blocks["js"])
        for program in (["/usr/bin/python3", "app.py"], ["node", "app.js"]):
            done = subprocess.run(program, cwd=self.folder, text=True, capture_output=True, timeout=60,
                                  env=self.environment(DATABASE_URL=self.shop, NODE_PATH=os.path.join(SOURCE, "tests/browser/node_modules")))
            self.assertEqual(done.returncode, 0, done.stderr)
            job = done.stdout.strip().splitlines()[-1]
            self.assertEqual(self.on_store("show", job, "--json").json["args"], {"command": "count"})


if __name__ == "__main__":
    unittest.main()
