"""What bench/s3/run works with: a Swift, and workers on a store of their own."""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]


def cpu_seconds(pid):
    """Of one process so far, without its children."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Swift:
    """tests/servers/swift; `endpoint` is its S3 interface."""

    def __enter__(self):
        self.process = subprocess.Popen([ROOT / "tests/servers/swift"], stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        if not said:
            raise SystemExit("bench/s3: Swift does not start")
        self.said = json.loads(said)
        self.endpoint = self.said["endpoint"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def put(self, name, file):
        """By Swift's own interface, which needs no signature."""
        url = urllib.parse.urlsplit(self.said["storage_url"])
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=600)
        with open(file, "rb") as body:
            headers = {"X-Auth-Token": self.said["token"], "Content-Length": str(os.path.getsize(file))}
            connection.request("PUT", f"{url.path}/{self.said['bucket']}/{name}", body, headers)
        answer = connection.getresponse()
        if answer.status != 201:
            raise SystemExit(f"bench/s3: Swift did not take {name}: {answer.status} {answer.read()}")

    def cpu_seconds(self):
        """Of all its servers so far."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sum(cpu_seconds(pid) for pid in children.split())

    def objects(self, endpoint=None):
        return f"s3://{self.said['bucket']}?endpoint={endpoint or self.endpoint}&region={self.said['region']}"

    def keys(self):
        return {"AWS_ACCESS_KEY_ID": self.said["access_key"], "AWS_SECRET_ACCESS_KEY": self.said["secret_key"]}


class Fleet:
    """Workers, one for each of `objects`, on a store in `folder`. With `keys` for those in a bucket."""

    def __init__(self, spool, folder, objects, slots, keys=None):
        self.program, self.folder, self.objects, self.slots = spool, folder, objects, slots
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SPOOL_")}
        self.environment = {**kept, "SPOOL_STORE": f"sqlite:{folder}/spool.db", **(keys or {})}

    def __enter__(self):
        self.workers = []
        for number, objects in enumerate(self.objects):
            log = open(self.folder / f"worker-{number}.log", "wb")
            self.workers.append(subprocess.Popen([self.program, "worker", "--slots", str(self.slots), "--objects", objects],
                                                 cwd=self.folder, env=self.environment, stderr=log))
        self.ask_until(lambda: len(self.spool("workers")["workers"]) == len(self.objects))
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait()

    def ask_until(self, asked):
        while not asked():
            for number, worker in enumerate(self.workers):
                if worker.poll() is not None:
                    raise SystemExit((self.folder / f"worker-{number}.log").read_text())

    def spool(self, *words):
        done = subprocess.run([self.program, *words, "--json"], cwd=self.folder, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode == 2 and words[0] == "workers":
            return {"workers": []}  # there is no store yet
        if done.returncode != 0:
            raise SystemExit(f"bench/s3: spool {' '.join(words)}: {done.stderr}{done.stdout}")
        return json.loads(done.stdout)
