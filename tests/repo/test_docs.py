"""The Python in docs/ runs from top to bottom and prints what stands below it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

DOCS = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))


def blocks(path):
    """(language, text) of the fenced blocks of a page."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_python_prints_what_stands_below_it(path):
    names: dict[str, object] = {}
    printed = ""
    for language, text in blocks(path):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(text, path.name, "exec"), names)
            printed = output.getvalue()
        elif language == "text":
            assert printed == text


def test_the_page_on_gradients_has_four_examples():
    languages = [language for language, _ in blocks(DOCS[0].with_name("gradients.md"))]
    assert languages == ["python", "text"] * 4
