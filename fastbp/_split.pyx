"""The batch-split regime: threads own rows in phase A and weight rows in phase B; two barriers a step."""

from fastbp._backward cimport backward_rows, update_layer
from fastbp._forward cimport forward_rows
from fastbp._runtime cimport barrier_wait, claim, fbp_update
from fastbp._steps cimport Item, Plan, add_losses, gather, keep, losses


cdef void phase_a(Plan *p, char *scratch, Py_ssize_t step, Py_ssize_t start, Py_ssize_t batch,
                  Py_ssize_t block) noexcept nogil:
    """Gather, forward, loss and deltas of one block of rows of the step."""
    cdef Py_ssize_t first = block * p.row_block, rows = min(p.row_block, batch - first)
    gather(p, start, first, rows)
    forward_rows(p.outputs, p.inputs, p.arena, p.kernels, p.layers, p.n_layers, first, rows, p.layers[0].ld_in,
                 p.to_logits)
    if not losses(p, batch, first, rows):
        p.failed = step
    backward_rows(p.deltas, p.outputs, p.arena, scratch, p.kernels, p.layers, p.n_layers, batch, first, rows)


cdef void phase_b(Plan *p, char *scratch, Py_ssize_t batch, const Item *item, const fbp_update *update) noexcept nogil:
    cdef const char *x = p.outputs[item.layer - 1] if item.layer else p.inputs
    update_layer(p.updated, p.velocity, x, p.deltas[item.layer], scratch, p.kernels, &p.layers[item.layer], batch, item.first,
                 item.rows, update)


cdef void split_worker(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the run. Who claims which block or item never shows in the bits."""
    cdef char *scratch = p.scratch + thread * p.scratch_bytes
    cdef fbp_update update = p.update
    cdef Py_ssize_t step, start, batch, blocks, row_base = 0, item_base = 0, i
    for step in range(p.n_steps):
        start = (p.first_step + step) * p.batch
        batch = min(p.batch, p.n - start)
        blocks = (batch + p.row_block - 1) // p.row_block
        while True:
            i = claim(&p.next_row_block, 1) - row_base
            if i >= blocks:
                break
            phase_a(p, scratch, step, start, batch, i)
        row_base += blocks + n_threads
        if n_threads > 1:
            barrier_wait(&p.barrier)
        if p.failed == step:
            break
        if step == 0:
            keep(p, thread, n_threads)
        if thread == 0:
            add_losses(p, batch)
        update.learning_rate = p.learning_rates[step]
        while True:
            i = claim(&p.next_item, 1) - item_base
            if i >= p.n_items:
                break
            phase_b(p, scratch, batch, &p.items[i], &update)
        item_base += p.n_items + n_threads
        if n_threads > 1:
            barrier_wait(&p.barrier)
