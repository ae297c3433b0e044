"""What the modules hold: wide registers in kernel sets alone, and no symbol that is not theirs."""

from __future__ import annotations

import ctypes.util
import platform
import re
import shutil
import subprocess
from bisect import bisect_right
from pathlib import Path

import pytest

from fastbp.engine import runtime

MODULES = sorted(Path(runtime.__file__).parent.glob("*.so"))
WIDE = re.compile(r"%[yz]mm")
# The source of a kernel set, or what its functions end in that other files call.
SETS = re.compile(r"kernels_avx(2|512)\.c|.*_avx(2|512)")

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or not shutil.which("objdump"), reason="x86-64 and binutils"
)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def places_of_functions(path):
    """Addresses of all functions, ascending; the source of each, or its name if others call it."""
    found, file = {}, ""
    for line in output("readelf", "--symbols", "--wide", str(path)).splitlines():
        fields = line.split()
        if len(fields) < 8:
            continue
        if fields[3] == "FILE":
            file = fields[7]
        elif fields[3] == "FUNC" and fields[6] != "UND":
            shared = fields[7].startswith("fbp_")
            found[int(fields[1], 16)] = fields[7] if shared else file
    return sorted(found), found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name.split(".")[0])
def test_wide_registers_are_in_kernel_sets_alone(path):
    if ".symtab" not in output("readelf", "--sections", "--wide", str(path)):
        pytest.skip("stripped, as in a wheel, so that no function has a name")
    addresses, places = places_of_functions(path)
    wrong, wide = set(), 0
    for line in output("objdump", "--disassemble", "--no-show-raw-insn", str(path)).splitlines():
        if WIDE.search(line):
            wide += 1
            address = int(line.split(":")[0], 16)
            if not SETS.fullmatch(places[addresses[bisect_right(addresses, address) - 1]]):
                wrong.add(line.strip())
    assert not wrong
    assert (wide > 0) == path.name.startswith("runtime.")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name.split(".")[0])
def test_nothing_but_its_start_is_exported(path):
    names = [line.split()[-1] for line in output("nm", "-D", "--defined-only", path).splitlines()]
    assert names == [f"PyInit_{path.name.split('.')[0]}"]


def test_no_function_of_the_mathematical_library_decides_a_bit():
    """Libraries round differently; of square roots IEEE 754 says how."""
    mathematics, rest = (ctypes.CDLL(ctypes.util.find_library(name)) for name in "mc")
    used = {
        line.split()[-1].split("@")[0]
        for path in MODULES
        for line in output("nm", "-D", "--undefined-only", path).splitlines()
    }
    found = {name for name in used if hasattr(mathematics, name) and not hasattr(rest, name)}
    assert found <= {"sqrt", "sqrtf"}
    assert hasattr(mathematics, "fma")
    assert not hasattr(rest, "fma")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name.split(".")[0])
def test_what_it_needs_is_of_python_or_of_a_library_that_it_is_linked_with(path):
    options = ["--dynamic", "--undefined-only", "--with-symbol-versions"]
    symbols = [line.split() for line in output("nm", *options, path).splitlines()]
    # A symbol of a library has a version; without a weak one (w) a module works as well.
    plain = [name for kind, name in symbols if kind != "w" and "@" not in name]
    assert plain
    assert all(re.fullmatch(r"_?Py\w+", name) for name in plain)
