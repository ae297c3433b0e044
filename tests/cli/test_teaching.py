"""``fastbp demo``, ``fastbp bench``, and what ``--help`` teaches."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

import fastbp as fb
from fastbp.cli import COMMANDS, _command, _parser, bench, main


def test_the_demo_shows_pictures_and_the_lines_that_do_it(run):
    output = run("demo", "--epochs", 3, "--show", 5)
    assert output.count("read as") == 5
    assert "█" in output
    lesson = output.split("The same in Python:")[1].split("and from")[0]
    names: dict[str, object] = {"fb": fb}
    exec(
        compile(lesson.replace("\n    ", "\n").replace("epochs=15", "epochs=1"), "demo", "exec"),
        names,
    )
    assert names["network"].n_outputs == 10


def test_the_demo_in_plain_ascii(monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["demo", "--epochs", "1"]) == 0
    assert "##" in stdout.buffer.getvalue().decode("ascii")


def test_the_benchmark(run, monkeypatch):
    monkeypatch.setattr(bench, "SHAPES", [bench.Shape(3, 4, 2, 4)])
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    *_, head, line = run("bench", "--seconds", 0.02).splitlines()
    assert head.split() == ["fastbp", "NumPy"]
    assert line.startswith("3-4-2, batch 4  ")
    assert line.endswith(" x)")


@pytest.mark.parametrize("make", [bench._numpy, pytest.param(bench._torch, marks=pytest.mark.slow)])
def test_the_peers_of_the_benchmark_do_the_same_steps(make):
    """The weights after a round are those of fastbp: read from what the closures hold."""
    if make is bench._torch:
        pytest.importorskip("torch")
    problem = bench._problem(bench.Shape(5, 4, 3, 8))
    twin = bench._problem(bench.Shape(5, 4, 3, 8))
    rounds = make(problem)
    rounds(2)
    own = bench._fastbp(twin)
    own(2)
    (trainer,) = (
        c.cell_contents for c in own.__closure__ if isinstance(c.cell_contents, fb.Trainer)
    )
    held = dict(zip(rounds.__code__.co_freevars, rounds.__closure__, strict=True))
    for layer, name in zip(trainer.network.layers, ("w1", "w2"), strict=True):
        found = held[name].cell_contents
        found = found.detach().numpy() if make is bench._torch else found
        assert abs(found - layer.weight).max() < 1e-5
        assert abs(found - problem.weights[int(name[1]) - 1][0]).max() > 1e-4


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(name, capsys):
    with pytest.raises(SystemExit) as exit:
        main([name, "--help"])
    assert exit.value.code == 0
    output = capsys.readouterr().out
    assert "examples:" in output
    assert "exit status:" in output
    examples = [line for line in output.splitlines() if line.startswith("  fastbp ")]
    assert examples
    for line in examples:  # each is understood
        _parser().parse_args(line.split(" > ")[0].split()[1:])
    for action in _command(_parser(), name)._actions:
        assert action.help


def test_python_m_fastbp():
    done = subprocess.run(
        [sys.executable, "-m", "fastbp", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"fastbp {fb.__version__}\n"
