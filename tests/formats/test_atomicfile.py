"""Files written whole or not at all: what may be replaced, what stays, what an interrupt leaves."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from training import classifier

import fastbp as fb
from fastbp import errors
from fastbp.formats import atomicfile

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes, devices and links of POSIX")


def kinds(folder):
    """Paths of all that is no regular file."""
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    (folder / "folder").mkdir()
    (folder / "to device").symlink_to("/dev/null")
    return [
        folder / "fifo",
        folder / "socket",
        folder / "folder",
        folder / "to device",
        "/dev/full",
    ]


def test_only_regular_files_are_replaced(tmp_path):
    for path in kinds(tmp_path):
        before = os.stat(path)
        for write in (lambda p: atomicfile.write(p, b"new"), atomicfile.require_writable):
            with pytest.raises(OSError, match=r"regular|directory"):
                write(path)
        assert os.path.samestat(os.stat(path), before)
    assert len(os.listdir(tmp_path)) == 4


def test_a_write_protected_file_stays_even_for_the_superuser(tmp_path):
    path = tmp_path / "net"
    path.write_bytes(b"old")
    path.chmod(0o444)
    for write in (classifier().save, atomicfile.require_writable):
        with pytest.raises(PermissionError, match="write-protected"):
            write(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["net"]


def test_permissions_and_owner_are_those_of_the_old_file(tmp_path):
    path = tmp_path / "net"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    before = path.stat()
    atomicfile.write(path, b"new")
    after = path.stat()
    assert path.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_dangling_link_gets_its_target(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    atomicfile.write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_names_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("n" * 255)
    classifier().save(path)
    assert fb.load(path).n_inputs == 5


@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="needs another user")
def test_a_folder_that_may_be_written_but_not_read():
    folder = Path(tempfile.mkdtemp())  # every user may go through the folder above it
    os.chown(folder, 1234, 1234)
    folder.chmod(0o300)
    pid = os.fork()
    if pid == 0:
        os.setgid(1234)
        os.setuid(1234)
        try:
            atomicfile.write(folder / "net", b"new")
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (folder / "net").read_bytes() == b"new"
    shutil.rmtree(folder)


@pytest.mark.parametrize("path", [3, None, "", "a\0b", b"a\0b", 2.5, ["net"]])
def test_what_is_no_path_is_named(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (fb.load, fb.Trainer.load, classifier().save):
        with pytest.raises(errors.ConfigError, match="path: got"):
            call(path)


def test_a_path_of_bytes(tmp_path):
    path = os.fsencode(tmp_path / "net")
    classifier().save(path)
    assert fb.load(path).n_inputs == 5


def test_a_descriptor_of_the_caller_stays_open(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        with pytest.raises(errors.ConfigError):
            fb.load(file.fileno())
        file.write(b"still open")


TWICE_INTERRUPTED = """
import random, signal, sys, time
from fastbp.formats import atomicfile

rng, came = random.Random(1), 0
begin = time.perf_counter()
for _ in range(10):
    atomicfile.write(sys.argv[1], bytes(3_000))
seconds = (time.perf_counter() - begin) / 10

def interrupt(signum, frame):
    global came
    outside = frame
    while outside is not None and outside.f_code.co_filename != atomicfile.__file__:
        outside = outside.f_back
    came += outside is not None
    if came < 2:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, seconds / 4))
    if outside is not None:
        raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
for _ in range(int(sys.argv[2])):
    came = 0
    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, seconds))
    while came < 2:
        try:
            atomicfile.write(sys.argv[1], bytes(3_000))
        except KeyboardInterrupt:
            pass
"""


def test_interrupts_in_pairs_leave_one_whole_file(tmp_path):
    path = tmp_path / "file"
    command = [sys.executable, "-c", TWICE_INTERRUPTED, str(path), "1000"]
    subprocess.run(command, check=True, timeout=60)
    assert path.read_bytes() == bytes(3_000)
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        fb.History().to_csv(path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
