"""The only extension that links src/: kernel tables, ISA list and choice, threads, memory."""

import operator
import os
import sys
import warnings

import numpy as np

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.exc cimport PyErr_CheckSignals
cimport numpy as cnp
from libc.string cimport memset

from fastbp.engine.cpus import available_cpus, omp_num_threads
from fastbp.engine.threadpool import register
from fastbp.errors import ConfigError, brief

cnp.import_array()

cdef extern from "fbp.h" nogil:
    const char *fbp_activation_names[]
    const char *fbp_loss_names[]
    const char *fbp_rule_names[]
    const char *fbp_gate_names[]
    const char *fbp_function_names[]
    const char *fbp_number_names[]
    const char *fbp_isa_name(int index)
    const fbp_kernels *fbp_find_kernels(const char *isa, fbp_dtype dtype)
    void *fbp_alloc(size_t bytes)
    void fbp_free(void *memory, size_t bytes)
    size_t fbp_live_bytes()
    void fbp_fail_allocation(long n)
    void fbp_team_run(fbp_work *work, void *data, int n_threads)
    const char *fbp_team_kind()
    int fbp_team_ready(int n_threads)
    int fbp_team_lost()
    int fbp_team_most()
    void fbp_team_allow(int n_threads)
    int fbp_team_cpus()
    void fbp_barrier_init(fbp_barrier *barrier)
    void fbp_barrier_wait(fbp_barrier *barrier, int n_threads)
    Py_ssize_t fbp_claim(Py_ssize_t *counter, Py_ssize_t count)
    int64_t fbp_pause(int turn)
    void fbp_spread(int *cpus, int thread, int n_threads)
    void fbp_watch_forks()
    int64_t fbp_process()
    uint64_t fbp_flush_denormals()
    void fbp_restore_denormals(uint64_t mode)

cdef extern from *:
    """
    #if defined(__clang__)
    #define FBP_COMPILER "Clang " __clang_version__
    #elif defined(_MSC_VER)
    #define FBP_DIGITS(number) #number
    #define FBP_TEXT(number) FBP_DIGITS(number)
    #define FBP_COMPILER "MSVC " FBP_TEXT(_MSC_FULL_VER)
    #else
    #define FBP_COMPILER "GCC " __VERSION__
    #endif
    """
    const char *FBP_COMPILER

ACTIVATIONS = {fbp_activation_names[i].decode(): i for i in range(FBP_N_ACTIVATIONS)}
LOSSES = {fbp_loss_names[i].decode(): i for i in range(FBP_N_LOSSES)}
RULES = {fbp_rule_names[i].decode(): i for i in range(FBP_N_RULES)}
LINE_BYTES = FBP_LINE_BYTES
GATES = {fbp_gate_names[i].decode(): i for i in range(FBP_N_GATES)}
FUNCTIONS = {fbp_function_names[i].decode(): i for i in range(FBP_N_FUNCTIONS)}
NUMBERS = {fbp_number_names[i].decode(): i for i in range(FBP_N_NUMBERS)}
COMPILER = FBP_COMPILER.decode()
TEAM = fbp_team_kind().decode()


# ISAs

def isas():
    """Names of the kernel sets that this machine can run, best first."""
    names = []
    while fbp_isa_name(len(names)) != NULL:
        names.append(fbp_isa_name(len(names)).decode())
    return [name for name in names if fbp_find_kernels(name.encode(), FBP_F32) != NULL]


cdef const fbp_kernels *current[2]     # by fbp_dtype; FBP_N_DTYPES is no constant to Cython before 3.3


def isa():
    """Name of the kernel set in use."""
    return current[<int>FBP_F32].isa.decode()


def use_isa(name):
    """Use the kernel set `name` from now on, everywhere in the process.

    Raises
    ------
    ConfigError
        If no such set exists or this machine cannot run it.
    """
    cdef int dtype
    if name not in isas():
        raise ConfigError(f"ISA: got {name!r}, wanted one of {', '.join(isas())} on this machine")
    for dtype in range(<int>FBP_N_DTYPES):
        current[dtype] = fbp_find_kernels(name.encode(), <fbp_dtype>dtype)


use_isa(os.environ.get("FASTBP_ISA") or isas()[0])


cdef const fbp_kernels *kernels_of(str isa, int dtype) except NULL:
    if isa is None:
        return current[dtype]
    name = isa.encode()
    cdef const fbp_kernels *kernels = fbp_find_kernels(name, <fbp_dtype>dtype)
    if kernels == NULL:
        raise ConfigError(f"ISA: got {isa!r}, wanted one of {', '.join(isas())} on this machine")
    return kernels


cdef int code_of(dict names, str name, str what) except -1:
    if name not in names:
        raise ConfigError(f"{what}: got {name!r}, wanted one of {', '.join(names)}")
    return names[name]


# Threads

cdef int64_t max_threads = 0                # 0: not known yet
cdef int64_t warned = 0, warned_of_limit = 0

cdef enum:
    THREADS_OF_A_CORE = 4   # more threads than this gain nothing
    LEAST_BOUND = 64        # but a small machine allows this many, so that tests can compare thread counts

# Counted once: to ask the system takes longer than a prediction of one row.
cdef int most_threads = max(LEAST_BOUND, THREADS_OF_A_CORE * (os.cpu_count() or 1))

# The threads of a team if nobody has limited it.
cdef int usual_team = omp_num_threads() or fbp_team_cpus()

# Whether limits of threadpoolctl reach the team; without help they reach OpenMP's.
cdef int64_t reached = TEAM != "pthread"

fbp_watch_forks()


def has_threads():
    """Whether the engine was built with a team of threads; without it everything runs on one thread."""
    return TEAM != "none"


cdef int bounded_threads(long long n_threads) noexcept:
    """Limit the threads to a number that the machine can use: memory and time of a call grow with it."""
    return <int>min(n_threads, <long long>most_threads)


cdef inline int limited(int n_threads) noexcept:
    """Lower the number to that of the calling thread, if that was lowered, as threadpoolctl does it.

    One that was raised is no wish of fastbp's user, whose machine or own number decides.
    """
    cdef int most = fbp_team_most()
    return min(n_threads, most) if most < usual_team else n_threads


def allowed_threads():
    """The threads of a team of the calling thread, as threadpoolctl asks for them."""
    return limited(usual_team)


def allow_threads(int n):
    """Limit the teams of the calling thread, as threadpoolctl does it."""
    fbp_team_allow(max(n, 1))


cdef int offer_limits() except -1:
    """Tell threadpoolctl of the team, as soon as it has been imported."""
    if not fbp_word(&reached) and "threadpoolctl" in sys.modules and fbp_swap(&reached, 0, 1):
        register(__file__, TEAM, allowed_threads, allow_threads)
    return 0


def set_num_threads(n):
    """Set how many threads a call uses at most when it is not told otherwise, in the whole process.

    Parameters
    ----------
    n : int or None
        At least 1; None returns to the machine's default. More than four threads a core (64 on a small machine) count as so
        many.

    Raises
    ------
    ConfigError
        `n` is something else.
    """
    wanted = None
    if n is not None and not isinstance(n, (bool, np.bool_)):
        try:
            wanted = operator.index(n)
        except TypeError:
            wanted = None
    if n is not None and (wanted is None or not 1 <= wanted < 2 ** 31):
        raise ConfigError(f"n_threads: got {brief(n)}, wanted a whole number from 1 to {2 ** 31 - 1}, or None")
    fbp_put_word(&max_threads, 0 if wanted is None else bounded_threads(wanted))


def get_num_threads():
    """Return how many threads a call uses at most when it is not told otherwise.

    The number given to `set_num_threads`, else the cores that this process may use: the least of CPU affinity, cgroup quota and
    ``OMP_NUM_THREADS``, or ``FASTBP_NUM_THREADS`` instead of these; at most what ``threadpoolctl.threadpool_limits`` leaves to
    the calling thread. 1 in a build without threads.
    """
    cdef int64_t n_threads = fbp_word(&max_threads)
    if n_threads == 0:
        n_threads = bounded_threads(available_cpus())
        fbp_swap(&max_threads, 0, n_threads)  # unless another thread has set it meanwhile
    offer_limits()
    return limited(<int>n_threads) if has_threads() else 1


cdef int threads_now(int n_threads) except -1:
    """The team for a region that asks for n_threads: as many as the system grants; 1 in a child in which a team would hang."""
    if n_threads <= 1 or not has_threads():
        return 1
    offer_limits()
    n_threads = limited(n_threads)
    if n_threads == 1:
        return 1
    if fbp_team_lost():
        if fbp_swap(&warned, 0, 1):
            warnings.warn("fastbp runs on one thread in a process that was forked from one with several threads; "
                          "start processes with the spawn or forkserver method instead", RuntimeWarning, stacklevel=2)
        return 1
    cdef int ready = fbp_team_ready(n_threads)
    if ready < n_threads and fbp_swap(&warned_of_limit, 0, 1):
        warnings.warn(f"fastbp: the system lets this process start {ready - 1} more threads, wanted {n_threads - 1}; "
                      "the results are the same with fewer", RuntimeWarning, stacklevel=2)
    return ready


# Memory

cdef enum:
    BETWEEN_SIGNALS = 1 << 24   # bytes: new memory takes the system some milliseconds

cdef class Memory:
    def __cinit__(self, size_t bytes):
        self.renew(bytes)

    cdef int renew(self, size_t bytes) except -1:
        """Zero the buffer; reallocate only if the size changed. An exception of a signal handler leaves it partly zero."""
        cdef size_t first = 0, piece
        if self.data == NULL or bytes != self.bytes:
            fbp_free(self.data, self.bytes)
            self.bytes, self.data = 0, <char *>fbp_alloc(bytes)
            if self.data == NULL:
                raise MemoryError(f"fastbp: no memory for {bytes} bytes")
            self.bytes = bytes
        while first < bytes:
            piece = min(bytes - first, <size_t>BETWEEN_SIGNALS)
            memset(self.data + first, 0, piece)
            first += piece
            if first < bytes:
                PyErr_CheckSignals()

    def __dealloc__(self):
        fbp_free(self.data, self.bytes)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, self.bytes, 0, flags)


def fail_allocation(long n):
    """For tests: the n-th engine allocation from now raises MemoryError; 0 turns this off."""
    fbp_fail_allocation(n)


def live_bytes():
    """Bytes that the engine holds now."""
    return fbp_live_bytes()


def leading_dimension(Py_ssize_t n, dtype):
    """Elements between padded rows of n elements of dtype."""
    return fbp_leading_dimension(n, np.dtype(dtype).itemsize)


# The core's functions for the other extensions

cdef void team_run(fbp_work *work, void *data, int n_threads) noexcept nogil: fbp_team_run(work, data, n_threads)
cdef void barrier_init(fbp_barrier *barrier) noexcept nogil: fbp_barrier_init(barrier)
cdef void barrier_wait(fbp_barrier *barrier, int n_threads) noexcept nogil: fbp_barrier_wait(barrier, n_threads)
cdef Py_ssize_t claim(Py_ssize_t *counter, Py_ssize_t count) noexcept nogil: return fbp_claim(counter, count)
cdef int64_t pause(int turn) noexcept nogil: return fbp_pause(turn)
cdef void spread(int *cpus, int thread, int n_threads) noexcept nogil: fbp_spread(cpus, thread, n_threads)
cdef int64_t process() noexcept nogil: return fbp_process()
cdef uint64_t flush_denormals() noexcept nogil: return fbp_flush_denormals()
cdef void restore_denormals(uint64_t mode) noexcept nogil: fbp_restore_denormals(mode)
