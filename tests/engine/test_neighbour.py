"""What the process and its threads had is as it was: modes, masks, handlers, seeds."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pytest
from operations import PROTOCOLS, World, calls, save
from training import classes, parameters, trainer

import fastbp as fb
from fastbp import testing
from fastbp.engine import runtime

ROOT = Path(__file__).parents[2]
LINUX = sys.platform.startswith("linux")
X86 = LINUX and platform.machine() == "x86_64"
needs_mode = pytest.mark.skipif(not X86, reason="reads the modes of x86-64 under Linux")
FLUSHES = 0x8040
FE_UPWARD, TRAPS = 0x800, 0x0D  # traps: invalid, divide by zero, overflow

# Before and after an import or a call; the names of what may differ are none.
SNAPSHOT = """
import ctypes, gc, locale, os, random, signal, sys, threading, warnings
import numpy as np

def modes():
    environment = ctypes.create_string_buffer(64)
    ctypes.CDLL("libm.so.6").fegetenv(environment)
    return int.from_bytes(environment[28:32], "little") & 0xFFC0

def snapshot():
    found = dict(
        environment=dict(os.environ), folder=os.getcwd(), path=list(sys.path),
        random=random.getstate(), numpy_random=repr(np.random.get_state()), numpy=np.geterr(),
        warnings=list(warnings.filters), hooks=(sys.excepthook, sys.unraisablehook),
        threads=threading.active_count(), locale=locale.setlocale(locale.LC_ALL),
        gc=gc.get_threshold(), interval=sys.getswitchinterval(), recursion=sys.getrecursionlimit(),
        handlers={n: signal.getsignal(n) for n in signal.valid_signals()},
    )
    if sys.platform.startswith("linux"):
        found |= dict(
            affinity=os.sched_getaffinity(0), tasks=os.listdir("/proc/self/task"),
            files=len(os.listdir("/proc/self/fd")), modes=modes(),
            timer=signal.getitimer(signal.ITIMER_REAL),
            blocked=signal.pthread_sigmask(signal.SIG_BLOCK, []),
        )
    return found

def changed(before):
    after = snapshot()
    return [name for name in before if before[name] != after[name]]
"""
IMPORT = """
before = snapshot()
import fastbp as fb
print(changed(before))
net = fb.Network(3, [fb.Dense(2)], seed=0)
fb.Trainer(net, "mse", n_threads=1, seed=0).fit(np.ones((40, 3)), np.ones((40, 2)))
net.predict(np.ones((40, 3)))
print(changed(before))
"""


def python(code, *options, **given):
    """Run code in a new process that finds what this one finds, also without site-packages."""
    package = str(Path(fb.__file__).parents[1])  # the installed one, if that is tested
    code = f"import sys; sys.path[:0] = {[package, *sys.path]!r}\n{code}"
    given = {"timeout": 100, "capture_output": True, "text": True, **given}
    return subprocess.run([sys.executable, *options, "-c", code], **given)


def test_import_and_training_on_one_thread_change_nothing_in_the_process():
    result = python(SNAPSHOT + IMPORT)
    assert result.stdout == "[]\n[]\n", result.stderr


SURROUNDINGS = {
    "isolated, warnings are errors, no docstrings": ["-W", "error", "-I", "-OO"],
    "no site-packages, no asserts": ["-W", "error", "-S", "-O"],
}
WORK = """
import os
import numpy as np, fastbp as fb
net = fb.Network(3, [fb.Dense(2, "softmax")], seed=0)
trainer = fb.Trainer(net, "cross_entropy", seed=0)
trainer.fit(np.ones((40, 3)), np.arange(40) % 2, epochs=2, progress=True)
os._exit(0 if np.isfinite(net.predict(np.ones((4, 3)))).all() else 1)
"""


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_imports_and_trains_in_bare_surroundings(name, tmp_path):
    """Without HOME, in a folder that cannot be written."""
    tmp_path.chmod(0o555)
    result = python(WORK, *SURROUNDINGS[name], cwd=tmp_path, env={"PATH": os.defpath})
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors as POSIX has them")
def test_trains_with_all_streams_closed():
    result = python(WORK, preexec_fn=lambda: os.closerange(0, 3), capture_output=False, text=False)
    assert result.returncode == 0


class Modes:
    """Modes of the floating point unit of the calling thread, and of OpenMP's team."""

    def __init__(self):
        self._libm = ctypes.CDLL("libm.so.6")
        self._work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

    def now(self):
        """Rounding, traps and denormals; not the flags of what has happened."""
        environment = ctypes.create_string_buffer(64)
        self._libm.fegetenv(environment)
        return int.from_bytes(environment[28:32], "little") & 0xFFC0

    def of_team(self, n_threads):
        """Mode and mask of each thread, by its number in the system."""
        found = {}

        def look(_):
            found[threading.get_native_id()] = self.now(), os.sched_getaffinity(0)

        ctypes.CDLL("libgomp.so.1").GOMP_parallel(self._work(look), None, n_threads, 0)
        return found

    def round_upward(self):
        assert self._libm.fesetround(FE_UPWARD) == 0

    def round_to_nearest(self):
        assert self._libm.fesetround(0) == 0


@needs_mode
def test_no_public_call_changes_the_mode_of_its_thread(tmp_path):
    modes, before = Modes(), Modes().now()
    everything = {name: call for group in calls().values() for name, call in group.items()}
    world = World(tmp_path)
    save(world)
    for name, call in (everything | PROTOCOLS).items():
        if name in ("Trainer.end_epoch", "show_config"):
            world.trainer.step(world.x, world.y)
        call(world)
        assert modes.now() == before, name


TEAMWORK = {
    "batch-split": lambda x, y, t: t.fit(x, y, epochs=2),
    "wide": lambda x, y, t: t.fit(x, y, epochs=2),
    "streaming": lambda x, y, t: t.fit(x, y),
    None: lambda x, y, t: (
        t.network.predict(np.tile(x, (50, 1))),
        t.network.activations(np.tile(x, (50, 1))),
        t.network.gradients(x, y, "cross_entropy"),
        t.evaluate(np.tile(x, (50, 1)), np.tile(y, 50)),
    ),
}


@needs_mode
@pytest.mark.skipif(runtime.TEAM != "openmp", reason="the threads are no other library's")
@pytest.mark.parametrize("regime", TEAMWORK)
def test_a_team_has_its_modes_and_masks_afterwards(regime):
    modes = Modes()
    x, y = classes(300)
    layers = [fb.Dense(64, "tanh"), fb.Dense(3, "softmax")]
    owner = trainer(fb.Network(5, layers, seed=0), n_threads=2)
    owner.batch_size = 4 if regime == "streaming" else 16
    before = modes.of_team(2)
    with testing.forced(regime):
        TEAMWORK[regime](x, y, owner)
    after = modes.of_team(2)
    assert len(before) == 2
    assert after == before  # the same threads, so they have worked in between


@needs_mode
def test_the_mode_of_the_host_does_not_show_and_stays():
    """A host that rounds upward gets the same bits, from threads of its own too."""
    found, modes, (x, y) = [], Modes(), classes()
    for upward in (False, True):
        owner = trainer(n_threads=2)
        if upward:
            modes.round_upward()
        mode = modes.now()
        try:
            with testing.forced():
                owner.fit(x, y)
            outputs = owner.network.predict(x)
            assert modes.now() == mode
        finally:
            modes.round_to_nearest()
        found.append((parameters(owner.network), outputs.tobytes()))
    assert found[0] == found[1]


TRAPPING = """
import ctypes
import numpy as np, fastbp as fb
net = fb.Network(3, [fb.Dense(8, "relu"), fb.Dense(2)], seed=0)
trainer = fb.Trainer(net, "mse", fb.SGD(1e30), n_threads=1, seed=0)
x, y = np.full((40, 3), 1e30, np.float32), np.ones((40, 2), np.float32)
trainer.step(x[:1] * 0, y[:1])
ctypes.CDLL("libm.so.6").feenableexcept({traps})
try:
    trainer._state  # the engine alone: NumPy makes infinities by itself
    from fastbp.engine.run import Run
    run = Run(net._model, "mse", "sgd", batch_size=40)
    run.bind(x, y)
    print(run.steps(0, 1, np.full(1, 1e30))[2])
finally:
    ctypes.CDLL("libm.so.6").fedisableexcept({traps})
"""


@needs_mode
def test_an_overflow_in_a_step_is_no_trap_of_the_host():
    result = python(TRAPPING.format(traps=TRAPS))
    assert (result.returncode, result.stdout) == (0, "0\n"), result.stderr


@needs_mode
def test_a_signal_handler_within_a_long_step_has_the_mode_of_its_thread():
    modes, seen = Modes(), set()
    layers = [fb.Dense(900, "relu"), fb.Dense(900, "relu"), fb.Dense(3, "softmax")]
    x, y = np.ones((1500, 900), np.float32), np.arange(1500) % 3
    owner = fb.Trainer(fb.Network(900, layers, seed=0), "cross_entropy", n_threads=1)
    before = signal.signal(signal.SIGALRM, lambda *_: seen.add(modes.now()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        owner.step(x, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen == {modes.now()}


@pytest.mark.skipif(not LINUX, reason="affinity as Linux has it")
def test_a_moved_thread_gets_its_mask_back(tmp_path):
    """By the function that moves it, with a made-up system."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]}")
    program = tmp_path / "spread"
    flags = ["-std=gnu11", "-O1", "-pthread", f"-I{ROOT / 'src'}", "-o", str(program)]
    sources = [str(ROOT / "tests/engine/spread.c"), str(ROOT / "src/threads.c")]
    subprocess.run([*compiler, *flags, *sources], check=True)
    result = subprocess.run([program], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")
