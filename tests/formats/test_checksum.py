"""What the checksum and the checks behind it are for: forged headers, each refused by its own."""

from __future__ import annotations

import json

import pytest

import fastbp as fb
from fastbp import errors
from fastbp.formats import modelfile


def forged(path, change, mend=False):
    """The file of a network 2-3 with its header changed, and the checksum made right if `mend`."""
    network = fb.Network(2, [fb.Dense(3, "tanh")], seed=0)
    network.save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    metadata = header["__metadata__"]
    if mend:
        del metadata["sha256"]
        metadata["sha256"] = modelfile._digest(metadata, network._tensors())
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def turn(header):
    shape = header["layers.0.weight"]["shape"]
    assert shape == [2, 3]
    shape.reverse()


def say_twice(header):
    metadata = header["__metadata__"]
    metadata["architecture"] = metadata["architecture"].replace("{", '{"layers": [], ', 1)


def add_layers(header):
    described = json.loads(header["__metadata__"]["architecture"])
    described["layers"] *= 50
    header["__metadata__"]["architecture"] = json.dumps(described)


@pytest.mark.parametrize(
    ("change", "mend", "match"),
    [
        (turn, False, "SHA-256 differs"),
        (say_twice, True, "a key is there twice"),
        (add_layers, True, "50 layers and tensors for"),
    ],
)
def test_a_forged_header_is_refused_by_the_check_for_it(tmp_path, change, mend, match):
    forged(tmp_path / "net", change, mend)
    with pytest.raises(errors.CorruptModelError, match=match):
        fb.load(tmp_path / "net")


def test_the_file_that_these_are_made_from_is_right(tmp_path):
    for mend in (False, True):
        forged(tmp_path / "net", lambda header: None, mend)
        assert fb.load(tmp_path / "net").n_parameters == 9
