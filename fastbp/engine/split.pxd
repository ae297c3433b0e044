"""The batch-split regime: a phase of blocks of rows, then one of blocks of weights."""

from fastbp.engine.plan cimport Fault, Slot, Worker

cdef Fault through(Worker *w, const Slot *slot, Py_ssize_t step, Py_ssize_t i) noexcept nogil
cdef void prefetch(Worker *w, Py_ssize_t step) noexcept nogil
cdef char *gradient_of(Worker *w, Py_ssize_t step, Py_ssize_t i) noexcept nogil
cdef void update(Worker *w, const char *gradient, Py_ssize_t step, Py_ssize_t i) noexcept nogil
cdef void apply_held(Worker *w, Py_ssize_t step, Py_ssize_t i) noexcept nogil
cdef void work_alone(Worker *w) noexcept nogil
