"""The command ``fastbp`` called in-process, in a folder of its own."""

from __future__ import annotations

import pytest

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
def fail(capsys):
    """Run a command that must fail in the agreed way; return its message."""

    def command(*arguments) -> str:
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as exit:
            status = exit.code
        # A progress bar may have been there first.
        *before, error = capsys.readouterr().err.splitlines()
        assert status == 2
        assert error.startswith("fastbp: error: ")
        assert all("step/s" in line or not line for line in before)
        return error

    return command
