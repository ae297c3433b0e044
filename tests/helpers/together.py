"""Calls that many threads make at once, and what becomes of each."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def restless() -> Iterator[None]:
    """With a GIL it goes from thread to thread as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def together(calls: Sequence[Callable[[], Any]], *expected: type[Exception]) -> list[Any]:
    """Make each call in a thread of its own, all at the same time.

    Return what each returned, or the error that it raised if it is one of those expected. Another
    error is raised here.
    """
    gate = threading.Barrier(len(calls))
    found: list[Any] = [None] * len(calls)

    def act(i: int) -> None:
        gate.wait()
        try:
            found[i] = calls[i]()
        except BaseException as error:
            found[i] = error

    threads = [threading.Thread(target=act, args=(i,)) for i in range(len(calls))]
    with restless():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for outcome in found:
        if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
            raise outcome
    return found
