"""The steps of a training run on every thread: phase A over rows, phase B over weights, two barriers a step."""

from cython.parallel cimport parallel, threadid
from libc.math cimport isfinite
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from fastbp._backward cimport backward_rows, update_layer
from fastbp._forward cimport forward_rows
from fastbp._parameters cimport gather_targets, team_size
from fastbp._runtime cimport (FBP_GRADIENT, barrier_init, barrier_wait, claim, fbp_update, flush_denormals, restore_denormals)

cdef extern from *:
    """
    #ifdef _OPENMP
    #define openmp_barrier() _Pragma("omp barrier")
    #else
    #define openmp_barrier()
    #endif
    """
    void openmp_barrier() noexcept nogil


cdef void gather_rows(Plan *p, Py_ssize_t start, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    cdef size_t item = p.kernels.item
    cdef Py_ssize_t i, width = p.layers[0].n_in * item, ld = p.layers[0].ld_in * item
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    for i in range(first, first + rows):
        memcpy(p.inputs + i * ld, p.x + p.order[start + i] * width, width)
    gather_targets(p.target + first * last.ld * item, &p.targets, p.order, start + first, rows, last.n_out, last.ld, item)


cdef bint phase_a(Plan *p, char *scratch, Py_ssize_t start, Py_ssize_t batch, Py_ssize_t first,
                  Py_ssize_t rows) noexcept nogil:
    """Gather, forward, loss and deltas of rows [first, first + rows) of the step; False if a row's loss is not finite."""
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    cdef Py_ssize_t at = first * last.ld * p.kernels.item, i
    cdef double total = 0
    gather_rows(p, start, first, rows)
    forward_rows(p.outputs, p.inputs, p.arena, p.kernels, p.layers, p.n_layers, first, rows, p.layers[0].ld_in,
                 p.to_logits)
    p.kernels.loss_delta(p.deltas[p.n_layers - 1] + at, p.row_loss + first, p.hit + first if p.count_hits else NULL,
                         p.outputs[p.n_layers - 1] + at, p.target + at, rows, last.n_out, last.ld, p.loss,
                         last.activation, 1.0 / batch)
    backward_rows(p.deltas, p.outputs, p.arena, scratch, p.kernels, p.layers, p.n_layers, batch, first, rows)
    for i in range(first, first + rows):
        total += p.row_loss[i]
    return isfinite(total)


cdef void phase_b(Plan *p, Py_ssize_t batch, const Item *item, const fbp_update *update) noexcept nogil:
    cdef const char *x = p.outputs[item.layer - 1] if item.layer else p.inputs
    update_layer(p.updated, p.velocity, x, p.deltas[item.layer], p.kernels, &p.layers[item.layer], batch, item.first,
                 item.rows, update)


cdef void add_losses(Plan *p, Py_ssize_t batch) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(batch):
        p.loss_sum += p.row_loss[i]
    if p.count_hits:
        for i in range(batch):
            p.hits += p.hit[i]


cdef void worker(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the run. Two barriers a step; who claims which block or item never shows in the bits."""
    cdef char *scratch = p.scratch + thread * p.scratch_bytes
    cdef fbp_update update = p.update
    cdef uint64_t mode = flush_denormals()
    cdef Py_ssize_t step, start, batch, blocks, row_base = 0, item_base = 0, i
    for step in range(p.n_steps):
        start = (p.first_step + step) * p.batch
        batch = min(p.batch, p.n - start)
        blocks = (batch + p.row_block - 1) // p.row_block
        while True:
            i = claim(&p.next_row_block, 1) - row_base
            if i >= blocks:
                break
            if not phase_a(p, scratch, start, batch, i * p.row_block, min(p.row_block, batch - i * p.row_block)) \
                    and update.rule != FBP_GRADIENT:  # a gradient that was asked for is given, finite or not
                p.failed = step
        row_base += blocks + n_threads
        if n_threads > 1:
            barrier_wait(&p.barrier)
        if p.failed == step:
            break
        if thread == 0:
            add_losses(p, batch)
        update.learning_rate = p.learning_rates[step]
        while True:
            i = claim(&p.next_item, 1) - item_base
            if i >= p.n_items:
                break
            phase_b(p, batch, &p.items[i], &update)
        item_base += p.n_items + n_threads
        if n_threads > 1:
            barrier_wait(&p.barrier)
    restore_denormals(mode)


cdef void run_steps(Plan *plan, int n_threads) noexcept nogil:
    """The plan's steps on a team of n_threads, or of as many as the OpenMP library grants."""
    if n_threads == 1:
        worker(plan, 0, 1)
        return
    with parallel(num_threads=n_threads):
        if threadid() == 0:
            barrier_init(&plan.barrier, team_size())
        openmp_barrier()
        worker(plan, threadid(), team_size())
