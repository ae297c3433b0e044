"""Signals during a long step: Python's handlers run on the calling thread, and an exception of theirs drops the step. So does a
request to stop.

A run of short steps returns to Python often enough; only steps of some tens of milliseconds look for signals themselves, and only
until the first weight is written. So a step is applied whole or not at all.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

from fastbp.engine.runtime cimport fbp_put_word, fbp_word, flush_denormals, pause, restore_denormals

cdef enum:
    LOOK = 20000000     # nanoseconds between two checks: taking the GIL costs microseconds, or a switch interval


cdef bint signalled(Worker *w) noexcept nogil:
    """Whether to drop the step; thread 0 looks for signals and requests, and sets a flag for the others."""
    cdef Plan *p = w.plan
    cdef int64_t now
    if not p.interruptible:
        return False
    if w.thread == 0:
        now = pause(0)
        if now - w.looked_for_signals > LOOK:
            w.looked_for_signals = now
            if interrupted(p):
                fbp_put_word(&p.interrupted, 1)
    return fbp_word(&p.interrupted)


cdef bint interrupted(Plan *p) noexcept with gil:
    """Run the handlers of pending signals, as Python does between two instructions; whether one raises or the run is to stop."""
    cdef Interrupts interrupts = <Interrupts>p.interrupts
    restore_denormals(p.caller_mode)
    try:
        PyErr_CheckSignals()
        return interrupts.request is not None and interrupts.request.reason is not None
    except BaseException as error:
        interrupts.error = error
        return True
    finally:
        flush_denormals()
