"""Checks what a Linux wheel holds and what it needs of the system, and prints its figures.

python tools/inspect_wheel.py WHEEL

The last line is the beginning of a row of a Markdown table: name, megabytes, modules, libgomp. CC
names the compiler whose libgomp has to be the one in the wheel (default: gcc).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MOST_BYTES = 3_000_000
# Of glibc 2.17 is manylinux2014, the oldest that NumPy's wheels still take.
MOST_GLIBC = [2, 17]
# glibc 2.34 took these from libpthread into libc under a new version; they are the old functions.
MOVED = re.compile(r"pthread_\w+|dl(open|close|sym|error)")
# Where networks exported to C have their functions from; what C and Cython programs include.
SOURCES = ["fastbp/formats/activations.h", "fastbp/include/fastbp.h", "fastbp/__init__.pxd"]
# Symbols that a module takes from whoever loads it.
OF_THE_HOST = re.compile(r"_?Py\w+")


def main(path: str) -> None:
    """Print the findings; exit with a message at the first thing that is wrong."""
    wheel = Path(path)
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        names = archive.namelist()
        archive.extractall(folder)
        size = wheel.stat().st_size
        require(size < MOST_BYTES, f"{size} bytes, wanted fewer than {MOST_BYTES}")
        wrong = [n for n in names if re.search(r"(^|/)tests?/|\.(pyx|pxd|c|h|o)$", n)]
        for name in SOURCES:
            require(name in wrong, f"no {name}")
            wrong.remove(name)
        require(not wrong, f"files that no user needs: {', '.join(wrong[:5])}")
        require("fastbp/py.typed" in names, "no py.typed")
        modules = [n for n in names if re.match(r"fastbp/.*\.so$", n)]
        require(len(modules) > 10, f"{len(modules)} compiled modules")
        for name in modules:
            check_abi(wheel, name)
            check_symbols(Path(folder, name), name)
            check_glibc(Path(folder, name), name)
            check_places(Path(folder, name), name)
        libraries = sorted(Path(folder, "fastbp.libs").glob("*"))
        bundled = ", ".join(map(check_library, libraries)) or "none"
    print(f"| `{wheel.name}` | {size / 1e6:.2f} | {len(modules)} | {bundled} |")


def check_abi(wheel: Path, module: str) -> None:
    """Compare the interpreter in a module's name with the one in the wheel's."""
    python, abi = wheel.stem.split("-")[2:4]
    found = re.search(r"\.cpython-(\d+t?)-", module)
    require(bool(found), f"{module} does not say which Python it is for")
    require(
        f"cp{found[1]}" == abi and abi.rstrip("t") == python,
        f"{module} in a wheel for {python}-{abi}",
    )


def check_symbols(path: Path, name: str) -> None:
    """Look at what a module exports, and whether a library has what it takes."""
    extra = [s for s in symbols(path, "--defined-only") if not s.startswith("PyInit_")]
    require(not extra, f"{name} exports {', '.join(extra[:5])}")
    for symbol in symbols(path, "--undefined-only"):
        of_nobody = "@" not in symbol and not OF_THE_HOST.fullmatch(symbol)
        require(not of_nobody, f"{name} needs {symbol}, and is linked with no library that has it")


def check_glibc(path: Path, name: str) -> None:
    """Look at the versions of what a module takes from the C library."""
    for symbol in symbols(path, "--undefined-only"):
        function, _, needed = symbol.partition("@")
        if needed.startswith("GLIBC_") and not MOVED.fullmatch(function):
            require(
                version(needed) <= MOST_GLIBC,
                f"{name} needs {function} of {needed}, wanted at most "
                f"{'.'.join(map(str, MOST_GLIBC))}: compile it against an older glibc",
            )


def check_places(path: Path, name: str) -> None:
    """Look at where a module searches for libraries: in the wheel alone."""
    for places in re.findall(r"R(?:UN)?PATH\).*\[(.*)\]", output("readelf", "-d", str(path))):
        foreign = [place for place in places.split(":") if not place.startswith("$ORIGIN")]
        require(not foreign, f"{name} searches {', '.join(foreign)}: build it without -rpath")


def check_library(path: Path) -> str:
    """Return the version of a bundled libgomp, which is that of the compiler."""
    require(path.name.startswith("libgomp"), f"{path.name} is bundled, wanted libgomp alone")
    compiler = shlex.split(os.environ.get("CC", "gcc"))
    own = Path(output(*compiler, "-print-file-name=libgomp.so.1").strip())
    require(own.is_absolute(), f"{compiler[-1]} has no libgomp of its own")
    require(
        build_id(path) == build_id(own),
        f"the bundled {path.name} is not {own}: build ids {build_id(path)} and {build_id(own)}",
    )
    versions = [s.partition("@@")[2] for s in symbols(path, "--defined-only")]
    newest = max((v for v in versions if v.startswith("GOMP_")), key=version)
    return f"{newest}, GCC {output(*compiler, '-dumpfullversion').strip()}"


def build_id(path: Path) -> str:
    """Return the linker's hash of a library, which renaming and stripping leave as it is."""
    found = re.search(r"Build ID: (\w+)", output("readelf", "--notes", str(path)))
    require(bool(found), f"{path} has no build id")
    return found[1]


def symbols(path: Path, which: str) -> list[str]:
    """Return dynamic symbols of a library, each with ``@`` and its version if it has one.

    Weak ones, without which a module works as well, are left out of those that are undefined.
    """
    lines = output("nm", "--dynamic", which, "--with-symbol-versions", str(path)).splitlines()
    return [name for *_, kind, name in map(str.split, lines) if kind != "w"]


def version(name: str) -> list[int]:
    """Return the numbers of a symbol's version."""
    return [int(part) for part in re.findall(r"\d+", name)]


def output(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def require(condition: bool, message: str) -> None:
    """Exit with a message unless the condition holds."""
    if not condition:
        sys.exit(f"inspect_wheel: {message}")


if __name__ == "__main__":
    main(*sys.argv[1:])
