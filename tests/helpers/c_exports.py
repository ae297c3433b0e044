"""Exported networks, compiled and called."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

import fastbp as fb

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
SHARED = ("-shared", "-fPIC", "-fno-stack-protector")
BIAS = fb.initializers.Normal(0.5)


def compiler(name):
    """A compiler by its command; the test is skipped where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command):
    """What a command prints; its errors are an error."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def dense(units, activation="tanh", **options):
    return fb.Dense(units, activation, bias_init=BIAS, **options)


def compiled(folder, networks, *flags, cc="gcc", language="c", gradients=True):
    """The exports of networks by name, as one shared library of one file of C."""
    text = "\n".join(
        fb.formats.to_c(net, name, gradients=gradients) for name, net in networks.items()
    )
    source, library = folder / "networks.c", folder / f"networks-{len(list(folder.iterdir()))}.so"
    source.write_text(text, encoding="ascii")
    flags = flags or ("-O1",)
    run(compiler(cc), "-x", language, *WARNINGS, *flags, *SHARED, source, "-o", library, "-lm")
    loaded = ctypes.CDLL(str(library))
    return {name: Compiled(loaded, name, net) for name, net in networks.items()}


class Compiled:
    """The functions of one network, on arrays of its dtype."""

    def __init__(self, library, name, net):
        self.library, self._name, self._net = library, name, net

    def predict(self, x):
        x = np.ascontiguousarray(x, self._net.dtype)
        y = self._new(len(x), self._net.n_outputs)
        self._call("predict_rows", x, y, len(x))
        one = self._new(self._net.n_outputs)
        self._call("predict", x[0], one)
        assert one.tobytes() == y[0].tobytes()
        return y

    def vjp(self, x, v):
        """y and v dy/dx of a row."""
        y, dx = self._new(self._net.n_outputs), self._new(self._net.n_inputs)
        self._call("vjp", x, v, y, dx)
        return y, dx

    def jacobian(self, x):
        y = self._new(self._net.n_outputs)
        jacobian = self._new(self._net.n_outputs, self._net.n_inputs)
        self._call("jacobian", x, y, jacobian)
        return y, jacobian

    def _new(self, *shape):
        return np.full(shape, np.nan, self._net.dtype)

    def _call(self, function, *arguments):
        given = [
            ctypes.c_size_t(a) if isinstance(a, int) else a.ctypes.data_as(ctypes.c_void_p)
            for a in arguments
        ]
        getattr(self.library, f"{self._name}_{function}")(*given)


def vjp_of(net, x, v):
    """What the engine makes of v dy/dx for a row, by a loss whose gradient is v."""

    def loss(outputs, targets):
        return (outputs * v).sum(axis=1), np.broadcast_to(v, outputs.shape).astype(outputs.dtype)

    return net.gradients(x[None], np.zeros((1, net.n_outputs)), loss, inputs=True)[2][0]
