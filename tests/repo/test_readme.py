"""The README tells the truth: its Python runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastbp as fb
from fastbp import losses
from fastbp.cli import _parser
from fastbp.engine import runtime as _runtime

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_python_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    n_threads = fb.get_num_threads()
    try:
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), names)
    finally:
        fb.set_num_threads(n_threads)
    output = capsys.readouterr().out
    accuracy = float(re.search(r"'accuracy': ([\d.]+)", output)[1])
    assert accuracy > 0.95
    assert "gradient check passed" in output
    assert (tmp_path / "history.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "command",
    [
        "python -m pip install . && fastbp train digits",
        'python -m pip install -e ".[test]" && python -m pytest',
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


def test_names():
    for name in [*_runtime.ACTIVATIONS, *losses.LOSSES]:
        assert f"`{name}`" in README


def test_every_script_of_the_benchmark_is_named():
    guide = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    scripts = [p.name for p in (ROOT / "bench").glob("*.py") if "__main__" in p.read_text()]
    assert len(scripts) > 5
    for name in set(scripts) - {"worker.py"}:  # started by the others
        assert f"python bench/{name}" in README
        assert f"python bench/{name}" in guide


def test_links():
    links = re.findall(r"\]\((?!https)([^)]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_ci_runs_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep --line-regexp '(.*)' README.md", script)[1]
    assert len(re.findall(f"^{pattern}$", README, re.MULTILINE)) == 1
