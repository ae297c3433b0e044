"""The stand-in for safetensors writes the library's bytes and refuses what the library refuses."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from training import classes, parameters, trainer

import fastbp as fb
from fastbp.formats import tensorfile

numpy_of = pytest.importorskip("safetensors.numpy")
SafetensorError = pytest.importorskip("safetensors").SafetensorError

NOTES = [{}, {"format": "fastbp"}, {'ä "quoted"\n\x1f\x7f': "\\ \u2028 𝛼"}]
TENSORS = {
    "none": {},
    "one": {"w": np.arange(6, dtype=np.float32).reshape(2, 3)},
    "both dtypes": {
        "b": np.array([-0.0, np.nan, np.inf]),
        "a": np.array([1e-45, 3], np.float32),
        "B": np.ones((1, 1, 2)),
        "é/\t": np.ones(5, np.float32),
    },
    "empty": {"a": np.zeros((0, 3), np.float32), "b": np.zeros(0), "c": np.array(2.5)},
}


def bits(tensors):
    return {name: (t.dtype.str, t.shape, t.tobytes()) for name, t in tensors.items()}


@pytest.mark.parametrize("name", TENSORS)
def test_the_bytes_are_those_of_the_library(name):
    for notes in NOTES[0 if TENSORS[name] else 1 :]:  # of nothing at all the library makes no JSON
        content = tensorfile.save(TENSORS[name], notes)
        assert content == numpy_of.save(TENSORS[name], notes)
        assert bits(tensorfile.load(content)) == bits(numpy_of.load(content)) == bits(TENSORS[name])


def test_tensors_are_plain_arrays_of_their_own():
    content = tensorfile.save({"a": np.ones(3), "b": np.ones(1, np.float32)}, {})
    for tensor in tensorfile.load(content).values():
        assert tensor.dtype.isnative and tensor.flags.writeable and tensor.flags.owndata
        tensor[...] = 0
    assert bits(tensorfile.load(content))["a"][2] == np.ones(3).tobytes()


def outcome(load, content):
    """The tensors of a file, or that it is refused."""
    try:
        return bits(load(content))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError):
        return "refused"


def test_every_changed_bit_has_the_library_s_outcome():
    content = tensorfile.save({"a": np.ones(2), "bb": np.zeros((2, 1), np.float32)}, {"k": "v"})
    refused = 0
    for at in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[at] ^= 1 << bit
            want = outcome(numpy_of.load, bytes(changed))
            assert outcome(tensorfile.load, bytes(changed)) == want, (at, bit)
            refused += want == "refused"
    assert refused > 4 * len(content)
    for length in range(len(content)):
        assert outcome(tensorfile.load, content[:length]) == "refused", length


ENTRIES = {
    "right": {},
    "another order": {"a": {"data_offsets": [8, 16]}, "b": {"data_offsets": [0, 8]}},
    "overlap": {"a": {"data_offsets": [4, 12]}},
    "gap": {"b": {"data_offsets": [12, 20]}},
    "backwards": {"a": {"data_offsets": [8, 0]}},
    "three offsets": {"a": {"data_offsets": [0, 8, 16]}},
    "no offsets": {"a": {"data_offsets": None}},
    "a float": {"a": {"shape": [2.0]}},
    "a bool": {"b": {"shape": [True, 2]}},
    "negative": {"a": {"shape": [-2]}},
    "huge": {"a": {"shape": [2**40, 2**40]}},
    "64 bits are over": {"a": {"shape": [2**64, 2]}},
    "0 of a huge number": {"a": {"shape": [0, 2**63]}},
    "a text": {"a": {"shape": "2"}},
    "another shape": {"b": {"shape": [2, 1, 1]}},
    "another size": {"b": {"shape": [3]}},
    "unknown dtype": {"a": {"dtype": "F33"}},
    "dtype of a number": {"a": {"dtype": 3}},
    "dtype in small letters": {"a": {"dtype": "f32"}},
    "one more key": {"a": {"note": "x"}},
}


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_have_the_library_s_outcome(name):
    entries = {
        key: {"dtype": "F32", "shape": [2], "data_offsets": [at, at + 8]}
        | ENTRIES[name].get(key, {})
        for key, at in (("a", 0), ("b", 8))
    }
    text = json.dumps(entries).encode()
    content = len(text).to_bytes(8, "little") + text + np.arange(4, dtype="<f4").tobytes()
    want = outcome(numpy_of.load, content)
    assert outcome(tensorfile.load, content) == want
    assert (want != "refused") == (name in ("right", "another order", "another shape",
                                            "one more key"))  # fmt: skip


@pytest.mark.parametrize("header", [b"[]", b"3", b"null", b'{"a": []}', b'{"a": {}}', b"\xff{}"])
def test_headers_of_something_else_are_refused(header):
    content = len(header).to_bytes(8, "little") + header
    assert outcome(numpy_of.load, content) == outcome(tensorfile.load, content) == "refused"


def test_each_reads_what_the_other_has_written(tmp_path, monkeypatch):
    x, y = classes()
    owner = trainer(optimizer=fb.Adam(0.01))
    owner.network.metadata["ä"] = "\n"
    owner.fit(x, y)
    owner.save(tmp_path / "library")
    by_library = fb.Trainer.load(tmp_path / "library")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    by_stand_in = fb.Trainer.load(tmp_path / "library")
    owner.save(tmp_path / "stand-in")
    monkeypatch.undo()
    again = fb.Trainer.load(tmp_path / "stand-in")
    for one in (owner, by_library, by_stand_in, again):
        assert one.network.metadata == {"ä": "\n"}
        one.fit(x, y)
        assert parameters(one.network) == parameters(owner.network)
