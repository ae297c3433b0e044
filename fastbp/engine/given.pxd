"""A step by a gradient that comes from outside."""

from fastbp.engine.plan cimport Plan

cdef int apply_given(Plan *plan, const char *gradient, Py_ssize_t batch, double scale) except -1
