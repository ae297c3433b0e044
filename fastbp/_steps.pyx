"""What a step of any regime does: gather a batch, its losses and output deltas, the sums for the history."""

from libc.math cimport isfinite
from libc.string cimport memcpy

from fastbp._forward cimport Layer
from fastbp._parameters cimport gather_targets
from fastbp._runtime cimport FBP_GRADIENT, barrier_wait


cdef void gather(Plan *p, Py_ssize_t start, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Rows [first, first + rows) of the step that begins at `start` of the order: inputs and targets."""
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    p.kernels.gather_rows(p.inputs + first * p.layers[0].ld_in * p.kernels.item, p.x, p.order, start + first, rows,
                          p.layers[0].n_in, p.layers[0].ld_in)
    gather_targets(p.target + first * last.ld * p.kernels.item, p.kernels, &p.targets, p.order, start + first, rows,
                   last.n_out, last.ld)


cdef bint losses(Plan *p, Py_ssize_t batch, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Losses and output deltas of rows [first, first + rows); False if a loss is not finite."""
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    cdef Py_ssize_t at = first * last.ld * p.kernels.item, i
    cdef double total = 0
    p.kernels.loss_delta(p.deltas[p.n_layers - 1] + at, p.row_loss + first, p.hit + first if p.count_hits else NULL,
                         p.outputs[p.n_layers - 1] + at, p.target + at, rows, last.n_out, last.ld, p.loss,
                         last.activation, 1.0 / batch)
    for i in range(first, first + rows):
        total += p.row_loss[i]
    # a gradient that was asked for is given, finite or not
    return isfinite(total) or p.update.rule == FBP_GRADIENT


cdef void add_losses(Plan *p, Py_ssize_t batch) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(batch):
        p.loss_sum += p.row_loss[i]
    if p.count_hits:
        for i in range(batch):
            p.hits += p.hit[i]


cdef void keep(Plan *p, int thread, int n_threads) noexcept nogil:
    """This thread's share of a copy of the state before the step, whose loss is known to be finite.

    Only here is one copy enough: until now it held the state to go back to, and the update comes next.
    """
    cdef Py_ssize_t first = p.bytes * thread // n_threads, size = p.bytes * (thread + 1) // n_threads - first
    if p.kept == NULL:
        return
    memcpy(p.kept + first, p.arena + first, size)
    if p.velocity != NULL:
        memcpy(p.kept + p.bytes + first, p.velocity + first, size)
    if n_threads > 1:
        barrier_wait(&p.barrier)
