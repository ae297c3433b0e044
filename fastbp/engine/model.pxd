"""The model as the compiled modules share it, and the targets of a pass over rows."""

cimport numpy as cnp
from libc.stdint cimport int64_t

from fastbp.engine.forward cimport Node
from fastbp.engine.runtime cimport Memory, fbp_kernels, fbp_loss, fbp_rows

cdef enum:
    PASS_ROWS = 128             # rows of a block of a forward pass, so that its activations stay in cache

cdef struct Targets:
    const char *values          # [n][n_out], or NULL
    const int64_t *labels       # [n] classes, or NULL
    double smoothing            # label smoothing: (1 - smoothing) t + smoothing / n_out

cdef struct Pass:
    # One forward pass over n rows in blocks of PASS_ROWS. Threads claim blocks, and each has buffers of its own.
    const fbp_kernels *kernels
    const Node *nodes
    const char *arena
    fbp_rows x
    bint converts                   # whether a thread converts the rows of a block before it reads them,
    bint sparse                     # and leaves out their zeros
    Py_ssize_t room                 # for the numbers of a block then
    Py_ssize_t n_nodes, n, next_block, end_block
    bint check                      # whether to look for NaN and infinities in x
    int64_t not_finite, bad_label   # findings
    Py_ssize_t thread_bytes         # buffers of one thread: converted rows, the output of every node, and for a loss target and delta
    char *buffers
    char **copies                   # [n_nodes] where each node's output goes without padding, or NULL
    Targets targets
    const double *weights           # [n] of the rows, or NULL
    bint with_loss, to_logits
    fbp_loss loss
    double parameter                # of the loss
    double *block_loss              # one for each block, so that the order of the sum is fixed
    double *block_correct
    double loss_sum, correct_sum

cdef Pass pass_over(const fbp_kernels *kernels, const Node *nodes, Py_ssize_t n_nodes, const char *arena, const fbp_rows *x,
                    Py_ssize_t n, int dtype_code, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t bytes_of_pass(const Pass *p, int team) noexcept nogil
cdef void lay_out_pass(Pass *p, char *buffers, int team) noexcept nogil
cdef void pass_worker(void *data, int thread, int n_threads) noexcept nogil

cdef bint take_claim(int64_t *claimed) noexcept nogil

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
    cdef readonly int64_t revision      # how often groups or the map of the rows were set: a run takes them once, when it is made
    cdef Memory memory, table
    cdef Node *nodes
    cdef size_t item
    cdef int dtype_code
    cdef int64_t busy           # the process that runs a call; 0: none
    cdef int64_t claimed        # the process and the thread that hold the claim; 0: none
    cdef int64_t claims         # how often it was taken,
    cdef int64_t door_claims    # and how often of these by a handle of engine/doors.pyx
    cdef int refuse_others(self) except -1
    cdef const fbp_kernels *kernels(self) except NULL
    cdef Py_ssize_t flops_of_a_row(self) noexcept
    cdef bint drops(self) noexcept
