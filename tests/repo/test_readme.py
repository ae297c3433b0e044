"""The README tells the truth: its example runs, its commands exist, and the check runs one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastbp.cli import _parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_python_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    output = capsys.readouterr().out
    accuracy = float(re.search(r"'accuracy': ([\d.]+)", output)[1])
    assert accuracy > 0.95
    assert (tmp_path / "history.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "command",
    [
        "python -m pip install . && fastbp train digits",
        'python -m pip install -e ".[test]" && python -m pytest -n 2',
        'python -m pip install ".[bench]" && python bench/train.py',
    ],
)
def test_the_commands(command):
    assert command + "\n" in blocks("sh")


def test_command_lines_are_understood():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line.split()[1:] for line in lines if line.startswith("fastbp ")]
    assert commands
    for command in commands:
        _parser().parse_args(command)


def test_ci_runs_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep --line-regexp '(.*)' README.md", script)[1]
    assert len(re.findall(f"^{pattern}$", README, re.MULTILINE)) == 1
