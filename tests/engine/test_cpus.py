"""How many cores the engine takes: affinity, cgroup quota, environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fastbp.engine import cpus
from fastbp.errors import ConfigError


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch):
    """Eight cores, no variables set."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("FASTBP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_affinity_where_nothing_else_limits(tmp_path):
    assert cpus.available_cpus(tmp_path) == 8


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "350000 100000\n"}, 3),  # 3.5 cores, rounded down
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),  # half a core, at least one thread
        (
            {
                "proc/self/cgroup": "0::/outer/inner\n",
                "sys/fs/cgroup/outer/cpu.max": "200000 100000\n",
                "sys/fs/cgroup/outer/inner/cpu.max": "max 100000\n",
            },
            2,  # a parent's quota binds its children
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/job\n4:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "500000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            5,
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        (  # v1: a parent binds too, and the folder may be named otherwise than the controllers
            {
                "proc/self/cgroup": "4:cpuacct,cpu:/outer/inner\n0::/\n",
                "sys/fs/cgroup/cpu/outer/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/outer/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/outer/inner/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/outer/inner/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (  # a container sees its own group as the root, under a path of the host
            {
                "proc/self/cgroup": "0::/../../pod/box\n",
                "sys/fs/cgroup/cpu.max": "200000 100000\n",
            },
            2,
        ),
        ({"proc/self/cgroup": "no colons\n0::/a\n", "sys/fs/cgroup/a/cpu.max": "100 50"}, 2),
        ({"proc/self/cgroup": "0::/a\0b\n1:cpu\n:::::\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "200000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "2e5 1e5\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "-200000 100000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "200000 0\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "9" * 5000 + " 1\n"}, 8),
        ({"sys/fs/cgroup/cpu.max/a folder": ""}, 8),
    ],
)
def test_cgroup_quota(tmp_path, files, cores):
    assert cpus.available_cpus(write(tmp_path, files)) == cores


def test_garbage_for_a_group_is_no_limit(tmp_path):
    rng = np.random.default_rng(0)
    for trial in range(40):
        root = tmp_path / str(trial)
        for name in ("proc/self/cgroup", "sys/fs/cgroup/cpu.max", "sys/fs/cgroup/cpu.cfs_quota_us"):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.choice(list(b"0:/a\n\xff\x00 ,cpu"), 30).astype("u1").tobytes())
        assert 1 <= cpus.available_cpus(root) <= 8


@pytest.mark.parametrize(("value", "cores"), [("3", 3), ("4,2", 4), ("0", 8), ("many", 8)])
def test_omp_num_threads_limits(tmp_path, monkeypatch, value, cores):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cpus.available_cpus(tmp_path) == cores


def test_own_variable_overrides_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("FASTBP_NUM_THREADS", "16")
    assert cpus.available_cpus(tmp_path) == 16


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "2147483648", "9" * 30])
def test_own_variable_must_be_a_positive_whole_number(tmp_path, monkeypatch, value):
    monkeypatch.setenv("FASTBP_NUM_THREADS", value)
    with pytest.raises(ConfigError, match=f"FASTBP_NUM_THREADS.*{value}"):
        cpus.available_cpus(tmp_path)


@pytest.mark.parametrize("value", ["2147483648", "9" * 30, "9" * 5000])
def test_a_number_of_openmp_beyond_32_bits_is_no_limit(tmp_path, monkeypatch, value):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cpus.available_cpus(tmp_path) == 8


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024K", 1 << 20), ("2M", 2 << 20), ("524288", 1 << 19), ("", 1 << 20), ("0K", 1 << 20)],
)
def test_l2_cache(tmp_path, text, size):
    write(tmp_path, {"sys/devices/system/cpu/cpu0/cache/index2/size": text + "\n"})
    assert cpus.l2_bytes(tmp_path) == size


@pytest.mark.skipif(not shutil.which("taskset"), reason="no taskset")
def test_taskset_limits():
    code = "import fastbp as fb; print(fb.get_num_threads())"
    core = subprocess.run(["taskset", "-pc", str(os.getpid())], capture_output=True, text=True)
    first = core.stdout.rsplit(":", 1)[1].strip().replace("-", ",").split(",")[0]
    environment = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    command = ["taskset", "-c", first, sys.executable, "-c", code]
    path = os.pathsep.join(sys.path)
    result = subprocess.run(
        command, capture_output=True, text=True, env={**environment, "PYTHONPATH": path}
    )
    assert result.stdout == "1\n", result.stderr


@pytest.mark.skipif(sys.platform != "win32", reason="masks as Windows has them")
def test_mask_of_windows_limits():
    code = """
import ctypes
kernel = ctypes.windll.kernel32
assert kernel.SetProcessAffinityMask(ctypes.c_void_p(-1), ctypes.c_size_t(1))
from fastbp.engine import cpus
print(cpus.available_cpus())
"""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert result.stdout == "1\n", result.stderr
