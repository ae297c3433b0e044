"""bench/features.py for an instant: ratios to the plain step, and the marks they are held to."""

from __future__ import annotations

import features
import numpy as np
import pytest
from benches import report, tables


@pytest.mark.slow
def test_ratios_and_marks(tmp_path):
    options = ["--only", "Adam", "--threads", "1", "--seconds", "0.02"]
    text, document = report("features.py", tmp_path, *options, status=(0, 1))
    results = {result["feature"]: result for result in document["results"]}
    assert list(results) == [features.PLAIN, "Adam", "AdamW"]
    plain = results[features.PLAIN]["samples"]
    for result in results.values():
        assert result["microseconds"] == pytest.approx(np.median(result["samples"]))
        assert result["ratio"] == pytest.approx(np.median(np.divide(result["samples"], plain)))
    high = any(result["ratio"] > (result["mark"] or np.inf) for result in results.values())
    assert document["status"] == int(high)
    ((head, *rows),) = tables(text)
    assert [row[0] for row in rows] == list(results)
    assert rows[1][head.index("at most")] == "1.25"


@pytest.mark.parametrize("name", list(features._marks()))
def test_every_feature_is_in_its_trainer(name):
    plain, trainer = features._trainer(features.PLAIN, 1), features._trainer(name, 1)
    assert (repr(trainer) == repr(plain)) == (name == features.PLAIN)
