"""A process that saves in forked children, each of which waits until it is let go.

`python -m save_server FOLDER` reads lines ``KIND PATH``. For each it writes the child's number,
and when the child has ended how. `getppid` is called before and after the save alone: it marks
the two ends in a trace of the child's system calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
from pathlib import Path

import numpy as np
from training import classes, trainer

import fastbp as fb
from fastbp.cli import main

SAVED, REFUSED, UNNAMED = 0, 1, 2
ANY_TRACER = 0x59616D61, ctypes.c_ulong(-1)  # PR_SET_PTRACER, PR_SET_PTRACER_ANY
X, Y = classes()


def command(*arguments):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if main([str(a) for a in arguments]):
            raise OSError


def kinds(folder):
    """What saves: functions of the path."""
    owner = trainer(n_threads=1)
    owner.fit(X, Y, 1)
    owner.network.save(folder / "model")
    np.savez(folder / "data.npz", x=X, y=Y)
    inputs = folder / "model", folder / "data.npz"
    train = "train", inputs[1], "--quiet", "--epochs", 1, "--threads", 1
    return {
        "network": owner.network.save,
        "trainer": owner.save,
        "callback": lambda path: owner.fit(X, Y, 1, callbacks=[fb.Checkpoint(path)]),
        "history": owner.history.to_csv,
        "fastbp predict": lambda path: command("predict", *inputs, "--out", path),
        "fastbp train": lambda path: command(*train, "--out", path),
    }


def child(save, path):
    """Save once, when told to go on."""
    ctypes.CDLL(None).prctl(*ANY_TRACER)
    os.kill(os.getpid(), signal.SIGSTOP)
    os.getppid()
    try:
        save(path)
        found = SAVED
    except OSError:
        found = REFUSED
    except BaseException:
        found = UNNAMED
    os.getppid()
    os._exit(found)


def serve(folder):
    saves = kinds(folder)
    for save in saves.values():  # what is imported or allocated at first use is no part of it
        save(folder / "warm")
    (folder / "warm").unlink()
    for line in sys.stdin:
        kind, path = line.rstrip("\n").rsplit("\t", 1)
        pid = os.fork()
        if pid == 0:
            child(saves[kind], path)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
