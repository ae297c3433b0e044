"""Saves that are struck: killed or failed at each of their system calls, or at random moments."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest
from save_server import REFUSED, SAVED
from training import parameters

import fastbp as fb

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]
SEED = 1
LEFT = re.compile(r"\.fastbp-[0-9a-f]{16}\.tmp")
CALL = re.compile(r"^(\w+)\(.*", re.MULTILINE)
# Of memory and signals: an error of these is none of a file.
OTHERS = {
    *("brk", "mmap", "munmap", "mremap", "madvise", "mprotect", "futex", "exit_group"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "kill", "sched_yield"),
    *("getpid", "getppid", "gettid", "sched_getaffinity", "sched_setaffinity", "clock_gettime"),
}
KINDS = ["network", "trainer", "callback", "history", "fastbp predict", "fastbp train"]


class Server:
    """Children that save, under strace."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "server").mkdir()
        roots = [
            os.path.dirname(os.path.dirname(fb.__file__)),
            os.path.join(os.path.dirname(__file__), "..", "helpers"),
        ]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(roots)}
        environment |= {"FASTBP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "save_server", str(folder / "server")],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def close(self):
        with self._process:
            self._process.stdin.close()
            assert self._process.wait(10) == 0

    def save(self, kind, path, *options):
        """Let a child save under strace with these options; return how it ended, and the trace."""
        self._process.stdin.write(f"{kind}\t{path}\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        wait_for(pid, "State", "T")
        trace = self.folder / "trace"
        tracer = subprocess.Popen(
            ["strace", "-qq", "-y", "-o", trace, "-p", str(pid), *options],
            stderr=subprocess.DEVNULL,
        )
        wait_for(pid, "TracerPid", str(tracer.pid))
        os.kill(pid, signal.SIGCONT)
        status = int(self._process.stdout.readline())
        tracer.wait(10)
        return status, trace.read_text()


def wait_for(pid, field, value):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with open(f"/proc/{pid}/status") as file:
            if re.search(rf"^{field}:\s*{value}\b", file.read(), re.MULTILINE):
                return
        time.sleep(0.001)
    raise TimeoutError(f"{field} of {pid} is not {value}")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("struck"))
    yield server
    server.close()


class Target:
    """A file that a save is to replace, in a folder of its own, behind a link; or none yet."""

    def __init__(self, folder, old):
        self._folder, self._old, self.path = folder / "target", old, folder / "link"
        self._folder.mkdir()
        self.path.symlink_to(self._folder / "file")
        self.restore()

    def restore(self):
        """Bring the old file back, with permissions of its own."""
        for name in os.listdir(self._folder):
            os.unlink(self._folder / name)
        if self._old is not None:
            (self._folder / "file").write_bytes(self._old)
            (self._folder / "file").chmod(0o640)

    def found(self):
        """Return what is there now, and the names of other files."""
        assert self.path.is_symlink()
        names = set(os.listdir(self._folder))
        if "file" not in names:
            return None, names
        file = self._folder / "file"
        if self._old is not None:
            assert stat.S_IMODE(file.stat().st_mode) == 0o640
        return file.read_bytes(), names - {"file"}


def window(trace):
    """The system calls of the save: of each its name, its number among those of the name, and all
    that the trace says of it."""
    calls = list(CALL.finditer(trace))
    names = [call[1] for call in calls]
    begin, end = (i for i, name in enumerate(names) if name == "getppid")
    return [(names[i], names[: i + 1].count(names[i]), calls[i][0]) for i in range(begin + 1, end)]


def whole(content, path):
    """Whether these are the bytes of a whole checkpoint after the epoch of the child."""
    path.write_bytes(content)
    return fb.Trainer.load(path).history.epochs == 3


OLD = b"of another time" * 100


@pytest.mark.parametrize("old", [None, OLD], ids=["new file", "old file"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_save_struck_at_each_of_its_system_calls(server, tmp_path, kind, old, record_property):
    target = Target(tmp_path, old)
    status, trace = server.save(kind, target.path)
    new, others = target.found()
    assert (status, others) == (SAVED, set())
    calls = window(trace)
    renamed = next(i for i, (name, *_) in enumerate(calls) if name.startswith("rename"))
    struck = 0
    for i, (name, number, shown) in enumerate(calls):
        for fault in ("signal=KILL", "error=ENOSPC", "error=EIO", "error=EINTR"):
            if fault != "signal=KILL" and name in OTHERS:
                continue
            target.restore()
            status, trace = server.save(
                kind, target.path, "-e", f"inject={name}:{fault}:when={number}"
            )
            case = (
                f"{kind}: {fault} at {name} {number}, call {i} of {len(calls)}: {status}\n{trace}"
            )
            found, others = target.found()
            # A checkpoint holds the seconds of its epoch: no two are the same.
            is_new = found == new or (
                kind == "callback" and found != old and whole(found, tmp_path / "again")
            )
            assert found == old or is_new, case
            struck += 1
            if fault == "signal=KILL":
                assert status == -signal.SIGKILL, case
                assert len(others) <= 1, case
                assert all(LEFT.fullmatch(left) for left in others), case
                continue
            assert "(INJECTED)" in trace, case
            assert others == set(), case
            assert status in (SAVED, REFUSED), case
            assert is_new or status == REFUSED, case
            if status == REFUSED and i <= renamed:
                assert found == old, case
            # For ioctl, which marks a descriptor as not to be inherited, nobody ever waits. The
            # commands have more that they read before, by the means of NumPy.
            if fault == "error=EINTR" and name != "ioctl" and str(tmp_path) in shown:
                assert status == SAVED, case
    record_property("struck", struck)
    print(f"{kind}: {len(calls)} system calls, struck {struck} times")


def test_a_process_that_saves_in_a_loop_is_killed_at_random(tmp_path, kills=1000):
    rng, path, left = random.Random(SEED), tmp_path / "net", 0
    layers = [fb.Dense(40, "tanh"), fb.Dense(3, "softmax")]
    networks = [fb.Network(50, layers, seed=seed) for seed in (0, 1)]
    networks[0].save(path)
    wanted = {parameters(network): 0 for network in networks}
    for _ in range(kills):
        rng.shuffle(networks)
        pid = os.fork()
        if pid == 0:
            while True:
                for network in networks:
                    network.save(path)
        time.sleep(rng.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        wanted[parameters(fb.load(path))] += 1
        for name in set(os.listdir(tmp_path)) - {"net"}:
            assert LEFT.fullmatch(name)
            os.unlink(tmp_path / name)
            left += 1
    assert len(wanted) == 2
    assert min(wanted.values()) > kills / 5
    assert left > kills / 20, "the kills did not come while a file was written"
    print(f"{kills} kills: {left} temporary files left, {list(wanted.values())}")
