"""The batch-split regime."""

from fastbp._steps cimport Plan

cdef void split_worker(Plan *p, int thread, int n_threads) noexcept nogil
