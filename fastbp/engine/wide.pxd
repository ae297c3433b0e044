"""The wide regime: threads own columns."""

from fastbp.engine.plan cimport Kind, Worker

cdef void gather_own(Worker *w, Py_ssize_t step) noexcept nogil
cdef bint compute_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil
cdef void publish_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil
