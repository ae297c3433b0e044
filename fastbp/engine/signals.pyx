"""Signals during a long step: Python's handlers run on the calling thread, and an exception of theirs drops the step.

A run of short steps returns to Python often enough; only steps of some tens of milliseconds look for signals themselves, and only
until the first weight is written. So a step is applied whole or not at all.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

from fastbp.engine.runtime cimport fbp_put_word, fbp_word, flush_denormals, pause, restore_denormals

cdef enum:
    LOOK = 20000000     # nanoseconds between two checks: taking the GIL costs microseconds, or a switch interval


cdef bint signalled(Worker *w) noexcept nogil:
    """Whether to drop the step; thread 0 checks for signals and sets a flag for the others."""
    cdef Plan *p = w.plan
    cdef int64_t now
    if not p.interruptible:
        return False
    if w.thread == 0:
        now = pause(0)
        if now - w.looked_for_signals > LOOK:
            w.looked_for_signals = now
            if raises(p):
                fbp_put_word(&p.interrupted, 1)
    return fbp_word(&p.interrupted)


cdef bint raises(Plan *p) noexcept with gil:
    """Run the handlers of pending signals, as Python does between two instructions, and store an exception of theirs."""
    restore_denormals(p.caller_mode)
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        (<list>p.owner).append(error)
        return True
    finally:
        flush_denormals()
    return False
