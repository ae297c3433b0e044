"""The gate: every public callable, every argument, in every odd form.

A form that has the same values gives the same bits and leaves the same state as a plain copy; what
cannot be used is a named error that says which argument, and changes nothing.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from digests import state, text
from odd import FORMS, forms_of_libraries, plain_of
from odd_options import BAD, same_as
from specifications import ARRAYS, MORE, SPECIFICATIONS, is_inner, nothing, parameters_of, public_callables

from fastbp.errors import FastbpError

ALL = SPECIFICATIONS | MORE


class Calls:
    """Calls of one specification, on an owner that is made anew when a call has changed it."""

    def __init__(self, specification):
        self._specification, self._owner, self._found = specification, None, {}

    def outcome(self, arguments):
        """The text of what a call gives and leaves, or its error, which has changed nothing.

        Without the names of columns and classes: they depend on what the form was of.
        """
        make = self._specification.make
        if self._owner is None and make is not nothing:
            self._owner = make()
            self._before = state(self._owner)
        owner = self._owner
        try:
            given = self._specification.call(owner, **arguments)
        except FastbpError as error:
            assert owner is None or state(owner) == self._before, "the state has changed"
            return error
        found = text(given)
        if owner is None:
            return found, None
        if state(owner) != self._before:
            self._owner = None
        return found, state(owner, names=False)

    def plain(self, argument, value, arguments):
        """The outcome of a plain value, looked up if it was seen before."""
        key = repr((argument, text(value), len(arguments)))
        if key not in self._found:
            self._found[key] = self.outcome({**arguments, argument: value})
        return self._found[key]


def named(error, specification, argument):
    given = specification.arguments[argument]
    name = re.escape(specification.within + (given.named or argument))
    message = str(error).replace("validation_data", "validation")
    return re.search(rf"(^|[\s.:\[(]){name}\b", message) and re.search(" got |is not", message)


SHAPES = [FORMS[f"a {axis} {change}"] for axis in ("row", "column") for change in ("more", "less")]


# Strings are labels; rows of anything can be split.
ANYTHING = dict.fromkeys(FORMS, "same") | {
    name: "error"
    for name in ("no axes", "None", "number", "word", "set", "dict", "generator", "a class", "no rows",
                 "ragged", "recursive list", "masked rows in a list", "a masked number in a list",
                 "broken __array__")
}  # fmt: skip
OF_KIND = {
    "labels": {"text": "same", "text of variable length": "same"},
    "any rows": ANYTHING | {"masked": "either"},
    "any labels": ANYTHING | {"masked": "either"},
}


def expected(specification, argument, name, form):
    """What a call makes of a form: a wrong number of rows is wrong where something else has rows."""
    given = specification.arguments[argument]
    if form in SHAPES and name not in given.expects:
        others = sum(g.kind in ARRAYS for g in specification.arguments.values())
        by_column = "column" in name and given.clean.ndim == 2
        sure = specification.owned if by_column else others > 1
        return "error" if sure else "either"
    return given.expects.get(name) or OF_KIND.get(given.kind, {}).get(name) or form.expect


def check(calls, specification, argument, form, expect):
    """Return what is wrong with a cell, or None."""
    arguments = {name: given.clean for name, given in specification.arguments.items()}
    if form.one_row:
        arguments = {
            k: v[:1] if isinstance(v, np.ndarray) and v.ndim and specification.arguments[k].kind != "parameter" else v
            for k, v in arguments.items()
        }
    try:
        value = form.make(arguments[argument])
    except (ValueError, TypeError, IndexError, AttributeError, AssertionError):
        return None  # there is no such form of this array
    try:
        found = calls.outcome({**arguments, argument: value})
    except OSError:
        return None
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    loose = form in SHAPES or form.one_row or form is FORMS["one axis"]
    known = specification.arguments if loose else (argument,)
    if isinstance(found, FastbpError) and not any(named(found, specification, k) for k in known):
        return f"not named: {found}"
    if expect == "error":
        return None if isinstance(found, FastbpError) else "taken"
    if expect == "either":
        return None
    odd = form.make(arguments[argument])
    any_kind = specification.arguments[argument].kind.startswith("any")
    plain = np.array(np.asarray(odd)) if any_kind else plain_of(odd)
    wanted = calls.plain(argument, plain, arguments)
    if isinstance(wanted, FastbpError):
        same = type(wanted) is type(found)
    else:
        same = wanted == found
    return None if same else f"got {str(found)[:200]}, wanted {str(wanted)[:200]}"


def test_every_public_callable_has_a_specification():
    found = dict(public_callables())
    without = [name for name in found if name not in SPECIFICATIONS and not is_inner(name)]
    assert not without
    gone = [name for name in SPECIFICATIONS if name not in found]
    assert not gone
    for name, value in found.items():
        if name in SPECIFICATIONS and name != "History.append":
            assert parameters_of(value) == set(SPECIFICATIONS[name].arguments), name


def bad_cells(specification, forms):
    found, calls = {}, Calls(specification)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for argument, given in specification.arguments.items():
            if given.kind not in ARRAYS:
                continue
            for name, form in forms.items():
                expect = expected(specification, argument, name, form)
                if name == "None" and given.optional:
                    continue
                wrong = check(calls, specification, argument, form, expect)
                if wrong:
                    found[argument, name] = wrong
    return found


WITH_ARRAYS = [
    name for name, s in ALL.items() if any(g.kind in ARRAYS for g in s.arguments.values())
]


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_every_form_of_an_array(name):
    assert bad_cells(ALL[name], FORMS) == {}


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_forms_of_other_libraries(name):
    assert bad_cells(ALL[name], forms_of_libraries()) == {}


@pytest.mark.parametrize("name", [n for n, s in ALL.items() if s.arguments])
def test_every_option(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    specification, found = ALL[name], {}
    clean = {k: given.clean for k, given in specification.arguments.items()}
    outcome = Calls(specification).outcome
    for argument, given in specification.arguments.items():
        if given.kind not in BAD:
            continue
        try:
            wanted = outcome(clean)
        except OSError:
            wanted = None
        for kind, value in same_as(given.clean, given.kind).items():
            try:
                got = outcome({**clean, argument: value})
            except OSError:
                continue
            except Exception as error:  # noqa: BLE001
                found[argument, kind] = f"{type(error).__name__}: {error}"
                continue
            if type(got) is type(wanted) if isinstance(wanted, FastbpError) else got == wanted:
                continue
            if True:
                found[argument, kind] = f"got {got!s:.300}, wanted {wanted!s:.300}"
        for kind, value in BAD[given.kind].items():
            if value is None and given.optional:
                continue
            try:
                got = outcome({**clean, argument: value})
            except OSError:
                continue
            except Exception as error:  # noqa: BLE001
                found[argument, kind] = f"{type(error).__name__}: {error!s:.200}"
                continue
            if not isinstance(got, FastbpError):
                if given.expects.get(kind) != "either":
                    found[argument, kind] = "taken"
            elif not named(got, specification, argument):
                found[argument, kind] = f"not named: {got!s:.200}"
    if found:
        e = AssertionError(); e.found = found; raise e
