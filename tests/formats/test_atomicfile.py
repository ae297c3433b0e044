"""Files written whole or not at all: what may be replaced, what stays, what an interrupt leaves."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from training import classes, classifier, trainer

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


def test_other_hard_links_keep_the_old_content(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "other").hardlink_to(tmp_path / "file")
    atomicfile.write(tmp_path / "file", b"new")
    assert (tmp_path / "other").read_bytes() == b"old"


def test_extended_attributes_are_not_kept(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    try:
        os.setxattr(tmp_path / "file", "user.note", b"x")
    except (AttributeError, OSError):
        pytest.skip("this file system has none")
    atomicfile.write(tmp_path / "file", b"new")
    assert os.listxattr(tmp_path / "file") == []


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


@pytest.mark.parametrize("path", [3, None, "a\0b", b"a\0b", 2.5, ["net"]])
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


def in_a_child(work):
    """Run `work` in a child; return how that ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except OSError:
            os._exit(1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_file_that_may_not_grow_so_long_is_not_there(tmp_path, old):
    resource = pytest.importorskip("resource")
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)

    def write():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        atomicfile.write(path, bytes(4097))

    assert in_a_child(write) == 1
    assert (path.read_bytes() if path.exists() else None) == old
    assert os.listdir(tmp_path) == ["file"] * (old is not None)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file system of its own")
def test_a_disk_that_is_full_at_any_moment(tmp_path):
    """A file system of 64 KiB, filled by more and more before a save."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path / "disk")]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        path, refused = tmp_path / "disk" / "net", 0
        network = classifier()
        for filled in range(0, 64 << 10, 1 << 10):
            with suppress(OSError):
                (tmp_path / "disk" / "filling").write_bytes(bytes(filled))
            before = path.read_bytes() if path.exists() else None
            try:
                network.save(path)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                assert (path.read_bytes() if path.exists() else None) == before
                refused += 1
            assert set(os.listdir(path.parent)) <= {"net", "filling"}
            assert fb.load(path).n_parameters == network.n_parameters
        assert refused
    finally:
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_file(tmp_path):
    path, contents = tmp_path / "file", [bytes([i]) * 30_000 for i in range(2)]
    atomicfile.write(path, contents[0])
    for i in range(10):
        pid = os.fork()
        if pid == 0:
            while True:
                for content in contents:
                    atomicfile.write(path, content)
        time.sleep(1e-3 + 3e-4 * i)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert path.read_bytes() in contents
    left = set(os.listdir(tmp_path)) - {"file"}
    assert all(re.fullmatch(r"\.fastbp-[0-9a-f]{16}\.tmp", name) for name in left)


def test_nobody_looks_into_a_private_file_while_it_is_written(tmp_path, monkeypatch):
    path, modes = tmp_path / "file", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    inherit = os.fchmod
    monkeypatch.setattr(
        os,
        "fchmod",
        lambda descriptor, mode: (
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode)),
            inherit(descriptor, mode),
        ),
    )
    atomicfile.write(path, b"new")
    assert modes == [0o600]


def test_a_link_that_cannot_be_read_is_no_file(tmp_path, monkeypatch):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")

    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    for name in ("readlink", "lstat"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                atomicfile.write(tmp_path / "link", b"new")
        assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"old"


def test_links_in_a_ring_and_links_through_folders(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        atomicfile.write(tmp_path / "a", b"new")
    (tmp_path / "far" / "folder").mkdir(parents=True)
    (tmp_path / "near").symlink_to("far/folder")
    (tmp_path / "near" / "link").symlink_to("../file")  # of far, where the kernel finds it
    checkpoint = fb.Checkpoint(tmp_path / "near" / ".." / "run")
    trainer().fit(*classes(), callbacks=[checkpoint])
    assert fb.Trainer.load(tmp_path / "far" / "run").history.epochs == 1
    atomicfile.write(tmp_path / "near" / "link", b"new")
    assert (tmp_path / "far" / "file").read_bytes() == b"new"
    assert (tmp_path / "near" / "link").is_symlink()


def test_calls_that_a_signal_interrupts_are_made_again(tmp_path, monkeypatch):
    def interrupted(name):
        real, came = getattr(os, name), []

        def call(*arguments, **options):
            came.append(name)
            if len(came) % 3:
                raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)
        return came

    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_bytes(b"old")
    came = [interrupted(name) for name in ("lstat", "readlink", "stat", "replace")]
    atomicfile.require_writable(tmp_path / "link")
    atomicfile.write(tmp_path / "link", b"new")
    monkeypatch.undo()
    assert all(len(calls) >= 3 for calls in came)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


@pytest.mark.parametrize(("error", "saved"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_folders_that_cannot_be_made_durable(tmp_path, monkeypatch, error, saved):
    """Some file systems have no fsync of folders; where it fails, that is said."""
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(error, os.strerror(error))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with nullcontext() if saved else pytest.raises(OSError, match=os.strerror(error)):
        atomicfile.write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


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


@pytest.mark.parametrize("n", [200, pytest.param(7_000, marks=pytest.mark.slow)])
def test_interrupts_in_pairs_leave_one_whole_file(tmp_path, n):
    path = tmp_path / "file"
    command = [sys.executable, "-c", TWICE_INTERRUPTED, str(path), str(n)]
    subprocess.run(command, check=True, timeout=600)
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
