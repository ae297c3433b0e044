"""Without the optional libraries fastbp works; what needs one says how to install it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp

PACKAGE = Path(fastbp.__file__).parent
# What is called, and the end of its error. A new door is a line here.
DOORS = {
    "history.plot()": 'pip install "fastbp[plot]"',
    "many.to_frame()": 'pip install "fastbp[table]"',
    "fb.Trainer(net, 'mse', fb.LBFGS()).fit(x, y)": 'pip install "fastbp[scipy]"',
    "import fastbp.sklearn": 'pip install "fastbp[sklearn]"',
    "net.predict(Frame())": "python -m pip install narwhals",
    "fb.tables.Table({'a': [1]})": 'pip install "fastbp[table]"',
    "net.to_onnx('net.onnx')": 'pip install "fastbp[onnx]"',
    "net.to_torch()": "pip install torch",
    "net.to_sklearn()": 'pip install "fastbp[sklearn]"',
}
CODE = """
import json, os, sys, traceback
from pathlib import Path

ABSENT = {"joblib", "matplotlib", "narwhals", "onnx", "pandas", "scipy", "sklearn", "torch"}
ABSENT |= {"threadpoolctl"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import numpy as np, fastbp as fb

class Frame:
    columns = ["a", "b", "c", "d"]

x = np.eye(4)
y = x[:, :1]
net = fb.Network(4, [fb.Dense(3, "tanh"), fb.Dense(1)], "float64", seed=0)
history = fb.Trainer(net, "mse", batch_size=2, seed=0).fit(x, y, epochs=2)
assert net.predict(x).shape == (4, 1) and len(history["loss"]) == 2
many = fb.train_many([{"hidden": [3], "loss": "mse"}], x, y, epochs=1)
found = {}
for door in json.loads(sys.argv[1]):
    try:
        exec(door)
    except fb.errors.MissingDependencyError as error:
        found[door] = str(error), traceback.extract_tb(error.__traceback__)[-1].filename
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    """The message of each door, and the file that it comes from."""
    result = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(list(DOORS))],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert not result.returncode, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_says_how_to_install_what_it_needs(found, door):
    assert re.search(re.escape(DOORS[door]) + r"( \(.*\))?$", found[door][0])  # and which it was


def test_there_is_no_other_door(found):
    raising = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^ +(raise|return) MissingDependencyError\(", path.read_text(), re.MULTILINE)
    }
    assert {str(Path(file).relative_to(PACKAGE)) for _, file in found.values()} == raising
