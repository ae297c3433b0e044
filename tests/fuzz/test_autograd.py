"""400 random networks beside PyTorch; FASTBP_FUZZ_SEED chooses others."""

from __future__ import annotations

import os
from itertools import islice

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # torch's own

NETWORKS, PARTS = 400, 10


@pytest.mark.parametrize("part", range(PARTS))
def test_twenty_steps_are_those_of_autograd(part):
    pytest.importorskip("torch")
    from fuzz import autograd

    seed = int(os.environ.get("FASTBP_FUZZ_SEED", "1"))
    share = NETWORKS // PARTS
    cases = list(islice(autograd.cases(seed), part * share, (part + 1) * share))
    assert len(cases) == share
    found = {repr(case): autograd.difference(case) for case in cases}
    assert not {case: text for case, text in found.items() if text}
