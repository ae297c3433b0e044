"""Norms: limits on that of the whole gradient and of the weights into a unit, and the penalty in the objective of an epoch."""

from fastbp.engine.plan cimport Plan, Worker

cdef Py_ssize_t squares_before(const Plan *p, Py_ssize_t node) noexcept nogil
cdef void hold_gradient(Plan *p, const char *gradient, Py_ssize_t i) noexcept nogil
cdef double scale_of_gradient(const Plan *p) noexcept nogil
cdef void note_weights(Plan *p, Py_ssize_t i) noexcept nogil
cdef void limit_weights(Plan *p, Py_ssize_t i) noexcept nogil
cdef void note_penalty(Plan *p, Py_ssize_t i, Py_ssize_t step) noexcept nogil
cdef void add_objective(Plan *p, Py_ssize_t step) noexcept nogil
