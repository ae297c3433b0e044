"""The model as the compiled modules share it, and the targets of a pass over rows."""

cimport numpy as cnp
from libc.stdint cimport int64_t

from fastbp.engine.forward cimport Node
from fastbp.engine.runtime cimport Memory, fbp_kernels

cdef struct Targets:
    const char *values          # [n][n_out], or NULL
    const int64_t *labels       # [n] classes, or NULL
    double smoothing            # label smoothing: (1 - smoothing) t + smoothing / n_out

cdef Targets targets_of(cnp.ndarray y, double smoothing)
cdef double *weights_or_null(weights) except? NULL
cdef bint gather_targets(char *target, const fbp_kernels *kernels, const Targets *targets, const int64_t *order,
                         Py_ssize_t first, Py_ssize_t rows, Py_ssize_t n_out, Py_ssize_t ld) noexcept nogil

cdef Model form_of(Model model)

cdef class Claim:
    """The right to write the parameters of a model, given to one call at a time."""
    cdef Model model
    cdef void give_back(self)

cdef class Quiet:
    """A time in which no other thread trains a model."""
    cdef Model model
    cdef Claim claim    # of a block that writes
    cdef bint writes
    cdef int64_t claims

cdef class Model:
    cdef readonly Py_ssize_t n_inputs, n_outputs, n_nodes
    cdef readonly object dtype, arena, wiring
    cdef object spare           # a run of gradients that the next call may use: see `gradients` in engine/run.pyx,
    cdef int64_t at_spare       # and whether a thread is at it
    cdef object exchange_spare(self, object spare)
    cdef object view(self, Py_ssize_t at, int axes, cnp.npy_intp *shape, cnp.npy_intp *strides)
    cdef readonly Py_ssize_t revision   # how often `set_group` was called: a run takes the groups once, when it is made
    cdef Memory memory, table
    cdef Node *nodes
    cdef size_t item
    cdef int dtype_code
    cdef int64_t busy           # the process that runs a call; 0: none
    cdef int64_t claimed        # the process and the thread that hold the claim; 0: none
    cdef int64_t claims         # how often it was taken
    cdef int refuse_others(self) except -1
    cdef const fbp_kernels *kernels(self) except NULL
    cdef Py_ssize_t flops_of_a_row(self) noexcept
    cdef bint drops(self) noexcept
