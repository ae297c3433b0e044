"""Jobs in threads, so many at a time; an error or an interrupt ends all of them."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from threading import Thread

__all__ = ["run"]

# How often the calling thread looks: where waiting for a lock cannot be interrupted, as on
# Windows, so long does Ctrl-C take.
TICK_SECONDS = 0.05


def run(
    jobs: Iterable[Callable[[], None]],
    n_threads: int,
    tick: Callable[[], None],
    cancel: Callable[[], None],
) -> None:
    """Call all jobs, in their order, on so many threads.

    Parameters
    ----------
    jobs
        A job that raises ends all.
    tick
        Called by the calling thread from time to time, and once at the end.
    cancel
        Called to end the jobs that are running.

    Raises
    ------
    BaseException
        What a job, `tick` or a signal handler has raised; no thread is left then.
    """
    waiting, failures = deque(jobs), deque[BaseException]()
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work() -> None:
        try:
            while not failures:
                try:
                    job = waiting.popleft()
                except IndexError:
                    return
                job()
        except BaseException as error:
            failures.append(error)
        finally:
            ended.put(None)

    # With the caller's context: what NumPy does about floating-point errors is part of it.
    threads = [Thread(target=copy_context().run, args=(work,), daemon=True)
               for _ in range(n_threads)]  # fmt: skip
    try:
        for thread in threads:
            thread.start()
        left = n_threads
        while left:
            try:
                ended.get(timeout=TICK_SECONDS)
                left -= 1
            except queue.Empty:
                pass
            if failures:
                raise failures[0]
            tick()
    except BaseException:
        waiting.clear()
        cancel()
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
