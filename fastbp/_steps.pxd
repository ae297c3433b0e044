"""The plan of a training run, and what a step of any regime does with it."""

from libc.stdint cimport int64_t, uint8_t

from fastbp._forward cimport Layer
from fastbp._parameters cimport Targets
from fastbp._runtime cimport fbp_barrier, fbp_kernels, fbp_loss, fbp_update

cdef struct Item:
    Py_ssize_t layer, first, rows

cdef struct Plan:
    # Everything a worker needs; written before the region, but for the counters at the end.
    const fbp_kernels *kernels
    const Layer *layers
    Py_ssize_t n_layers, n_items
    Item *items
    char *arena                 # what the forward pass reads
    char *updated               # what phase B writes: the arena, or gradients
    char *velocity
    char *kept                  # NULL, or where the state before the first step goes: parameters, then velocity
    Py_ssize_t bytes            # of the parameters, and of the velocity
    const char *x
    Targets targets
    const int64_t *order
    Py_ssize_t n, batch, row_block
    const double *learning_rates
    Py_ssize_t first_step, n_steps
    char *inputs                # workspace [batch][ld_in]: the gathered rows
    char **outputs              # workspace [n_layers] of [batch][ld]
    char **deltas               # the same
    char *target                # workspace [batch][ld of the last layer]
    double *row_loss
    uint8_t *hit
    char *scratch               # per thread
    Py_ssize_t scratch_bytes
    fbp_loss loss
    bint to_logits, count_hits
    bint skip_zeros             # streaming may leave out weight rows whose input is zero
    fbp_update update
    fbp_barrier barrier
    Py_ssize_t next_row_block, next_item    # claimed; run on over the steps, so nobody has to reset them
    Py_ssize_t failed                       # first step (counted from first_step) with a non-finite loss
    double loss_sum
    Py_ssize_t hits

cdef void gather(Plan *p, Py_ssize_t start, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
cdef bint losses(Plan *p, Py_ssize_t batch, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
cdef void add_losses(Plan *p, Py_ssize_t batch) noexcept nogil
cdef void keep(Plan *p, int thread, int n_threads) noexcept nogil
