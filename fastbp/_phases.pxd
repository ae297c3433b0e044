"""A team's steps, phase after phase."""

from fastbp._steps cimport Plan

cdef void team_worker(Plan *p, int thread, int n_threads) noexcept nogil
