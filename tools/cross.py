"""The core on other machines: compiled as setup.py does it, run there or in an emulator, compared.

    python tools/cross.py --list                all machines, and whether their compilers are here
    python tools/cross.py                       those whose compilers are here
    python tools/cross.py aarch64 zig-windows   these

Every kernel of every kernel set and both dtypes is called at odd sizes, and a short training run is
made with it (tests/engine/cross_driver.c); the bits must be those of the scalar kernels of this
machine. The exit status is 0 if they are, or if a program that cannot run here was linked.

    apt-get install qemu-user wine64 clang gcc-{aarch64,s390x,riscv64,powerpc64le,i686}-linux-gnu \
        gcc-arm-linux-gnueabihf
    pip install ziglang
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import setuptools

ROOT = Path(__file__).resolve().parents[1]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
DRIVER = ["tests/engine/kernel_calls.c", "tests/engine/cross_driver.c"]
# Zig has names of its own for processors, and none for -mtune=generic, its default.
ZIG = {"-march=x86-64-v2": "-march=x86_64_v2"}
WINE = shutil.which("wine64") or shutil.which("wine64", path="/usr/lib/wine") or "wine64"


@dataclass(frozen=True)
class Target:
    """A machine, the compiler for it, and what runs its programs here (None: nothing does)."""

    machine: str
    compiler: tuple[str, ...]
    runner: tuple[str, ...] | None = ()
    link: tuple[str, ...] = ("-static", "-pthread", "-lm")

    def is_here(self) -> bool:
        """Whether the compiler is installed."""
        if "ziglang" in self.compiler:
            return importlib.util.find_spec("ziglang") is not None
        return shutil.which(self.compiler[0]) is not None

    def runs(self) -> bool:
        """Whether its programs run here."""
        return self.runner is not None and (not self.runner or bool(shutil.which(self.runner[0])))


def _gcc(machine: str, prefix: str, emulator: str) -> Target:
    return Target(machine, (f"{prefix}-gcc",), (f"qemu-{emulator}",))


def _zig(machine: str, target: str, runner: tuple[str, ...] | None) -> Target:
    compiler = (sys.executable, "-m", "ziglang", "cc", "-target", target)
    system = ("-lapi-ms-win-core-synch-l1-2-0",) if "windows" in target else ()  # has WaitOnAddress
    return Target(machine, compiler, runner, link=("-pthread", "-lm", *system))


HERE = "x86_64"
DYNAMIC = ("-pthread", "-lm")
TARGETS = {
    "gcc": Target(HERE, ("gcc",), link=DYNAMIC),
    "clang": Target(HERE, ("clang",), link=DYNAMIC),
    "aarch64": _gcc("aarch64", "aarch64-linux-gnu", "aarch64"),
    "armhf": _gcc("armv7l", "arm-linux-gnueabihf", "arm"),
    "i386": Target("i386", ("i686-linux-gnu-gcc",)),  # x86-64 runs it, 30 times as fast as qemu
    "s390x": _gcc("s390x", "s390x-linux-gnu", "s390x"),
    "riscv64": _gcc("riscv64", "riscv64-linux-gnu", "riscv64"),
    "ppc64le": _gcc("ppc64le", "powerpc64le-linux-gnu", "ppc64le"),
    "zig-musl": _zig(HERE, "x86_64-linux-musl", ()),
    "zig-musl-aarch64": _zig("aarch64", "aarch64-linux-musl", ("qemu-aarch64",)),
    "zig-windows": _zig(HERE, "x86_64-windows-gnu", (WINE,)),
    "zig-windows-aarch64": _zig("aarch64", "aarch64-windows-gnu", None),
    "zig-macos": _zig(HERE, "x86_64-macos", None),
    "zig-macos-arm64": _zig("aarch64", "aarch64-macos", None),
}


@dataclass
class Bits:
    """What a driver prints: digests by kernel set, dtype and kernel; SHA-256 of the training."""

    kernels: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    training: dict[tuple[str, str], str] = field(default_factory=dict)


def rules() -> dict[str, Any]:
    """Return the names of setup.py, with the flags that it ships."""
    original, folder = setuptools.setup, Path.cwd()
    setuptools.setup = lambda **_: None
    os.chdir(ROOT)
    try:
        return runpy.run_path("setup.py")
    finally:
        setuptools.setup = original
        os.chdir(folder)


def build(target: Target, folder: Path) -> Path:
    """Compile and link the core and its driver; a warning is an error."""
    shipped = rules()
    flags = [*shipped["FLAGS"], *shipped["BASELINE"].get(target.machine, []), *WARNINGS, "-Isrc"]
    if "ziglang" in target.compiler:
        flags = [ZIG.get(flag, flag) for flag in flags if flag != "-mtune=generic"]
    sources = [(path, flags, Path(path).stem) for path in [*shipped["CORE"], *DRIVER]]
    for part in shipped["PARTS"]:
        added = shipped["flags_of_part"](part, target.machine)
        for isa, of_isa in shipped["ISAS"].get(target.machine, {"scalar": ["-O1"]}).items():
            for bits in (32, 64):
                defined = [f"-DFBP_REAL_BITS={bits}", f"-DFBP_PART=FBP_{part}"]
                name = f"{isa}-{bits}-{part.lower()}"
                of_part = [*flags, *of_isa, *added, *defined]
                sources.insert(0, (f"src/kernels_{isa}.c", of_part, name))

    def compile_one(source: tuple[str, list[str], str]) -> str:
        path, own, name = source
        made = str(folder / f"{name}.o")
        _run([*target.compiler, *own, "-c", path, "-o", made])
        return made

    with ThreadPoolExecutor(shipped["processes"]()) as pool:
        objects = list(pool.map(compile_one, sources))
    program = folder / "driver.exe"
    _run([*target.compiler, *objects, "-o", str(program), *target.link])
    return program


def bits_of(target: Target, program: Path) -> Bits:
    """Run a driver and return what it prints."""
    if target.runner is None:
        raise ValueError("wanted a target whose programs run here")
    found = Bits(defaultdict(dict))
    for line in _run([*target.runner, str(program)]).splitlines():
        kind, isa, bits, *rest = line.split()
        if kind == "kernel":
            found.kernels[isa, bits][rest[0]] = rest[1]
        else:
            found.training[isa, bits] = sha256(rest[0].encode()).hexdigest()
    return found


def differences(found: Bits, wanted: Bits) -> list[str]:
    """Return the kernels and training runs with other bits than the scalar ones of `wanted`."""
    wrong = []
    for (isa, bits), kernels in found.kernels.items():
        for name, digest in wanted.kernels["scalar", bits].items():
            if kernels.get(name) != digest:
                wrong.append(f"{isa} f{bits} {name}")
        if found.training.get((isa, bits)) != wanted.training["scalar", bits]:
            wrong.append(f"{isa} f{bits} training")
    return wrong


def _run(command: list[str]) -> str:
    environment = os.environ | {"WINEDEBUG": "-all"}
    # Files, not pipes: the server that Wine starts would hold these open.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        try:
            status = subprocess.call(command, cwd=ROOT, stdout=out, stderr=errors, env=environment)
        except OSError as error:  # such as a system that runs no programs of 32 bits
            raise RuntimeError(f"{command[0]}: {error}") from error
        out.seek(0)
        errors.seek(0)
        text = out.read()
        if status != 0:
            message = (errors.read() or text)[-2000:]
            raise RuntimeError(f"exit status {status}: {' '.join(command)}\n{message}")
        return text


def _report(name: str, wanted: Bits | None) -> tuple[str, Bits | None, bool]:
    """Return the row of a target, its bits, and whether they are those of `wanted`."""
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = build(target, Path(folder))
            found = bits_of(target, program) if target.runs() else None
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return f"| {name} | failed | | |", None, False
    if found is None:
        return f"| {name} | linked, not run here | | |", None, True
    sets = ", ".join(dict.fromkeys(isa for isa, _ in found.kernels))
    count = sum(map(len, found.kernels.values()))
    wrong = differences(found, wanted or found)
    for text in wrong:
        print(f"{name}: {text} differs", file=sys.stderr)
    training = " ".join(found.training["scalar", bits][:16] for bits in ("32", "64"))
    n_kernels = count - sum(not text.endswith("training") for text in wrong)
    return f"| {name} | {sets} | {n_kernels} of {count} | {training} |", found, not wrong


def main(names: list[str]) -> int:
    """Print a table of the named targets, or of those that are here."""
    if names == ["--list"]:
        for name, target in TARGETS.items():
            print(f"{name:20} {'here' if target.is_here() else 'not here'}")
        return 0
    unknown = set(names) - set(TARGETS)
    if unknown:
        print(f"cross: got {', '.join(sorted(unknown))}, wanted {', '.join(TARGETS)}")
        return 2
    chosen = names or [name for name, target in TARGETS.items() if target.is_here()]
    print("| target | kernel sets | kernels with the bits | SHA-256 of training, f32 and f64 |")
    print("| --- | --- | --- | --- |")
    row, wanted, good = _report("gcc", None)
    print(row, flush=True)
    for name in chosen:
        if name != "gcc":
            row, _, right = _report(name, wanted)
            print(row, flush=True)
            good = good and right
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
