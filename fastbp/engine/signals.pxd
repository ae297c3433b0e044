"""Signals and requests to stop during a long step."""

from fastbp.engine.plan cimport APPLY, LIMIT, UPDATE, Kind, Plan, Worker

cdef class Interrupts:
    """What has ended a run in the midst of its steps."""
    cdef public object error    # that a signal handler has raised, or None
    cdef public object request  # an object whose `reason` is None until training is to stop, or None

cdef bint signalled(Worker *w) noexcept nogil

cdef inline bint may_leave(const Plan *p, Kind kind) noexcept nogil:
    # Whether a step can be dropped in a phase of this kind: no weight of the network has been written yet, and no sum.
    return kind != APPLY and kind != LIMIT and (kind != UPDATE or p.held != NULL or p.updated != p.arena and not p.adds)
