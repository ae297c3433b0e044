"""Names, numbers and tables as a person reads them."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp.tables.wording import aligned, number, percent, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (0.5, "0.5"),
        (33.3333, "33.33"),
        (-1234.5678, "-1,235"),
        (12345.678, "12,346"),
        (999.96, "1,000"),
        (9.9996, "10"),
        (1e9, "1,000,000,000"),
        (1e15, "1.000e+15"),
        (0.00012345, "0.0001234"),
        (0.000012345, "1.234e-05"),
        (np.int64(1000), "1,000"),
        (np.float32(0.25), "0.25"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0%"), (1, "100.0%"), (0.1234, "12.3%"), (0.99999, ">99.9%"), (1e-5, "<0.1%")],
)
def test_shares(share, text):
    assert percent(share) == text


def test_names_cannot_act_on_what_shows_them():
    assert shown("plain $x$ <b>&\"' 日本語 שם é") == "plain $x$ <b>&\"' 日本語 שם é"
    assert shown("\x1b[31m\n\t\x00\u202e\u2066\ud800\x85") == (
        "\\x1b[31m\\n\\t\\x00\\u202e\\u2066\\ud800\\x85"
    )
    assert shown("می\u200cخواهم") == "می\u200cخواهم"  # a letter's form depends on it
    assert shown(7) == "7"


@pytest.mark.parametrize("most", [10, 11, 60])
def test_of_long_names_the_middle_is_left_out(most):
    text = "begins" + "x" * 100 + "ends"
    found = shown(text, most)
    assert len(found) == most
    left, right = found.split("...")
    assert text.startswith(left)
    assert text.endswith(right)
    assert shown("y" * most, most) == "y" * most


def test_columns_are_aligned_whatever_their_letters_take():
    rows = [["a", "1", "x"], ["日本", "10", "xyz"], ["e\u0301e\u0301", "100", ""]]
    assert aligned(rows, left=(0, 2)) == ["a       1  x", "日本   10  xyz", "e\u0301e\u0301    100"]
    assert aligned([["a", "b"]], gap=1) == ["a b"]
    assert aligned([]) == []
