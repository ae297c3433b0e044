"""The console command: ``fastbp train``, ``fastbp predict`` and others, a module each.

It reads arguments, calls the Python API and prints; errors become one line on stderr. The exit
status is 0, 2 for wrong use or input that cannot be used, 1 for a failure during the work, and 130
after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import NoReturn

import fastbp as fb

from ..errors import BuildError, BusyError, DivergenceError, FastbpError
from . import bench, config, demo, evaluate, export, info, predict, train

__all__ = ["main"]

WRONG_USE, FAILURE, INTERRUPTED = 2, 1, 130
# The commands, with what --help says of each.
COMMANDS: dict[str, tuple[ModuleType, str]] = {
    "train": (train, "train a model on a table or on arrays, score it, save it"),
    "predict": (predict, "write the predictions of a saved model"),
    "evaluate": (evaluate, "score a saved model on the rows of another file"),
    "info": (info, "show the configuration, or what a saved model is"),
    "export": (export, "write a saved model for other programs: arrays, C, Fortran, ONNX"),
    "bench": (bench, "compare a step of training with NumPy and others on this machine"),
    "demo": (demo, "learn digits in a second, and see how to do it yourself"),
}
EXITS = """exit status:
  0 done; 1 failure during the work; 2 wrong use, or input that cannot be used; 130 interrupted
"""
EXAMPLES = """examples:
  fastbp demo
  fastbp train houses.csv --target price
  fastbp predict houses.safetensors new.csv --out prices.csv
  fastbp COMMAND --help
"""
# What went wrong is neither the command line nor a file that was read.
FAILURES = (DivergenceError, BuildError, BusyError)
BAD_PATHS = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parsed(words)
        with _escaping(arguments.command != "predict"):
            status: int | None = arguments.run(arguments)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe (head, less) left; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UnicodeEncodeError as error:  # labels that a code page of Windows lacks
        text = error.object[error.start : error.end]
        return _fail(
            f"error: stdout has the encoding {sys.stdout.encoding}, which lacks {text!a}; "
            "--out writes UTF-8, and so does PYTHONUTF8=1",
            FAILURE,
        )
    except MemoryError as error:
        return _fail(f"error: out of memory {error}", FAILURE)
    except OSError as error:
        name = f"{error.filename}: " if error.filename is not None else ""
        exit_status = WRONG_USE if isinstance(error, BAD_PATHS) else FAILURE
        return _fail(f"error: {name}{error.strerror or error}", exit_status)
    except FastbpError as error:
        return _fail(f"error: {error}", FAILURE if isinstance(error, FAILURES) else WRONG_USE)
    return status or 0


@contextmanager
def _escaping(wanted: bool) -> Iterator[None]:
    """Let stdout escape what its encoding lacks: a name in a message, but never a prediction."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if not wanted or reconfigure is None:
        yield
        return
    before = sys.stdout.errors
    reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        reconfigure(errors=before)


def _parsed(words: list[str]) -> argparse.Namespace:
    """Return the arguments, those of a `--config` file among them."""
    arguments = _parser().parse_args(words)
    if getattr(arguments, "config", None) is not None:
        of_file = config.arguments_of(
            arguments.config, _command(_parser(), arguments.command), _given(words)
        )
        arguments = _parser().parse_args([*words, *of_file])
    arguments.line = shlex.join(["fastbp", *words])
    return arguments


def _given(words: list[str]) -> set[str]:
    """Return the destinations of the options that a command line has."""
    parser = _parser()
    for name in COMMANDS:
        for action in _command(parser, name)._actions:
            action.default = argparse.SUPPRESS
    return set(vars(parser.parse_args(words)))


def _command(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    found: argparse.ArgumentParser = commands.choices[name]
    return found


def _fail(message: str, status: int) -> int:
    print(f"fastbp: {' '.join(message.split())}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like those of the commands."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"error: {message} ({self.prog} --help lists what there is)", WRONG_USE))


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    description = "Train multi-layer perceptrons on the CPU."
    parser = _Parser(
        "fastbp", description=description, epilog=EXAMPLES + EXITS, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"fastbp {fb.__version__}")
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="command"
    )
    for name, (command, help_text) in COMMANDS.items():
        about = f"{help_text[0].upper()}{help_text[1:]}."
        added = commands.add_parser(
            name,
            help=help_text,
            description=about,
            epilog=command.EXAMPLES + EXITS,
            formatter_class=raw,
        )
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser
