"""The parallel region of a run."""

from fastbp.engine.plan cimport Plan

cdef void run_steps(Plan *p, int n_threads) noexcept nogil
