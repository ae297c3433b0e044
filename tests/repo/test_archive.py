"""The source archive has what git knows, but for what only the repository needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What setuptools takes without being told, as it does the package, and what
# `tools/build_wheels.sh` leaves out.
BY_ITSELF = {"LICENSE", "README.md", "pyproject.toml", "setup.py", "MANIFEST.in"}
OF_THE_REPOSITORY = (".github/", ".gitignore", "wheels.yml")


def test_every_file_is_in_the_manifest(monkeypatch):
    filelist = pytest.importorskip("setuptools.command.egg_info")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("this is no clone")
    monkeypatch.chdir(ROOT)
    archive = filelist.FileList()
    for line in Path("MANIFEST.in").read_text().splitlines():
        archive.process_template_line(line)
    known = {
        name
        for name in listed.stdout.splitlines()
        if not name.startswith(OF_THE_REPOSITORY)
        and (not name.startswith("fastbp/") or name.endswith((".pyx", ".pxd", ".pyi", ".h")))
        and Path(name).exists()
    }
    assert known - set(archive.files) - BY_ITSELF == set()
