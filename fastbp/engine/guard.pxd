"""Whether the update of a step is known to be finite before it is made."""

from fastbp.engine.plan cimport Plan, Worker

cdef bint state_is_small(const Plan *p) noexcept nogil
cdef double largest_penalised(const Plan *p) noexcept nogil
cdef bint proved(Worker *w, Py_ssize_t step) noexcept nogil
cdef bint stream_proved(const Plan *p, Py_ssize_t step) noexcept nogil
