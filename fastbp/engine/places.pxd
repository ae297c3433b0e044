"""Where a run's weights are, block by block."""

from fastbp.engine.plan cimport Plan

cdef struct Range:
    Py_ssize_t first, n

cdef inline Range part(Py_ssize_t total, Py_ssize_t quantum, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    # Part i of n of `total`, in whole quanta but for the end.
    cdef Py_ssize_t quanta = (total + quantum - 1) // quantum
    cdef Py_ssize_t first = quanta * i // n * quantum, end = min(total, quanta * (i + 1) // n * quantum)
    return Range(first, end - first)

cdef Py_ssize_t bytes_of_own(const Plan *p, bint wide) noexcept
cdef Py_ssize_t own_ld(const Plan *p, Range columns) noexcept nogil
cdef void take_places(Plan *p, bint own) noexcept
cdef void bring_back(Plan *p) noexcept
