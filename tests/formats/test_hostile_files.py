"""Files that are damaged, cut or made to harm: a named error each, in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from training import classes, classifier, trainer

import fastbp as fb
from fastbp import errors
from fastbp.formats import modelfile

X, Y = classes()


def file_of(header, data=b""):
    """A safetensors file of a header, a dict or text, and the bytes of its tensors."""
    text = (json.dumps(header) if isinstance(header, dict) else header).encode()
    return len(text).to_bytes(8, "little") + text + data


def model(**changes):
    """The header of a right model with changed metadata, and its tensors."""
    network = fb.Network(2, [fb.Dense(2, "tanh")], seed=0)
    architecture = network._architecture() | changes
    tensors = network._tensors()
    metadata = {"format": "fastbp", "format_version": "1", "architecture": json.dumps(architecture)}
    metadata["sha256"] = modelfile._digest(metadata, tensors)
    entries, data = {}, b""
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].size):
        span = [len(data), len(data) + tensor.nbytes]
        entries[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": span}
        data += tensor.tobytes()
    return {"__metadata__": metadata, **entries}, data


def changed(name, **values):
    header, data = model()
    header[name] = header[name] | values
    return file_of(header, data)


def nested(depth):
    inner = [{"units": 2, "activation": "tanh"}]
    text = json.dumps(inner)
    for _ in range(depth):
        text = '[{"kind": "residual", "layers": ' + text + "}]"
    return text


def with_layers(text):
    """A model whose layers are this JSON, its checksum mended."""
    header, data = model(layers="LAYERS")
    metadata = header["__metadata__"]
    metadata["architecture"] = metadata["architecture"].replace('"LAYERS"', text)
    del metadata["sha256"]
    metadata["sha256"] = modelfile._digest(
        metadata, fb.Network(2, [fb.Dense(2)], seed=0)._tensors()
    )
    return file_of(header, data)


def text_of_model():
    header, data = model()
    return json.dumps(header), data


HOSTILE = {
    "huge header length": lambda: (2**62).to_bytes(8, "little") + b"{}",
    "header longer than the file": lambda: (1000).to_bytes(8, "little") + b"{}",
    "header of megabytes": lambda: file_of("[" * (modelfile.MOST_HEADER_BYTES + 1)),
    "deep JSON": lambda: file_of("[" * 100_000),
    "deep objects": lambda: file_of('{"a":' * 100_000),
    "key twice": lambda: file_of(
        text_of_model()[0].replace("{", '{"layers.0.bias": {}, ', 1), text_of_model()[1]
    ),
    "NaN": lambda: file_of('{"a": NaN}'),
    "infinite": lambda: file_of('{"a": {"dtype": "F32", "shape": [Infinity]}}'),
    "no object": lambda: file_of("[1, 2]"),
    "no entry": lambda: file_of('{"a": 3}'),
    "metadata of numbers": lambda: file_of({"__metadata__": {"format": 3}}),
    "float8": lambda: changed("layers.0.bias", dtype="F8_E4M3"),
    "unknown type": lambda: changed("layers.0.bias", dtype="F33"),
    "integers": lambda: changed("layers.0.bias", dtype="I32"),
    "overlap": lambda: changed("layers.0.bias", data_offsets=[0, 8]),
    "gap": lambda: changed("layers.0.bias", data_offsets=[100, 108]),
    "no span": lambda: changed("layers.0.bias", data_offsets=[]),
    "span without end": lambda: changed("layers.0.bias", data_offsets=[16, None]),
    "span of text": lambda: changed("layers.0.bias", data_offsets=["16", "24"]),
    "infinite span": lambda: file_of('{"__metadata__": {}, "a": {"dtype": "F32", "shape": [1], '
                                     '"data_offsets": [0, 1e999]}}'),
    "backwards": lambda: changed("layers.0.bias", data_offsets=[24, 16]),
    "negative shape": lambda: changed("layers.0.bias", shape=[-2]),
    "huge shape": lambda: changed("layers.0.bias", shape=[2**40, 2**40]),
    "10^12 weights": lambda: with_layers('[{"units": 1000000000000, "activation": "tanh"}]'),
    "2^31 units": lambda: with_layers('[{"units": 2147483647, "activation": "tanh"}]'),
    "fractional units": lambda: with_layers('[{"units": 2.5, "activation": "tanh"}]'),
    "units as text": lambda: with_layers('[{"units": "2", "activation": "tanh"}]'),
    "a million layers": lambda: with_layers(
        "[" + ",".join(['{"units":1,"activation":"tanh"}'] * 10**6) + "]"
    ),
    "as many layers as a header may hold": lambda: with_layers(
        "[" + ",".join(['{"units":1,"activation":"tanh"}'] * 100_000) + "]"
    ),
    "layers of numbers": lambda: with_layers("[1, 2]"),
    "layers of nothing": lambda: with_layers("[null]"),
    "nested 20000": lambda: with_layers(nested(20_000)),
    "NaN as an option": lambda: with_layers('[{"units": 2, "activation": "tanh", "dropout": NaN}]'),
    "unknown kind": lambda: with_layers('[{"kind": "__class__", "units": 2}]'),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(case, reader, tmp_path):
    path = tmp_path / "net"
    path.write_bytes(HOSTILE[case]())
    for load in (fb.load, fb.Trainer.load):
        with pytest.raises(errors.CorruptModelError, match=str(path)):
            load(path)


def test_the_model_that_these_are_made_from_is_right(tmp_path):
    (tmp_path / "net").write_bytes(file_of(*model()))
    assert fb.load(tmp_path / "net").n_parameters == 6
    (tmp_path / "net").write_bytes(with_layers('[{"units": 2, "activation": "relu"}]'))
    assert fb.load(tmp_path / "net").layers[0].activation == "relu"
    (tmp_path / "net").write_bytes(with_layers(nested(50)))
    assert fb.load(tmp_path / "net").n_parameters == 6


def saved(folder, kind, units):
    owner = trainer(fb.Network(5, [fb.Dense(units, "tanh"), fb.Dense(3, "softmax")], seed=0))
    owner.fit(X, Y)
    (owner if kind == "checkpoint" else owner.network).save(folder / "file")
    return folder / "file", fb.Trainer.load if kind == "checkpoint" else fb.load


def assert_every_change_is_found(path, load, step=1):
    content = path.read_bytes()
    for at in range(0, len(content), step):
        for bit in range(8):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            with pytest.raises(errors.CorruptModelError):
                load(path)
        path.write_bytes(content[:at])
        with pytest.raises(errors.CorruptModelError):
            load(path)
    path.write_bytes(content)
    load(path)


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_flipped_bits_and_cuts(kind, tmp_path):
    assert_every_change_is_found(*saved(tmp_path, kind, 2), step=29)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_all_flipped_bits_and_all_cuts_of_two_kibibytes(kind, tmp_path):
    path, load = saved(tmp_path, kind, 40)
    assert path.stat().st_size >= 2048
    assert_every_change_is_found(path, load)


CUT_WHILE_READ = """
import os, sys, threading
import fastbp as fb
path, content, over = sys.argv[1], open(sys.argv[1], "rb").read(), threading.Event()
def cut():
    while not over.is_set():
        os.truncate(path, 100)
        with open(path, "r+b") as file:
            file.write(content)
thread = threading.Thread(target=cut)
thread.start()
try:
    for _ in range(200):
        try:
            fb.load(path)
        except fb.errors.CorruptModelError:
            pass
finally:
    over.set()
    thread.join()
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows does not cut an open file")
def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    network = fb.Network(50, [fb.Dense(400, "tanh"), fb.Dense(3, "softmax")], seed=0)
    network.save(tmp_path / "net")
    command = [sys.executable, "-c", CUT_WHILE_READ, str(tmp_path / "net")]
    subprocess.run(command, check=True, timeout=60)


def test_memory_of_a_forged_model_stays_small(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "net"
    path.write_bytes(HOSTILE["a million layers"]())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(errors.CorruptModelError):
        fb.load(path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 64 << 10  # KiB


@pytest.mark.skipif(os.name != "posix", reason="Windows fills the hole")
def test_a_file_with_a_hole_larger_than_memory_takes_none(tmp_path):
    (tmp_path / "net").write_bytes(file_of(*model()))
    os.truncate(tmp_path / "net", 2**43)
    with pytest.raises(errors.CorruptModelError, match="not a whole"):
        fb.load(tmp_path / "net")


def test_a_later_version_with_other_tensors_is_named(tmp_path):
    header, data = model()
    header["layers.0.bias"]["dtype"] = "BF16"
    for version, error in (("1", errors.CorruptModelError), ("2", errors.FormatVersionError)):
        header["__metadata__"]["format_version"] = version
        (tmp_path / "net").write_bytes(file_of(header, data))
        for load in (fb.load, fb.Trainer.load):
            with pytest.raises(error, match=str(tmp_path / "net")):
                load(tmp_path / "net")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_model_from_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    content = file_of(*model())
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    assert fb.load(tmp_path / "pipe").n_parameters == 6
    writer.join()


def test_a_saved_network_of_many_layers_is_read(tmp_path):
    """What is refused above is far from what is used."""
    layers = [fb.Dense(2, "tanh") for _ in range(1000)]
    network = fb.Network(2, layers, seed=0)
    network.save(tmp_path / "net")
    assert np.array_equal(fb.load(tmp_path / "net").parameters, network.parameters)


def test_metadata_that_no_header_holds_is_refused_when_it_is_saved(tmp_path):
    network = classifier()
    network.metadata["text"] = "x" * modelfile.MOST_HEADER_BYTES
    with pytest.raises(errors.ConfigError, match="MiB to describe"):
        network.save(tmp_path / "net")
    assert not os.listdir(tmp_path)
