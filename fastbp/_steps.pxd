"""The plan of a training run, and what a step of any regime does with it."""

from libc.stdint cimport int64_t, uint8_t

from fastbp._backward cimport Block
from fastbp._forward cimport Layer
from fastbp._parameters cimport Targets
from fastbp._runtime cimport fbp_barrier, fbp_coming, fbp_kernels, fbp_loss, fbp_update

cdef struct Slot:
    # Room for some rows of a batch and all that becomes of them in a step.
    char *inputs                # [rows][ld_in]: the gathered rows
    char *target                # [rows][ld of the last layer]
    double *row_loss
    double *weights             # of the rows, if the plan has any
    uint8_t *hit
    char **outputs              # [n_layers] of [rows][ld]
    char **deltas               # the same

cdef enum Kind:
    THROUGH                     # a block of rows through all layers and back
    FORWARD                     # columns of one layer's output
    LAST                        # rows of the last layer's output, and their losses
    DELTA                       # input units of one layer
    UPDATE                      # a block of one layer's weight

cdef struct Phase:
    # One part of a step of a team, made of items that need nothing of each other.
    Kind kind
    Py_ssize_t layer
    Py_ssize_t n                # items
    int64_t *states

cdef struct Plan:
    # Everything a worker needs; written before the region, but for the states at the end.
    const fbp_kernels *kernels
    const Layer *layers
    Py_ssize_t n_layers, n_phases, n_blocks
    Phase *phases               # of a step, for a team
    const Block *blocks         # of all weights
    char *arena                 # what the forward pass reads
    char *updated               # what an update writes: the arena, or gradients
    char *velocity
    char *kept                  # NULL, or where the state before the first step goes: parameters, then velocity
    Py_ssize_t bytes            # of the parameters, and of the velocity
    const char *x
    Targets targets
    const double *weights       # [n] of the rows, or NULL
    const int64_t *order
    Py_ssize_t n, batch
    Py_ssize_t rows             # of a slot: a batch is cut in so many at a time
    int team                    # threads that the plan was made for
    const double *learning_rates
    Py_ssize_t first_step, n_steps
    Slot *slots                 # one for each block of rows of a batch, and one more for each thread of a team
    Py_ssize_t n_slots
    char *scratch               # per thread
    Py_ssize_t scratch_bytes
    fbp_loss loss
    double parameter            # of the loss
    bint to_logits, count_hits
    bint skip_zeros             # streaming may leave out weight rows whose input is zero
    fbp_update update
    fbp_barrier barrier
    int64_t waited              # nanoseconds at the end of the region, until the last thread was there
    int *cpus                   # [threads]: where each was last
    int64_t phase               # of the team, counted from 1 over all steps
    Slot **taken                # the slot that holds each block of rows
    Py_ssize_t failed           # first step (counted from first_step) with a non-finite loss
    double loss_sum
    Py_ssize_t hits

cdef struct Worker:
    # One thread of a team.
    Plan *plan
    int thread, n_threads
    char *scratch
    Slot *slot                  # of its own: for a block of rows that others do not see yet
    Py_ssize_t gathered         # the step whose inputs are in it
    fbp_coming coming
    fbp_update update

cdef Py_ssize_t batch_of(const Plan *p, Py_ssize_t step) noexcept nogil
cdef Py_ssize_t row_blocks(const Plan *p, Py_ssize_t step) noexcept nogil
cdef void gather(const Plan *p, const Slot *slot, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
cdef bint losses(const Plan *p, const Slot *slot, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t batch) noexcept nogil
cdef void add_losses(Plan *p, const Slot *slot, Py_ssize_t rows) noexcept nogil
cdef void keep(Plan *p, int thread, int n_threads) noexcept nogil
cdef void keep_bytes(Plan *p, Py_ssize_t first, Py_ssize_t size) noexcept nogil
