"""The batch-split regime: blocks of rows through the network and back, then blocks of weights, two phases a step."""

from fastbp.engine.backward cimport Block, apply_block, backward_rows, block_gradient
from fastbp.engine.forward cimport Dropout, Layer, forward_rows
from fastbp.engine.limits cimport hold_gradient, limit_weights, note_weights, scale_of_gradient
from fastbp.engine.runtime cimport fbp_coming, fbp_part, fbp_state_at
from fastbp.engine.plan cimport (Plan, add_losses, batch_of, begin_update, dropout_of, gather, keep_bytes, losses, row_blocks)

cdef enum:
    BYTES_AHEAD = 1 << 18   # of the next batch that a thread fetches: what its L2 has room for


cdef bint through(Worker *w, const Slot *slot, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """Gather, forward, loss and deltas of block i of the rows of a step; False if a loss is not finite."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t batch = batch_of(p, step), rows = min(p.rows, batch - i * p.rows)
    cdef Dropout dropout = dropout_of(p, step)
    gather(p, slot, (p.first_step + step) * p.batch + i * p.rows, rows)
    forward_rows(slot.outputs, slot.slopes, slot.inputs, p.arena, p.kernels, p.layers, p.n_layers, rows, p.layers[0].ld_in,
                 p.to_logits, &dropout if p.drops else NULL, i * p.rows)
    cdef bint finite = losses(p, slot, 0, rows, batch)
    backward_rows(slot.deltas, slot.slopes, p.arena, w.scratch, p.kernels, p.layers, p.n_layers, batch, rows)
    return finite


cdef void foresee(Worker *w, Py_ssize_t step) noexcept nogil:
    """The rows that this thread will gather in a step may be fetched from now on."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t n = p.layers[0].n_in, first = 0, rows = 0
    if step < p.n_steps:
        first = row_blocks(p, step) * w.thread // w.n_threads * p.rows
        rows = min(p.rows, batch_of(p, step) - first, BYTES_AHEAD // (n * <Py_ssize_t>p.kernels.item))
        first += (p.first_step + step) * p.batch
    w.coming = fbp_coming(x=p.x, order=p.order, row=first, end=first + rows, n=n, done=0)


cdef char *gradient_of(Worker *w, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """The gradient of block i of the weights, in scratch."""
    cdef Plan *p = w.plan
    cdef const Block *block = &p.blocks[i]
    cdef const Layer *layer = &p.layers[block.layer]
    cdef Py_ssize_t batch = batch_of(p, step), item = p.kernels.item, n = row_blocks(p, step), b
    cdef fbp_part *parts = <fbp_part *>(w.scratch + p.scratch_bytes) - n  # at the end: the gradient begins with a line
    for b in range(n):
        slot = p.taken[b]
        parts[b] = fbp_part(x=(slot.outputs[layer.source] if layer.source >= 0 else slot.inputs) + block.first * item,
                            dy=slot.deltas[block.layer] + block.column * item, rows=min(p.rows, batch - b * p.rows))
    if layer.source < 0 and w.gathered == step:
        parts[0].x = w.slot.inputs + block.first * item
    return block_gradient(w.scratch, &p.places[i], parts, n, block, p.kernels, batch, layer.ld_in, layer.ld, &w.coming)


cdef void update(Worker *w, const char *gradient, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """Block i of the weights updated, or its gradient held; whoever does the first block adds up the losses."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t b
    if p.held == NULL:
        change_block(w, gradient, step, i)
    else:
        hold_gradient(p, gradient, i)
    if i == 0:
        for b in range(row_blocks(p, step)):
            add_losses(p, p.taken[b], min(p.rows, batch_of(p, step) - b * p.rows))


cdef void change_block(Worker *w, const char *gradient, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    cdef Plan *p = w.plan
    cdef const Block *block = &p.blocks[i]
    cdef Py_ssize_t bias = p.layers[block.layer].bias
    if step == 0 and p.kept != NULL:
        keep_block(p, block)
    begin_update(&w.update, p, step)
    apply_block(&p.places[i], p.updated + bias, fbp_state_at(p.state, bias), gradient, block, p.kernels, &w.update)
    if p.max_norm > 0:
        note_weights(p, i)


cdef void apply_held(Worker *w, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """Block i of the weights updated by the gradient that is held, once all are."""
    cdef Plan *p = w.plan
    if w.scaled != step:
        w.update.gradient_scale, w.scaled = scale_of_gradient(p), step
    change_block(w, p.held + p.blocks[i].held, step, i)


cdef void keep_block(Plan *p, const Block *block) noexcept nogil:
    """A copy of a block before the first step; after the last columns come those between n_out and ld.

    The arena has them still, also where `own` is about to be written.
    """
    cdef const Layer *layer = &p.layers[block.layer]
    cdef Py_ssize_t item = p.kernels.item, at = layer.weight + (block.first * layer.ld + block.column) * item, r
    cdef Py_ssize_t n = block.n if block.column + block.n < layer.n_out else layer.ld - block.column
    for r in range(block.rows):
        keep_bytes(p, at + r * layer.ld * item, n * item)
    if block.first == 0:
        keep_bytes(p, layer.bias + block.column * item, n * item)


cdef void work_alone(Worker *w) noexcept nogil:
    """All steps on one thread."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t step, i
    for step in range(p.n_steps):
        for i in range(row_blocks(p, step)):
            p.taken[i] = &p.slots[i]
            if not through(w, p.taken[i], step, i):
                p.failed = step
                return
        foresee(w, step + 1)
        for i in range(p.n_blocks):
            update(w, gradient_of(w, step, i), step, i)
        if p.held != NULL:
            for i in range(p.n_blocks):
                apply_held(w, step, i)
        if p.max_norm > 0:
            for i in range(p.n_blocks):
                limit_weights(p, i)
