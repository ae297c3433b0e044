"""Options of a command from a TOML file: its keys are the long options."""

from __future__ import annotations

import argparse
import difflib
import tomllib
from typing import Any

from ..errors import ConfigError, InputError, brief

__all__ = ["arguments_of"]


def arguments_of(path: str, parser: argparse.ArgumentParser, given: set[str]) -> list[str]:
    """Return the arguments that a file stands for, without those that the command line has.

    Parameters
    ----------
    path : str
        Of the file.
    parser : ArgumentParser
        Of the command.
    given : set of str
        The destinations of the options that the command line has.

    Raises
    ------
    ConfigError
        A key is no option, or has a value of another kind.
    InputError
        The file is no TOML.
    OSError
        The file cannot be read.
    """
    with open(path, "rb") as file:
        try:
            values = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is no TOML: {error}") from error
    options = _options(parser)
    found = []
    for key, value in values.items():
        action = options.get(key)
        if action is None:
            near = difflib.get_close_matches(key, options, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"{path}: got the key {key!r}, wanted a long option without its dashes; {hint}"
                "(fastbp train --help lists them)"
            )
        if action.dest not in given:
            found += _words(path, key, value, action)
    return found


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return the long options by name, without their dashes; of a pair the positive one."""
    left_out = {"help", "config"}
    return {
        name.removeprefix("--"): action
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--") and not name.startswith("--no-") and name[2:] not in left_out
    }


def _words(path: str, key: str, value: Any, action: argparse.Action) -> list[str]:
    """Return an option and its value as on the command line."""
    if action.nargs == 0:  # a flag
        if not isinstance(value, bool):
            raise ConfigError(f"{path}: {key}: got {brief(value)}, wanted true or false")
        if value:
            return [f"--{key}"]
        return [f"--no-{key}"] if f"--no-{key}" in action.option_strings else []
    repeated = isinstance(value, list) and isinstance(action, argparse._AppendAction)
    values = value if repeated else [_joined(value)]
    if not all(isinstance(each, str | int | float) and each is not True and each is not False
               for each in values):  # fmt: skip
        raise ConfigError(f"{path}: {key}: got {brief(value)}, wanted text, a number or a list")
    return [f"--{key}={each}" for each in values]


def _joined(value: Any) -> Any:
    """Return a list of numbers, such as the widths of layers, as the command line has it."""
    if isinstance(value, list) and all(type(each) in (int, float, str) for each in value):
        return ",".join(map(str, value))
    return value
