"""The cores that this process may use (affinity, cgroup quota, environment), and their L2 cache."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from fastbp.errors import ConfigError, brief

DEFAULT_L2_BYTES = 1 << 20
# Numbers of threads that the engine can count, and the digits of a text that may be one.
MOST, DIGITS = 2**31 - 1, 20


@cache
def l2_bytes(root: Path = Path("/")) -> int:
    """Return the size of a core's L2 cache; 1 MiB where the system does not report it.

    Parameters
    ----------
    root
        Where ``sys/devices/system/cpu`` is found; for tests.
    """
    text = _read(root / "sys/devices/system/cpu/cpu0/cache/index2/size")
    size = text.rstrip("KM")
    if not size.isdecimal() or int(size) == 0:
        return DEFAULT_L2_BYTES
    return int(size) * {"K": 1 << 10, "M": 1 << 20}.get(text[-1], 1)


def available_cpus(root: Path = Path("/")) -> int:
    """Return the cores for the engine's threads when the caller names no number.

    The smallest of the CPU affinity, the cgroup quota (v1 or v2, rounded down, at least 1) and
    ``OMP_NUM_THREADS``; ``FASTBP_NUM_THREADS`` overrides all of them.

    Parameters
    ----------
    root
        Where ``sys/fs/cgroup`` and ``proc`` are found; for tests.

    Raises
    ------
    ConfigError
        If ``FASTBP_NUM_THREADS`` is not a whole number from 1 to 2147483647.
    """
    own = os.environ.get("FASTBP_NUM_THREADS", "").strip()
    if own:
        wanted = _whole(own)
        if not wanted:
            raise ConfigError(
                f"FASTBP_NUM_THREADS: got {brief(own)}, wanted a whole number from 1 to {MOST}"
            )
        return wanted
    limits = [_affinity(), _cgroup_quota(root), omp_num_threads()]
    return max(1, min(limit for limit in limits if limit is not None))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return _windows_affinity() or os.cpu_count() or 1


def _windows_affinity() -> int:
    """Return the cores of this process's mask; 0 if it has none, as beyond 64 cores it may have."""
    if sys.platform != "win32":
        return 0
    import ctypes

    kernel = ctypes.windll.kernel32
    process, system = ctypes.c_size_t(), ctypes.c_size_t()
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(kernel.GetCurrentProcess())
    found = kernel.GetProcessAffinityMask(handle, ctypes.byref(process), ctypes.byref(system))
    return process.value.bit_count() if found else 0


def omp_num_threads() -> int | None:
    """Return the first number of OMP_NUM_THREADS (it may list one per nesting level)."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return _whole(first) or None


def _whole(text: str) -> int | None:
    """Return a number of threads that the engine can count, None for another text."""
    return int(text) if text.isdecimal() and len(text) <= DIGITS and int(text) <= MOST else None


def _cgroup_quota(root: Path) -> int | None:
    quotas = (_folder_quota(folder) for folder in _cgroup_folders(root))
    return min((quota for quota in quotas if quota), default=None)


def _cgroup_folders(root: Path) -> list[Path]:
    """List the process's own group and its parents, in the v2 tree and in the v1 cpu tree."""
    base = root / "sys/fs/cgroup"
    trees = base, base / "cpu", base / "cpu,cpuacct"
    folders = list(trees)
    for line in _read(root / "proc/self/cgroup").splitlines():
        fields = line.split(":", 2)
        if len(fields) < 3 or (fields[1] and "cpu" not in fields[1].split(",")):
            continue
        controllers, path = fields[1], fields[2].lstrip("/")
        for tree in (base / controllers, *trees[1:]) if controllers else trees[:1]:
            group = tree / path
            folders += [group, *(parent for parent in group.parents if tree in parent.parents)]
    return folders


def _folder_quota(folder: Path) -> int | None:
    """Return whole cores of quota / period in one cgroup folder; None where there is no limit."""
    fields = _read(folder / "cpu.max").split()
    if not fields:
        fields = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
    try:
        quota, period = (int(field) for field in fields)
    except ValueError:
        return None
    return max(1, quota // period) if quota > 0 and period > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except (OSError, ValueError):  # a ValueError is a name that no file can have
        return ""
