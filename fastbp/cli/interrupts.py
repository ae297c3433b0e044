"""Ctrl-C while a command trains: the first ends the training, the second the command."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupts", "stoppable"]


class Interrupts:
    """What came.

    Attributes
    ----------
    stopped : bool
        Whether Ctrl-C has come.
    """

    def __init__(self, stop: Callable[[str], None]) -> None:
        self._stop, self.stopped = stop, False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Ask for the end of training; the second time raise KeyboardInterrupt."""
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True
        self._stop("Ctrl-C")
        print(
            "\nfastbp: stops after this step and saves what there is; Ctrl-C again leaves at once",
            file=sys.stderr,
        )


@contextmanager
def stoppable(stop: Callable[[str], None]) -> Iterator[Interrupts]:
    """Let the first SIGINT call `stop` and the next one interrupt; put the handler back.

    In a thread other than the main one, where handlers cannot be set, nothing changes.
    """
    found = Interrupts(stop)
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = signal.signal(signal.SIGINT, found.handle)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
