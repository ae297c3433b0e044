"""Every script of examples/ runs anywhere, finds its own numbers right and draws its picture."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp

pytest.importorskip("matplotlib")

FOLDER = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "drawing")


def run(script, folder, *options):
    """Run a script in `folder` with the fastbp under test and without MNIST; its output."""
    environment = {name: value for name, value in os.environ.items() if name != "FASTBP_DATA"}
    environment["PYTHONPATH"] = str(Path(fastbp.__file__).parents[1])
    command = [sys.executable, "-W", "error", str(FOLDER / f"{script}.py"), *options]
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_numbers_and_picture(script, tmp_path):
    assert f"picture: {script}.png" in run(script, tmp_path)
    (picture,) = tmp_path.iterdir()
    assert picture.name == f"{script}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


def test_out_names_the_folder(tmp_path):
    run("gates", tmp_path, "--out", "deep/er")
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["gates.png"]


def test_the_readme_lists_them_all():
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)\.py`", guide, re.MULTILINE)) == SCRIPTS
    assert len(SCRIPTS) == 7
