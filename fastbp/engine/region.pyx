"""The parallel region: a plan's steps on a team of threads, in the regime of the batch size."""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport uint64_t

from fastbp.engine.parameters cimport team_size
from fastbp.engine.team cimport team_worker
from fastbp.engine.runtime cimport barrier_init, flush_denormals, pause, restore_denormals
from fastbp.engine.plan cimport streams
from fastbp.engine.stream cimport stream_worker

cdef extern from *:
    """
    #ifdef _OPENMP
    #define openmp_barrier() _Pragma("omp barrier")
    #else
    #define openmp_barrier()
    #endif
    """
    void openmp_barrier() noexcept nogil


cdef void work(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the steps, in the regime of the batch size. Denormals count as zero meanwhile."""
    cdef uint64_t mode = flush_denormals()
    if streams(p):
        stream_worker(p, thread, n_threads)
    else:
        team_worker(p, thread, n_threads)
    restore_denormals(mode)


cdef void run_steps(Plan *p, int n_threads) noexcept nogil:
    """The plan's steps on a team of n_threads, or of as many as the OpenMP library grants."""
    p.waited = p.barrier.asleep = 0
    if n_threads == 1:
        work(p, 0, 1)
        return
    with parallel(num_threads=n_threads):
        if streams(p):
            if threadid() == 0:
                barrier_init(&p.barrier, team_size())
            openmp_barrier()
        work(p, threadid(), team_size())
        if threadid() == 0:
            p.waited = -pause(0)
    p.waited += pause(0)
