"""A team's steps, phase after phase."""

from fastbp.engine.plan cimport Plan

cdef void team_worker(Plan *p, int thread, int n_threads) noexcept nogil
