"""Runs a command and measures it from outside: wall, CPU of everything it started, the largest process.

Python stdlib alone. Not thread-safe: one measurement at a time.
"""
import ctypes
import dataclasses
import os
import signal
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36
# What a process leaves behind comes to us, and its CPU time with it.
ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class CommandFailed(Exception):
    pass


@dataclasses.dataclass
class Measured:
    wall: float
    cpu: float
    peak_bytes: int           # of the largest single process
    first_playable: float | None = None

    @property
    def cores_busy(self):
        return self.cpu / self.wall


def run(command, log, playable=None, poll=0.005):
    """Runs `command`, its output into the file `log`. `playable()` is asked every few milliseconds; the time of its
    first true answer is kept. Raises CommandFailed with the log's tail."""
    first = None
    with open(log, "wb") as sink:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)
        status = usage = None
        while status is None:
            if playable and first is None:
                pid, code, usage_now = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    status, usage = code, usage_now
                if playable():
                    first = time.monotonic() - began
                if status is None:
                    time.sleep(poll)
            else:
                _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    for left in orphans():
        cpu += left.ru_utime + left.ru_stime
        peak = max(peak, left.ru_maxrss * 1024)
    if process.returncode != 0:
        tail = open(log, errors="replace").read()[-2000:]
        raise CommandFailed(f"{command[0]} ended with {process.returncode}:\n{tail}")
    return Measured(wall, cpu, peak, first)


def orphans():
    """Usage of processes that the command left behind; they are ended when they do not end by themselves."""
    deadline = time.monotonic() + 2
    while True:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            yield usage
        elif time.monotonic() > deadline:
            for child in children():
                os.kill(child, signal.SIGKILL)
        else:
            time.sleep(0.01)


def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as listed:
        return [int(pid) for pid in listed.read().split()]
