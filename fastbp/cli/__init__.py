"""The console command: ``fastbp train``, ``fastbp predict``, ``fastbp info``.

It reads arguments, calls the Python API and prints; errors become one line on stderr and exit
status 2. Each command is a module with its arguments and what it does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import fastbp as fb

from ..errors import FastbpError
from . import info, predict, train

__all__ = ["main"]

# The commands, with what --help says of each.
_COMMANDS = {
    "train": (train, "train a network and save it"),
    "predict": (predict, "write the predictions of a saved network"),
    "info": (info, "show the configuration, or what a model is"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of a pipe (head, less) left; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UnicodeEncodeError as error:  # labels that a code page of Windows lacks
        text = error.object[error.start : error.end]
        return _fail(
            f"error: stdout has the encoding {sys.stdout.encoding}, which lacks {text!a}; "
            "--out writes UTF-8, and so does PYTHONUTF8=1"
        )
    except MemoryError as error:
        return _fail(f"error: out of memory {error}")
    except OSError as error:
        name = f"{error.filename}: " if error.filename is not None else ""
        return _fail(f"error: {name}{error.strerror or error}")
    except FastbpError as error:
        return _fail(f"error: {error}")
    return 0


def _fail(message: str, status: int = 2) -> int:
    print(f"fastbp: {' '.join(message.split())}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like those of the commands."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"error: {message} (fastbp --help lists what there is)"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("fastbp", description="Train multi-layer perceptrons on the CPU.")
    parser.add_argument("--version", action="version", version=f"fastbp {fb.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (command, help_text) in _COMMANDS.items():
        added = commands.add_parser(name, help=help_text)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser
