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
from specifications import ARRAYS, MORE, SPECIFICATIONS, is_inner, parameters_of, public_callables

from fastbp.errors import FastbpError

ALL = SPECIFICATIONS | MORE


def outcome(specification, arguments, names=True):
    """The text of what a call gives and leaves, or its error; with an error, nothing has changed."""
    owner = specification.make()
    before = None if owner is None else state(owner)
    try:
        given = specification.call(owner, **arguments)
    except FastbpError as error:
        assert owner is None or state(owner) == before, "the state has changed"
        return error
    return text(given), None if owner is None else state(owner, names)


def named(error, specification, argument):
    given = specification.arguments[argument]
    name = re.escape(specification.within + (given.named or argument))
    message = str(error)
    return re.search(rf"(^|[\s.:\[(]){name}\b", message) and re.search(" got |is not", message)


def check(specification, argument, form, odd, expect):
    """Return what is wrong with a cell, or None."""
    arguments = {name: given.clean for name, given in specification.arguments.items()}
    if form.one_row:
        arguments = {
            k: v[:1] if isinstance(v, np.ndarray) and v.ndim and specification.arguments[k].kind != "parameter" else v
            for k, v in arguments.items()
        }
    try:
        value = form.make(arguments[argument]) if odd is None else odd
    except (ValueError, TypeError, IndexError, AssertionError):
        return None  # there is no such form of this array
    names = True
    try:
        found = outcome(specification, {**arguments, argument: value}, names=False)
    except OSError:
        return None
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    if isinstance(found, FastbpError) and not named(found, specification, argument):
        return f"not named: {found}"
    if expect == "error":
        return None if isinstance(found, FastbpError) else "taken"
    if expect == "either":
        return None
    plain = form.plain(arguments[argument]) if form.plain else plain_of(form.make(arguments[argument]))
    wanted = outcome(specification, {**arguments, argument: plain}, names=False)
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
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for argument, given in specification.arguments.items():
            if given.kind not in ARRAYS:
                continue
            for name, form in forms.items():
                expect = given.expects.get(name, form.expect)
                if name == "None" and given.optional:
                    continue
                wrong = check(specification, argument, form, None, expect)
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
    for argument, given in specification.arguments.items():
        if given.kind not in BAD:
            continue
        try:
            wanted = outcome(specification, clean)
        except OSError:
            wanted = None
        for kind, value in same_as(given.clean, given.kind).items():
            try:
                got = outcome(specification, {**clean, argument: value})
            except OSError:
                continue
            except Exception as error:  # noqa: BLE001
                found[argument, kind] = f"{type(error).__name__}: {error}"
                continue
            if isinstance(got, FastbpError) or got != wanted:
                found[argument, kind] = f"got {got!s:.300}, wanted {wanted!s:.300}"
        for kind, value in BAD[given.kind].items():
            if value is None and given.optional:
                continue
            try:
                got = outcome(specification, {**clean, argument: value})
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
    assert found == {}
