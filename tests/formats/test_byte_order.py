"""Files have one order of bytes, whatever that of the machine."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastbp.formats import modelfile

NUMBERS = [[1.0, -2.5, 1e-3], [0.0, 3.0, -1e30]]


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_tensors_of_the_other_order_are_the_same_file(tmp_path, kind):
    contents = []
    for order in "<>":
        modelfile.write(tmp_path / "net", {}, {"layers.w": np.array(NUMBERS, order + kind)})
        content = (tmp_path / "net").read_bytes()
        begin = 8 + int.from_bytes(content[:8], "little")
        contents.append((json.loads(content[8:begin]), content[begin:]))
        _, tensors = modelfile.read(tmp_path / "net")
        np.testing.assert_array_equal(tensors["layers.w"], np.array(NUMBERS, kind))
        assert tensors["layers.w"].dtype == np.dtype(kind)
        assert tensors["layers.w"].dtype.isnative
    assert contents[0] == contents[1]
    assert contents[0][1] == np.array(NUMBERS, "<" + kind).tobytes()
