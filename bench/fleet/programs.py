"""The programs that are measured: our own, built here, and the rivals', which npm installs into a temporary folder."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from servers import ROOT

QUEUE_BENCH = ROOT / "build/release/bench/queue/queue_bench"
SPOOL = ROOT / "build/release/spool"
HERE = ROOT / "bench/fleet"
# pg-boss 12 needs a newer Node than Debian's: all of them run on that one.
PACKAGES = ("node@22", "graphile-worker@0.17", "pg-boss@12", "bullmq@6", "ioredis@5")


def build(*targets):
    print("bench/fleet: building", file=sys.stderr)
    for words in (["--preset", "release", "-DSPOOL_BENCH=ON", "--log-level=WARNING"],
                  ["--build", "--preset", "release", "--target", *targets]):
        subprocess.run(["cmake", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def queue_bench(url, *words, empty=None):
    """What it says, if it says something."""
    done = subprocess.run([QUEUE_BENCH, *map(str, words)], check=True, text=True, stdout=subprocess.PIPE, env=store(url, empty))
    return json.loads(done.stdout) if done.stdout else None


def store(url, empty=None):
    return {**os.environ, "SPOOL_BENCH_STORE": url, **({"SPOOL_BENCH_EMPTY_STORE": empty} if empty else {})}


class Serving:
    """A worker in a process of its own, until it is asked for what it has seen."""

    def __init__(self, words, **more):
        self.process = subprocess.Popen(list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)

    def wait_until_up(self):
        """Until it has run its first job with a time in it."""
        if self.process.stdout.readline() != "up\n":
            raise RuntimeError(f"{self.process.args[0]} ended before its first job")

    def end(self):
        said, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise subprocess.CalledProcessError(self.process.returncode, self.process.args)
        return json.loads(said.splitlines()[-1])


def serving(url, slots):
    return Serving([QUEUE_BENCH, "serve", slots], env=store(url))


class Rivals:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.node = self.folder / "node_modules/node/bin/node"

    def install(self):
        print("bench/fleet: installing " + ", ".join(PACKAGES), file=sys.stderr)
        subprocess.run(["cp", *HERE.glob("*.mjs"), self.folder], check=True)
        for command in (["npm", "init", "-y"], ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]):
            subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def __call__(self, name, *words):
        done = subprocess.run([self.node, name + ".mjs", *map(str, words)], cwd=self.folder, check=True, text=True,
                              stdout=subprocess.PIPE)
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None

    def serving(self, name, url):
        return Serving([self.node, name + ".mjs", "serve", "-", url], cwd=self.folder)


@contextlib.contextmanager
def rivals():
    with tempfile.TemporaryDirectory(prefix="spool-rivals-") as folder:
        installed = Rivals(folder)
        installed.install()
        yield installed
