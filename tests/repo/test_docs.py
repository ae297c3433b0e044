"""The pages tell the truth: their Python prints the text below it; commands and links exist."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp as fb
from fastbp import losses
from fastbp.cli import COMMANDS, _command, _parser
from fastbp.engine import runtime

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ALL_PAGES = [
    *sorted(ROOT.glob("*.md")),
    *PAGES,
    ROOT / "bench/README.md",
    ROOT / "examples/README.md",
]
# Libraries that the Python of a page needs.
NEEDS = {
    "interchange.md": ("onnx", "onnxruntime", "torch", "sklearn"),
    "tables.md": ("pandas", "pyarrow"),
}
WITHOUT_PYTHON = {"command_line.md", "coverage.md", "packaging.md", "reliability.md"}


def blocks(path):
    """(language, text) of the fenced blocks of a page."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for files that a page writes; the number of threads is put back."""
    monkeypatch.chdir(tmp_path)
    n_threads = fb.get_num_threads()
    yield tmp_path
    fb.set_num_threads(n_threads)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_prints_the_text_below_it(path, folder):
    for library in NEEDS.get(path.name, ()):
        pytest.importorskip(library)
    names: dict[str, object] = {}
    printed, compared = "", 0
    for language, text in blocks(path):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(text, path.name, "exec"), names)
            printed = output.getvalue()
        elif language == "text":
            assert printed == text
            compared += 1
    assert (compared == 0) == (path.name in WITHOUT_PYTHON)


def test_every_activation_and_loss_is_named():
    page = (DOCS / "layers_and_losses.md").read_text(encoding="utf-8")
    for name in [*runtime.ACTIVATIONS, *losses.LOSSES]:
        assert f"| `{name}` |" in page


def test_command_lines_are_understood():
    lines = [line for _, text in blocks(DOCS / "command_line.md") for line in text.splitlines()]
    commands = [line.split()[1:] for line in lines if line.startswith("fastbp ")]
    assert commands
    for command in commands:
        _parser().parse_args(command)


def test_every_option_of_the_command_is_named():
    page = (DOCS / "command_line.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"fastbp {name}" in page
        for option in _command(_parser(), name)._option_string_actions:
            assert f"`{option}" in page or f" {option}" in page or option in ("-h", "--help")


def test_every_script_of_the_benchmark_is_named():
    guide = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    scripts = [p.name for p in (ROOT / "bench").glob("*.py") if "__main__" in p.read_text()]
    assert len(scripts) > 5
    for name in set(scripts) - {"worker.py"}:  # started by the others
        assert f"python bench/{name}" in guide


def test_the_tests_of_the_topics_exist():
    coverage = (DOCS / "coverage.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+/test_\w+\.py)`", coverage)
    assert len(named) > 20
    tests = ROOT / "tests"
    assert set(named) <= {path.relative_to(tests).as_posix() for path in tests.rglob("test_*.py")}


def recipes():
    """Title and numbered places of each recipe of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for recipe in re.split(r"^### ", text.split("## Recipes")[1].split("\n## ")[0], flags=re.M)[1:]:
        title, _, body = recipe.partition("\n")
        yield title, re.split(r"^\d\. ", body, flags=re.M)[1:]


@pytest.mark.parametrize(("title", "places"), list(recipes()), ids=lambda value: str(value)[:24])
def test_the_places_of_a_recipe_exist(title, places):
    assert 1 < len(places) <= 6
    for place in places:
        first = re.match(r"`([\w/.<>]+)`", place)
        assert first, place
        if "<" not in first[1]:
            assert (ROOT / first[1]).is_file(), first[1]


def test_there_is_a_recipe_for_each_part_that_grows():
    titles = [title for title, _ in recipes()]
    for what in ("activation", "loss", "update rule", "layer kind", "row dtype", "instruction set"):
        assert any(title.endswith(what) for title in titles)


def anchors(path):
    """What GitHub makes of the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", ALL_PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\((?!https)([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in PAGES:
        assert f"(docs/{path.name}" in readme


@pytest.mark.slow
def test_the_picture_of_the_readme_can_be_drawn_again(tmp_path):
    pytest.importorskip("matplotlib")
    environment = os.environ | {"PYTHONPATH": str(Path(fb.__file__).parents[1])}
    command = [sys.executable, str(DOCS / "draw.py"), str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    for picture in (tmp_path / "history.png", DOCS / "history.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size > 10_000


@pytest.mark.slow
def test_the_picture_of_the_report_can_be_drawn_again(tmp_path):
    pytest.importorskip("PIL")
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium")
    environment = os.environ | {"PYTHONPATH": str(Path(fb.__file__).parents[1])}
    command = [sys.executable, str(DOCS / "draw_report.py"), str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=400)
    for picture in (tmp_path / "report.png", DOCS / "report.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size > 10_000
