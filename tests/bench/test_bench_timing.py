"""What the scripts of bench/ share: rounds, repeats, spread, options, tables and files."""

from __future__ import annotations

import json
import random

import options
import pytest
import report
import timing


def test_rounds_take_turns():
    calls = []
    measures = {name: lambda name=name: calls.append(name) or len(calls) for name in "abc"}
    samples = timing.rounds(measures, 3)
    assert calls == list("abc" * 3)
    assert samples == {"a": [1, 4, 7], "b": [2, 5, 8], "c": [3, 6, 9]}


def test_rounds_in_a_new_order_each_time():
    calls = []
    measures = {name: lambda name=name: calls.append(name) or len(calls) for name in "abcdefgh"}
    samples = timing.rounds(measures, 2, random.Random(0))
    first, second = calls[:8], calls[8:]
    assert sorted(first) == sorted(second) == list("abcdefgh")
    assert first != second
    for name, figures in samples.items():
        assert [calls[i - 1] for i in figures] == [name, name]


@pytest.mark.parametrize("each", [1e-6, 0.3, 50])
def test_repeats_fill_the_seconds(each):
    done = []
    repeats = timing.repeats_in(10, lambda n: done.append(n) or n * each)
    assert repeats == max(1, round(10 / each))
    assert sum(done) * each <= max(10, each) * 1.5  # finding out takes no longer than a sample


def test_spread_is_half_the_interquartile_range_over_the_median():
    assert timing.spread([4.0, 1.0, 2.0, 3.0, 5.0]) == pytest.approx((4 - 2) / 2 / 3)


def test_options_have_the_defaults_of_the_script():
    parser = options.parser("doc", only="", seconds=2.5, threads=3)
    arguments = parser.parse_args(["--threads", "7", "--json", "file"])
    given = {"only": "", "seconds": 2.5, "threads": 7, "json": "file"}
    assert vars(arguments) == given
    assert "(2.5)" in parser.format_help()


def test_choose():
    named = {"ab": 1, "bc": 2, "cd": 3}
    assert options.choose("b", named) == [1, 2]
    with pytest.raises(SystemExit, match="ab; bc; cd"):
        options.choose("x", named)


def test_table():
    table = report.head(["a", "b"]) + "\n" + report.row(["1", "2"])
    assert table == "| a | b |\n| --- | ---: |\n| 1 | 2 |"
    assert report.head(["a", "b"], text_columns=2).endswith("| --- | --- |")


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (1.5, "1.5"), (99.4, "99.4"), (12345.6, "12,346")]
)
def test_number(value, text):
    assert report.number(value) == text


def test_file(tmp_path):
    path = tmp_path / "report.json"
    report.write(str(path), {"cpu": "x"}, [1, 2], more=3)
    assert json.loads(path.read_text()) == {
        "environment": {"cpu": "x"},
        "results": [1, 2],
        "more": 3,
    }
    report.write(None, {}, [])
    assert list(tmp_path.iterdir()) == [path]
