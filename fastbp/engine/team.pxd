"""The parallel region of a run."""

from fastbp.engine.plan cimport Plan

cdef int team_size() noexcept nogil
cdef void run_steps(Plan *p, int n_threads) noexcept nogil
