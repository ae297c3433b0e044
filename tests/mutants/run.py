"""Plants faults in a copy of the tree, one after another, and runs the fast tests on each.

    python tests/mutants/run.py                     all mutants
    python tests/mutants/run.py save-in-place r2-sign
    python tests/mutants/run.py --list

A mutant is a table in one of the .toml files beside this one: `name`; `file`; `old`, a text that
is in the file once; `new`, what takes its place; `kind` of fault; what it `breaks`; `hint`, the
tests that are run first. One that no behaviour can tell from the original says why in
`equivalent`, is run all the same, and counts neither way. Tests that fail, crash or do not end
kill a mutant. The exit status is 1 if fewer than 95 of 100 are killed.

It needs what `pip install -e ".[test]"` does, and builds as that: CC="ccache gcc" saves time.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WANTED = 0.95
DEADLINE = (
    1200  # seconds: the fast tests of a healthy tree need a quarter of that on two busy cores
)
EVERYTHING = ("-n", "2", "tests", "--ignore=tests/mutants")
LEFT_OUT = (".git", "__pycache__", ".*_cache", ".hypothesis", "dist", "wheelhouse", "*.egg-info")
COMPILED = (".h", ".c", ".pyx", ".pxd")


@dataclass(frozen=True)
class Mutant:
    """One fault."""

    name: str
    file: str
    old: str
    new: str
    kind: str
    breaks: str
    hint: tuple[str, ...]
    equivalent: str = ""

    def fault(self) -> str:
        """Return what is wrong with the record in this tree, "" if nothing is."""
        path = ROOT / self.file
        count = path.read_text().count(self.old) if path.exists() else 0
        if count != 1:
            return f"{self.name}: {self.file} has the old text {count} times, wanted once"
        missing = [test for test in self.hint if not (ROOT / test.split("::")[0]).exists()]
        if missing or not self.hint or self.old == self.new:
            return f"{self.name}: wanted tests that exist and a change, got {missing or self.new!r}"
        return ""


def mutants() -> list[Mutant]:
    """Return all records: those of Python first, as they need no compiler."""
    found = []
    for name in ("python", "doors", "engine", "kernels"):
        text = Path(__file__).with_name(f"{name}.toml").read_text()
        for record in tomllib.loads(text)["mutant"]:
            found.append(Mutant(**record | {"hint": tuple(record["hint"])}))
    return found


class Copy:
    """A copy of the tree, with its build, that holds one mutant at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.copytree(
            ROOT,
            folder,
            symlinks=True,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(*LEFT_OUT),
        )
        self._environment = {
            **{name: v for name, v in os.environ.items() if not name.startswith("FASTBP_")},
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # a change within a second would go unseen
        }
        self._build()

    def _run(self, *arguments: str, seconds: float) -> tuple[int | None, str]:
        """Run Python in the copy; return its exit status, None without an end, and its output."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # with its workers
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return None, ""
            raise
        return process.returncode, output

    def _build(self) -> None:
        status, output = self._run("setup.py", "-q", "build_ext", "--inplace", seconds=3600)
        if status != 0:
            raise RuntimeError(f"does not build:\n{output[-3000:]}")

    def apply(self, mutant: Mutant, whole: str) -> None:
        """Put a mutant in the place of `whole`, its file as it was; build what changed."""
        (self._folder / mutant.file).write_text(whole.replace(mutant.old, mutant.new))
        if mutant.file.endswith(COMPILED):
            self._build()

    def tests(self, *which: str) -> str:
        """Run tests until one fails; return what failed, "" if nothing did."""
        status, output = self._run("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *which,
                                   seconds=DEADLINE)  # fmt: skip
        if status == 0:
            return ""
        if status is None:
            return "no end"
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
        if failed is None and status > 0:
            raise RuntimeError(f"pytest ended with {status}:\n{output[-3000:]}")
        return failed[1] if failed else f"crash ({-status})"

    def killer_of(self, mutant: Mutant) -> str:
        """Return the test that tells a mutant from the original, "" if none does."""
        path = self._folder / mutant.file
        whole = path.read_text()
        try:
            self.apply(mutant, whole)
            return self.tests(*mutant.hint) or self.tests(*EVERYTHING)
        finally:
            path.write_text(whole)


def main() -> int:
    """Run the mutants that are named, or all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of mutants; default: all")
    parser.add_argument("--list", action="store_true", help="print the mutants and end")
    arguments = parser.parse_args()
    every = mutants()
    chosen = [m for m in every if m.name in arguments.names or not arguments.names]
    unknown = set(arguments.names) - {m.name for m in every}
    faults = [fault for m in chosen if (fault := m.fault())]
    if unknown or faults:
        parser.error("\n".join([*faults, *(f"no mutant has the name {n}" for n in unknown)]))
    if arguments.list:
        for m in chosen:
            print(f"{m.name:30}{m.file:36}{m.kind}: {m.breaks}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    counts: Counter[str] = Counter()
    try:
        copy = Copy(folder)
        hints = sorted({test for m in chosen for test in m.hint})
        fails = copy.tests(*(hints if arguments.names else EVERYTHING))
        if fails:
            raise RuntimeError(f"{fails} fails without a mutant")
        for m in chosen:
            begin = time.monotonic()
            killer = copy.killer_of(m)
            verdict = "killed" if killer else "equivalent" if m.equivalent else "survived"
            counts[verdict] += 1
            print(f"{verdict:11}{m.name:30}{time.monotonic() - begin:6.1f} s  {killer}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = counts["killed"] + counts["survived"]
    share = counts["killed"] / total if total else 1.0
    print(f"killed {counts['killed']} of {total} ({share:.1%}), {counts['equivalent']} equivalent")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
