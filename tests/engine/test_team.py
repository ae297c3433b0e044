"""The team of fastbp's own threads, below Python, and the limits that others set for any team."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from fastbp.engine import runtime

ROOT = Path(__file__).parents[2]
SOURCES = ["tests/engine/team.c", "src/team.c", "src/threads.c"]
SLEEPING = {"on a futex": [], "as other systems have it": ["-DFBP_NO_FUTEX"]}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads what Linux tells")
@pytest.mark.parametrize(
    "sleeping", ["on a futex", pytest.param("as other systems have it", marks=pytest.mark.slow)]
)
def test_a_team_keeps_its_promises(sleeping, tmp_path):
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]}")
    program = tmp_path / "team"
    flags = ["-std=gnu11", "-pthread", "-DFBP_PTHREAD", *SLEEPING[sleeping], f"-I{ROOT / 'src'}"]
    sources = [str(ROOT / source) for source in SOURCES]
    subprocess.run([*compiler, *flags, "-o", str(program), *sources, "-ldl"], check=True)
    result = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "")


THREADS = """
import fastbp as fb
net = fb.Network(3, [fb.Dense(2)], seed=0)
import threadpoolctl
fb.set_num_threads(3)
{known}
with threadpoolctl.threadpool_limits(2):
    print(fb.get_num_threads())
with threadpoolctl.threadpool_limits({{"openmp": 1}}):
    print(fb.get_num_threads())
with threadpoolctl.threadpool_limits(1, user_api="blas"):
    print(fb.get_num_threads())
print(fb.get_num_threads())
"""
KNOWN = {
    "a network is built": "fb.Network(3, [fb.Dense(2)], seed=0)",
    "the threads are counted": "fb.get_num_threads()",
}


@pytest.mark.skipif(not runtime.has_threads(), reason="one thread in any case")
@pytest.mark.parametrize("known", KNOWN)
def test_limits_of_threadpoolctl_hold_from_the_first_call_after_its_import(known):
    pytest.importorskip("threadpoolctl")
    result = subprocess.run(
        [sys.executable, "-c", THREADS.format(known=KNOWN[known])],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "3", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.stdout.split() == ["2", "1", "3", "3"], result.stderr


@pytest.mark.skipif(runtime.TEAM != "pthread", reason="the team is not fastbp's own")
def test_threadpoolctl_lists_the_team():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    runtime.get_num_threads()
    found = [lib for lib in threadpoolctl.threadpool_info() if lib["internal_api"] == "fastbp"]
    assert [lib["filepath"] for lib in found] == [os.path.realpath(runtime.__file__)]
    assert found[0]["num_threads"] == runtime.allowed_threads()
    assert found[0]["threading_layer"] == "pthread"
