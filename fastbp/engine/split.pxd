"""The batch-split regime: blocks of rows through the network and back, then blocks of weights."""

from fastbp.engine.plan cimport Slot, Worker

cdef bint through(Worker *w, const Slot *slot, Py_ssize_t step, Py_ssize_t i) noexcept nogil
cdef void foresee(Worker *w, Py_ssize_t step) noexcept nogil
cdef char *gradient_of(Worker *w, Py_ssize_t step, Py_ssize_t i) noexcept nogil
cdef void update(Worker *w, const char *gradient, Py_ssize_t step, Py_ssize_t i) noexcept nogil
cdef void apply_held(Worker *w, Py_ssize_t step, Py_ssize_t i) noexcept nogil
cdef void work_alone(Worker *w) noexcept nogil
