"""The streaming regime."""

from fastbp.engine.plan cimport Plan

cdef void stream_worker(Plan *p, int thread, int n_threads) noexcept nogil
