"""``python -m fuzz``: random cases for some seconds, or one again; exit code 1 for a difference."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence

from fastbp.engine import runtime
from fuzz.attack import Found, attack
from fuzz.cases import Case, case_of

CASES_OF_A_SEED = 10**6
MOST_LINES = 8  # of the differences of a case


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    networks = runs = different = 0
    cells = set()
    begin = time.monotonic()
    for seed in _seeds(options, begin):
        case = case_of(seed)
        found = _found(case, options)
        networks, runs, cells = networks + 1, runs + found.runs, cells | found.cells
        different += bool(found.differences)
        if found.differences or options.case is not None:
            _show(case, found.differences, options)
    seconds = time.monotonic() - begin
    print(
        f"{networks} networks, {runs} runs, {len(cells)} kinds of run, {seconds:.0f} seconds, "
        f"{different} networks with differences"
    )
    return int(different > 0)


def _seeds(options: argparse.Namespace, begin: float) -> Iterator[int]:
    if options.case is not None:
        yield options.case
        return
    seed = options.seed * CASES_OF_A_SEED
    while time.monotonic() - begin < options.seconds:
        yield seed
        seed += 1


def _found(case: Case, options: argparse.Namespace) -> Found:
    """What `attack` finds; an error that nobody expected is a difference too."""
    try:
        return attack(case, options.threads, options.isa)
    except Exception:
        return Found([traceback.format_exc()], 1, set())


def _show(case: Case, differences: list[str], options: argparse.Namespace) -> None:
    lines = differences[:MOST_LINES]
    if len(differences) > len(lines):
        lines.append(f"and {len(differences) - len(lines)} more")
    print("\n    ".join([repr(case), *lines]))
    if differences:
        again = ["--case", str(case.seed)]
        again += ["--threads", ",".join(map(str, options.threads))] if options.threads else []
        again += ["--isa", ",".join(options.isa)] if options.isa else []
        print(
            f"  again: PYTHONPATH=tests:tests/helpers python -m fuzz {' '.join(again)}", flush=True
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first case, in millions")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--case", type=int, help="the seed of one case, instead of many")
    parser.add_argument("--threads", type=_numbers, help="like 1,2,3; default: 1,2,3,5,7")
    parser.add_argument("--isa", type=_names, help="like avx2,scalar; default: all there are")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(runtime.isas()):
        raise argparse.ArgumentTypeError(f"got {unknown}, this machine has {runtime.isas()}")
    return names


if __name__ == "__main__":
    sys.exit(main())
