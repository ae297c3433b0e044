"""Parameters that follow those of a model in training."""

from fastbp.engine.model cimport Model
from libc.stdint cimport int64_t

cdef void mix_bytes(char *a, const char *b, Py_ssize_t n_bytes, size_t item, double of_a, double of_b) noexcept nogil

cdef class Averaging:
    """An exponential average of the parameters of a model, step by step."""
    cdef readonly Model model
    cdef readonly double decay
    cdef readonly bint warms_up
    cdef public int64_t first
    cdef int follow(self, Model model, int64_t step) except -1
