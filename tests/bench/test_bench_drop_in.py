"""bench/drop_in.py for an instant: both libraries are fitted, scored and timed."""

from __future__ import annotations

import numpy as np
import pytest
from benches import report, tables


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diabetes, sgd", "text-like, adam"])
def test_scores_and_times(tmp_path, name):
    options = ["--only", name, "--seeds", "2", "--rows", "60"]
    text, document = report("drop_in.py", tmp_path, *options, status=(0, 1))
    (result,) = document["results"]
    theirs, ours = (result["scores"][f] for f in ("sklearn.neural_network", "fastbp.sklearn"))
    assert result["gain"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert result["standard_error"] == pytest.approx(np.std(theirs, ddof=1) / 2**0.5)
    seconds = result["seconds"]
    assert result["times"] == pytest.approx(
        sum(seconds["sklearn.neural_network"]) / sum(seconds["fastbp.sklearn"])
    )
    assert document["status"] == int(result["gain"] < -result["standard_error"])
    ((_, row),) = tables(text)
    assert row[0] == result["name"] == name
