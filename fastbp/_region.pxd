"""The parallel region."""

from fastbp._steps cimport Plan

cdef void run_steps(Plan *p, int n_threads) noexcept nogil
