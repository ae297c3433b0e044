"""Checks what a Linux wheel of fastbp holds, and prints its size, modules and libraries.

python tools/inspect_wheel.py WHEEL
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MOST_BYTES = 3_000_000


def main(path: str) -> None:
    """Print the findings; exit with a message at the first thing that is wrong."""
    wheel = Path(path)
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        names = archive.namelist()
        archive.extractall(folder)
        wrong = [n for n in names if re.search(r"(^|/)tests?/|\.(pyx|pxd|c|h|o)$", n)]
        require(not wrong, f"files that no user needs: {', '.join(wrong[:5])}")
        require("fastbp/py.typed" in names, "no py.typed")
        size = wheel.stat().st_size
        require(size < MOST_BYTES, f"{size} bytes, wanted fewer than {MOST_BYTES}")
        modules = [n for n in names if re.match(r"fastbp/.*\.so$", n)]
        libraries = [n for n in names if n.startswith("fastbp.libs/")]
        print(f"{wheel.name}: {size / 1e6:.2f} MB, {len(modules)} modules")
        for name in modules:
            defined = symbols(Path(folder, name))
            extra = [s for s in defined if not s.startswith("PyInit_")]
            require(not extra, f"{name} exports {', '.join(extra[:5])}")
        for name in libraries:
            data = Path(folder, name).read_bytes()
            versions = sorted(set(re.findall(rb"GOMP_[0-9.]+", data)), key=version)
            print(f"  bundled {name}: {versions[-1].decode() if versions else 'no libgomp'}")


def symbols(path: Path) -> list[str]:
    """Return the names that a module defines for others."""
    text = subprocess.run(
        ["nm", "--dynamic", "--defined-only", str(path)], capture_output=True, text=True, check=True
    ).stdout
    return [line.split()[-1] for line in text.splitlines()]


def version(name: bytes) -> list[int]:
    """Return the numbers of a symbol's version."""
    return [int(part) for part in re.findall(rb"\d+", name)]


def require(condition: bool, message: str) -> None:
    """Exit with a message unless the condition holds."""
    if not condition:
        sys.exit(f"inspect_wheel: {message}")


if __name__ == "__main__":
    main(*sys.argv[1:])
