"""Every script of examples/ runs anywhere, finds its own numbers right and draws its picture.

What the scripts for programs are made of is tested in tests/examples/.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

import fastbp

pytest.importorskip("matplotlib")

FOLDER = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "drawing")
WITHOUT_PICTURE = {"ode_adjoint", "process_pool", "worker_thread"}
SERVES = "web_service"  # until it is stopped


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Each script's folder, status and output: run side by side, without MNIST, each with --out."""
    environment = {name: value for name, value in os.environ.items() if name != "FASTBP_DATA"}
    environment["PYTHONPATH"] = str(Path(fastbp.__file__).parents[1])
    environment |= dict.fromkeys(("FASTBP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    started = {}
    for script in sorted({*SCRIPTS} - {SERVES}):
        folder = tmp_path_factory.mktemp(script)
        options = ["--out", "deep/er"] if script == "gates" else []
        command = [sys.executable, "-W", "error", str(FOLDER / f"{script}.py"), *options]
        started[script] = (
            folder,
            subprocess.Popen(
                command, cwd=folder, env=environment, stdout=PIPE, stderr=PIPE, text=True
            ),
        )
    return {
        script: (folder, *process.communicate(timeout=300), process.returncode)
        for script, (folder, process) in started.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted({*SCRIPTS} - {SERVES}))
def test_numbers_and_picture(done, script):
    if script == "ode_adjoint":
        pytest.importorskip("scipy")
    folder, output, error, status = done[script]
    assert status == 0, error
    if script in WITHOUT_PICTURE:
        assert output
        assert list(folder.iterdir()) == []
        return
    assert f"{script}.png" in output
    if script == "gates":
        folder = folder / "deep" / "er"
    (picture,) = folder.iterdir()
    assert picture.name == f"{script}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


def test_the_readme_lists_them_all():
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)\.py`", guide, re.MULTILINE)) == SCRIPTS
    assert len(SCRIPTS) == 12
