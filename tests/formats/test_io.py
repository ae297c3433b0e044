"""Saved networks: the same bits back, damage found, and an old file that survives a failed save."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training import classes, classifier, parameters, trainer

import fastbp as fb
from fastbp import errors
from fastbp.formats import modelfile, tensorfile

X, Y = classes()


def trained(dtype="float32"):
    owner = trainer(classifier(dtype=dtype))
    owner.fit(X, Y)
    return owner.network


@pytest.fixture
def saved(tmp_path):
    """A network and the file it was saved to."""
    network = trained()
    network.metadata["classes"] = "setosa, versicolor, virginica"
    network.save(tmp_path / "net.safetensors")
    return network, tmp_path / "net.safetensors"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [str, Path])
def test_round_trip_keeps_every_bit(tmp_path, dtype, kind):
    network = trained(dtype)
    network.save(kind(tmp_path / "net"))
    loaded = fb.load(kind(tmp_path / "net"))
    assert parameters(loaded) == parameters(network)
    assert repr(loaded) == repr(network)
    assert loaded.predict(X).tobytes() == network.predict(X).tobytes()
    trainer(loaded).fit(X, Y)


@pytest.mark.parametrize("activation", list(fb.engine.runtime.ACTIVATIONS))
def test_round_trip_of_special_values(tmp_path, activation, reader):
    network = fb.Network(3, [fb.Dense(4, activation), fb.Dense(1, activation)], seed=0)
    network.layers[0].weight[0] = [-0.0, np.nan, np.inf, np.float32(1e-45)]
    network.save(tmp_path / "net")
    loaded = fb.load(tmp_path / "net")
    assert parameters(loaded) == parameters(network)
    assert [layer.activation for layer in loaded.layers] == [activation] * 2


def test_metadata_of_the_user(saved):
    network, path = saved
    assert fb.load(path).metadata == network.metadata
    for bad in ({"a": 1}, {1: "a"}):
        network.metadata = bad
        with pytest.raises(errors.ConfigError, match="metadata: got"):
            network.save(path)
    assert fb.load(path).metadata["classes"].startswith("setosa")


def test_file_is_plain_safetensors(saved):
    network, path = saved
    tensors = pytest.importorskip("safetensors.numpy").load_file(path)
    assert sorted(tensors) == [
        "layers.0.bias",
        "layers.0.weight",
        "layers.1.bias",
        "layers.1.weight",
    ]
    assert np.array_equal(tensors["layers.0.weight"], network.layers[0].weight)


@pytest.mark.parametrize("flip", [0x01, 0x20, 0xFF])
def test_any_changed_byte_is_found(tmp_path, flip, reader):
    path = tmp_path / "net"
    fb.Network(2, [fb.Dense(2, "tanh")], seed=0).save(path)
    content = path.read_bytes()
    for i in range(flip % 3, len(content), 3):  # each flip has its own third of the bytes
        path.write_bytes(content[:i] + bytes([content[i] ^ flip]) + content[i + 1 :])
        with pytest.raises(errors.CorruptModelError, match=str(path)):
            fb.load(path)
    path.write_bytes(content)
    fb.load(path)


def test_any_cut_is_found(tmp_path, reader):
    path = tmp_path / "net"
    fb.Network(2, [fb.Dense(2, "tanh")], seed=0).save(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(errors.CorruptModelError):
            fb.load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(errors.CorruptModelError):
        fb.load(path)


NOISE = np.random.default_rng(0).bytes(500)  # the same in each process, as it is part of a name


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95", b"{}", bytes(1000), NOISE])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "net"
    path.write_bytes(content)
    with pytest.raises(errors.CorruptModelError):
        fb.load(path)


def test_safetensors_of_others_are_refused(tmp_path):
    (tmp_path / "other").write_bytes(tensorfile.save({"w": np.ones(3)}, {}))
    with pytest.raises(errors.CorruptModelError, match="not a fastbp model"):
        fb.load(tmp_path / "other")


def test_missing_files_are_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        fb.load(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        fb.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        trained().save(tmp_path / "none" / "net")


def test_a_later_format_is_named(saved):
    _, path = saved
    content = path.read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    metadata = json.loads(header)["__metadata__"] | {"format_version": "2"}
    del metadata["sha256"]
    tensors = tensorfile.load(content)
    digest = modelfile._digest(metadata, tensors)
    path.write_bytes(tensorfile.save(tensors, metadata | {"sha256": digest}))
    with pytest.raises(errors.FormatVersionError, match="format version 2; this fastbp reads"):
        fb.load(path)


FORGERIES = {
    "units": {"layers": [{"units": 10**9, "activation": "tanh"}]},
    "activation": {"layers": [{"units": 2, "activation": "swish"}]},
    "option": {"layers": [{"units": 2, "activation": "tanh", "gain": 3}]},
    "no layers": {"layers": []},
    "layers": {"layers": 3},
    "inputs": {"n_inputs": "2"},
    "dtype": {"dtype": "float64"},
    "metadata": {"metadata": 3},
}


@pytest.mark.parametrize("case", [*FORGERIES, "missing key", "no dict"])
def test_forged_architectures_build_nothing(tmp_path, case, reader):
    """The checksum is right; what it protects is not."""
    network = fb.Network(2, [fb.Dense(2, "tanh")], seed=0)
    architecture = network._architecture() | FORGERIES.get(case, {})
    if case == "missing key":
        del architecture["n_inputs"]
    modelfile.write(
        tmp_path / "net",
        [] if case == "no dict" else architecture,
        {name: tensor for name, tensor in network._tensors().items() if case != "no layers"},
    )
    # Older safetensors refuse a file without tensors themselves.
    with pytest.raises(errors.CorruptModelError, match=r"no usable network|not a readable"):
        fb.load(tmp_path / "net")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file(saved, monkeypatch, step):
    network, path = saved
    before = path.read_bytes()

    def fail(*args):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, step, fail)
    network.layers[0].weight[...] = 0
    with pytest.raises(OSError, match="no space"):
        network.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


KILLED_SAVE = """
import os, signal, sys
import fastbp as fb
network = fb.load(sys.argv[1])
network.layers[0].weight[...] = 0
setattr(os, sys.argv[2], lambda *args: os.kill(os.getpid(), signal.SIGKILL))
network.save(sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_killed_save_leaves_the_old_file(saved, step):
    network, path = saved
    done = subprocess.run([sys.executable, "-c", KILLED_SAVE, str(path), step], check=False)
    assert done.returncode == -signal.SIGKILL
    assert parameters(fb.load(path)) == parameters(network)


def test_writing_is_synced_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    calls = []

    def record(name):
        real = getattr(os, name)

        def call(*args):
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)
            calls.append(f"{name} folder" if folder else name)
            return real(*args)

        monkeypatch.setattr(os, name, call)

    record("fsync")
    record("replace")
    trained().save(tmp_path / "net")
    assert calls == ["fsync", "replace", "fsync folder"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes and links")
def test_mode_and_links_of_the_old_file_are_kept(saved, tmp_path):
    network, path = saved
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    network.layers[0].bias[...] = 7
    network.save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert parameters(fb.load(path)) == parameters(network)


def test_architecture_is_readable_json(saved):
    _, path = saved
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size])["__metadata__"]
    assert json.loads(metadata["architecture"])["n_inputs"] == 5
    assert metadata["format_version"] == "1"
    assert len(metadata["sha256"]) == 64
