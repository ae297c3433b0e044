"""The command ``fastbp`` called in-process, in a folder of its own."""

from __future__ import annotations

import numpy as np
import pytest
from commands import QUICK

from fastbp.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own for each test; no MNIST."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTBP_DATA", raising=False)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run a command that must succeed; return its standard output."""

    def command(*arguments) -> str:
        assert main([str(a) for a in arguments]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return command


@pytest.fixture
def train(run):
    """Train quickly."""
    return lambda *arguments: run("train", *QUICK, "--quiet", *arguments)


@pytest.fixture
def fail(capsys):
    """Run a command that must fail in the agreed way; return its message."""

    def command(*arguments, status=2) -> str:
        try:
            found = main([str(a) for a in arguments])
        except SystemExit as exit:
            found = exit.code
        # The lines of the progress may have been there first.
        *before, error = capsys.readouterr().err.splitlines()
        assert found == status, error
        assert error.startswith("fastbp: error: ")
        assert all(line.startswith("epoch") or not line for line in before)
        return error

    return command


@pytest.fixture
def flowers(here, rng):
    """A CSV file of three kinds in three places, with a header, a number, a colour and a day."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    lines = ["id,length,width,colour,day,kind"]
    for i in range(60):
        kind = i % 3
        length, width = rng.normal((10 * kind, 0.01 * kind), (1, 0.002))
        day = f"2026-{1 + i // 28:02}-{1 + i % 28:02}"
        label = ("007", "tulip", '"lily, white"')[kind]
        lines.append(f"f{i},{length:.3f},{width:.5f},{'red' if i % 5 else 'blue'},{day},{label}")
    path = here / "flowers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def line(here, rng):
    """A CSV file of a linear function of two columns, without a header."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    x = rng.normal((50, -3), (10, 0.1), (80, 2))
    y = 1000 + 3 * x[:, 0] - 200 * x[:, 1]
    path = here / "line.csv"
    np.savetxt(path, np.column_stack([y, x]), delimiter=";")
    return path
