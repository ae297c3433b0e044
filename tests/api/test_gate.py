"""The gate: every public callable, every argument, in every odd form.

A form that has the same values gives the same bits and leaves the same state as a plain copy; what
cannot be used is a named error that says which argument, and changes nothing.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from digests import names, parts, text
from odd import FORMS, forms_of_libraries, plain_of
from odd_options import BAD, same_as
from operations import needs_missing_library
from specifications import (
    ARRAYS,
    MORE,
    SPARSE,
    SPECIFICATIONS,
    is_inner,
    nothing,
    parameters_of,
    public_callables,
)

from fastbp.errors import FastbpError

ALL = SPECIFICATIONS | MORE
SHAPES = ("a row more", "a row less", "a column more", "a column less")
# Forms for which the other argument may be called wrong.
OF_TWO = (*SHAPES, "one axis", "one row backwards", "one row, odd stride")
# Rows of anything can be split, and a loss of one's own takes any targets.
GAPS = {"masked": "either", "pandas, a gap": "same"}
ANYTHING = (
    dict.fromkeys(FORMS, "same")
    | GAPS
    | {
        name: "error"
        for name in (
            "no axes",
            "None",
            "number",
            "word",
            "set",
            "dict",
            "generator",
            "a class",
            "no rows",
            "ragged",
            "recursive list",
            "masked rows in a list",
            "a masked number in a list",
            "broken __array__",
        )
    }
)
OF_KIND = {
    "labels": {"text": "same", "text of variable length": "same"},
    "any rows": ANYTHING,
    "any labels": ANYTHING,
}


class Calls:
    """Calls of one specification, on an owner that is made anew when a call has changed it."""

    def __init__(self, specification):
        self._specification, self._found = specification, {}
        self._owner = self._before = None

    def outcome(self, arguments):
        """What a call gives and leaves as a text, or its error, which has changed nothing.

        Without the names of columns and classes: they depend on what the form was of.
        """
        make = self._specification.make
        if self._owner is None and make is not nothing:
            self._owner = make()
            self._before = parts(self._owner), names(self._owner)
        owner = self._owner
        try:
            given = self._specification.call(owner, **arguments)
        except FastbpError as error:
            after = None if owner is None else (parts(owner), names(owner))
            assert after == self._before, "the state has changed"
            return error
        found = text(given)
        if owner is None:
            return found, None
        after = parts(owner)
        if (after, names(owner)) != self._before:
            self._owner = None
        return found, after

    def plain(self, argument, value, arguments):
        """The outcome of a plain value, looked up if it was seen before."""
        rows = [len(a) for a in arguments.values() if isinstance(a, np.ndarray) and a.ndim]
        key = repr((argument, text(value), rows))
        if key not in self._found:
            self._found[key] = self.outcome({**arguments, argument: value})
        return self._found[key]


def same(found, wanted):
    if isinstance(wanted, FastbpError):
        return type(found) is type(wanted)
    return not isinstance(found, FastbpError) and found == wanted


def is_named(error, specification, arguments):
    """Whether the message says which of these arguments is wrong, and what came."""
    for argument in arguments:
        name = specification.within + (specification.arguments[argument].named or argument)
        if re.search(rf"(^|[\s.:\[(]){re.escape(name)}(\b|_data\b)", str(error)):
            return " got " in str(error) or "is not" in str(error)
    return False


def expected(specification, argument, name, form):
    """What a call makes of a form: a number of rows is wrong where something else has rows."""
    given = specification.arguments[argument]
    if name in SHAPES and name not in given.expects:
        others = sum(g.kind in ARRAYS for g in specification.arguments.values())
        by_column = "column" in name and given.clean.ndim == 2
        sure = specification.make is not nothing if by_column else others > 1
        return "error" if sure else "either"
    if name in SPARSE and given.kind == "rows" and argument == "x":
        return given.expects.get(name, "same")
    return given.expects.get(name) or OF_KIND.get(given.kind, {}).get(name) or form.expect


def fault(calls, specification, argument, name, form):
    """What is wrong with one cell, or None."""
    arguments = {key: given.clean for key, given in specification.arguments.items()}
    if form.one_row:
        for key, given in specification.arguments.items():
            if given.kind in ARRAYS and given.kind != "parameter" and given.clean.ndim:
                arguments[key] = given.clean[:1]
    try:
        odd = form.make(arguments[argument])
    except (ValueError, TypeError, IndexError, AttributeError, AssertionError):
        return None  # this array has no such form
    try:
        found = calls.outcome({**arguments, argument: odd})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    known = specification.arguments if name in OF_TWO else (argument,)
    if isinstance(found, FastbpError) and not is_named(found, specification, known):
        return f"not named: {found}"
    expect = expected(specification, argument, name, form)
    if expect == "error":
        return None if isinstance(found, FastbpError) else "taken"
    if expect == "either":
        return None
    odd = form.make(arguments[argument])  # a generator is used up
    is_any = specification.arguments[argument].kind.startswith("any")
    plain = np.array(np.asarray(odd)) if is_any else plain_of(odd)
    wanted = calls.plain(argument, plain, arguments)
    return None if same(found, wanted) else f"got {found!s:.200}, wanted {wanted!s:.200}"


def faults(specification, forms):
    """What is wrong, by argument and form."""
    found, calls = {}, Calls(specification)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for argument, given in specification.arguments.items():
            for name, form in forms.items():
                if given.kind not in ARRAYS or (name == "None" and given.optional):
                    continue
                wrong = fault(calls, specification, argument, name, form)
                if wrong:
                    found[argument, name] = wrong
    return found


def test_every_public_callable_has_a_specification():
    found = dict(public_callables())
    assert len(found) > 150
    assert [name for name in found if name not in SPECIFICATIONS and not is_inner(name)] == []
    assert [name for name in SPECIFICATIONS if name not in found] == []
    for name, value in found.items():
        if name in SPECIFICATIONS and name != "History.append":  # of columns by any name
            assert parameters_of(value) == set(SPECIFICATIONS[name].arguments), name


WITH_ARRAYS = [
    name for name, s in ALL.items() if any(g.kind in ARRAYS for g in s.arguments.values())
]


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_every_form_of_an_array(name):
    assert faults(ALL[name], FORMS | forms_of_libraries()) == {}


def option_fault(calls, specification, argument, kind, value, is_bad):
    """What is wrong with one value of an option, or None."""
    given = specification.arguments[argument]
    clean = {name: other.clean for name, other in specification.arguments.items()}
    try:
        found = calls.outcome({**clean, argument: value})
        wanted = None if is_bad else calls.outcome(clean)
    except OSError:  # of a file that is not there
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error!s:.200}"
    if not is_bad:
        return None if same(found, wanted) else f"got {found!s:.200}, wanted {wanted!s:.200}"
    if not isinstance(found, FastbpError):
        return None if given.expects.get(kind) == "either" else "taken"
    return None if is_named(found, specification, [argument]) else f"not named: {found!s:.200}"


@pytest.mark.parametrize(
    "name", [n for n, s in ALL.items() if s.arguments and not needs_missing_library(n)]
)
def test_every_option(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    specification, found = ALL[name], {}
    calls = Calls(specification)
    for argument, given in specification.arguments.items():
        if given.kind not in BAD:
            continue
        cells = [(k, v, False) for k, v in same_as(given.clean, given.kind).items()]
        cells += [(k, v, True) for k, v in BAD[given.kind].items()]
        for kind, value, is_bad in cells:
            if value is None and given.optional:
                continue
            wrong = option_fault(calls, specification, argument, kind, value, is_bad)
            if wrong:
                found[argument, kind] = wrong
    assert found == {}
