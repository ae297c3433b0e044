"""The batch-split regime: a phase of blocks of rows forward and backward, then one of blocks of weights."""

from fastbp.engine.backward cimport Block, Place, apply_bias, apply_block, backward_rows, block_gradient
from fastbp.engine.forward cimport Dropout, Node, forward_rows
from fastbp.engine.guard cimport proved
from fastbp.engine.limits cimport add_objective, hold_gradient, limit_weights, note_penalty, note_weights, scale_of_gradient
from fastbp.engine.runtime cimport fbp_prefetch, fbp_part, fbp_state_at, fbp_update, fbp_update_scratch
from fastbp.engine.signals cimport may_leave, signalled
from fastbp.engine.plan cimport (BAD_LABEL, FINE, NOT_FINITE, SPARSE, UPDATE, Plan, add_losses, add_weights, batch_of, begin_update,
                                 dropout_of, gather, losses, row_blocks, slot_of, snapshot_bytes, sparse_of, update_of_node,
                                 whole_of)

cdef enum:
    BYTES_AHEAD = 1 << 18   # of the next batch that a thread prefetches: as much as its L2 has room for


cdef Fault through(Worker *w, const Slot *slot, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """Gather block i of the rows of a step and run it forward, through the loss, and backward."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t batch = batch_of(p, step), rows = min(p.rows, batch - i * p.rows)
    cdef Dropout dropout = dropout_of(p, step)
    if not gather(p, slot, step, i * p.rows, rows):
        return BAD_LABEL
    forward_rows(slot.outputs, slot.slopes, slot.inputs, sparse_of(p, slot), p.arena, p.kernels, p.nodes, 0, p.n_nodes, rows, p.nodes[0].ld_in,
                 p.to_logits, &dropout if p.drops else NULL, p.first_row + i * p.rows)
    cdef bint finite = losses(p, slot, step, 0, rows)
    backward_rows(slot.deltas, slot.slopes, p.arena, w.scratch, p.kernels, p.nodes, p.n_nodes, whole_of(p, step), rows)
    return FINE if finite else NOT_FINITE


cdef void prefetch(Worker *w, Py_ssize_t step) noexcept nogil:
    """Let the gradient kernels prefetch the rows that this thread will gather in a step."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t n = p.nodes[0].n_in, first = 0, rows = 0
    if step < p.n_steps and not p.converts:  # rows of bytes are soon there, and the kernels prefetch numbers of their own type
        first = row_blocks(p, step) * w.thread // w.n_threads * p.rows
        rows = min(p.rows, batch_of(p, step) - first, BYTES_AHEAD // (n * <Py_ssize_t>p.kernels.item))
        first += (p.first_step + step) * p.batch
    w.prefetch = fbp_prefetch(x=p.x.data, order=p.order, row=first, end=first + rows, n=n, done=0)


cdef char *gradient_of(Worker *w, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """Compute the gradient of block i of the weights in scratch."""
    cdef Plan *p = w.plan
    cdef const Block *block = &p.blocks[i]
    cdef const Node *node = &p.nodes[block.node]
    cdef Py_ssize_t batch = batch_of(p, step), item = p.kernels.item, n = row_blocks(p, step), b
    cdef char *gradient
    cdef fbp_part *parts = <fbp_part *>(w.scratch + p.scratch_bytes) - n  # at the end, because the gradient must begin at a line
    for b in range(n):
        slot = slot_of(p, b)
        parts[b] = fbp_part(x=(slot.outputs[node.source] if node.source >= 0 else slot.inputs) + block.first * item,
                            dy=slot.deltas[block.node] + block.column * item, rows=min(p.rows, batch - b * p.rows))
    if node.source < 0 and w.gathered == step:
        parts[0].x = w.slot.inputs + block.first * item
    if p.regime == SPARSE and block.node == 0:
        gradient = w.scratch + fbp_update_scratch(batch, item) * item
        if not p.by_row:
            p.kernels.sparse_gradient(gradient + block.n * item, &p.features, p.delta_rows, block.first, block.column, block.rows,
                                      block.n)
        if block.first == 0:
            p.kernels.bias_gradient(gradient, w.scratch, parts, n, block.n, node.ld)
        return gradient
    return block_gradient(w.scratch, &p.places[i], parts, n, block, p.kernels, batch, node.ld_in, node.ld, &w.prefetch)


cdef void list_features(Plan *p, Py_ssize_t step) noexcept nogil:
    """Prepare the gradient of a weight above sparse rows, once the deltas of a step are known."""
    cdef Py_ssize_t batch = batch_of(p, step), row = p.nodes[0].ld * <Py_ssize_t>p.kernels.item, b
    p.kernels.by_feature(&p.features, p.sparse, batch, p.rows)
    for b in range(batch):
        p.delta_rows[b] = p.slots[b // p.rows].deltas[0] + b % p.rows * row


cdef void update(Worker *w, const char *gradient, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """Update block i of the weights, or hold its gradient."""
    cdef Plan *p = w.plan
    if p.held == NULL:
        change_block(w, gradient, step, i)
    else:
        hold_gradient(p, gradient, i)


cdef void change_block(Worker *w, const char *gradient, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """Update block i of the weights; the thread that does block 0 adds up the losses, now that the step is not dropped any more."""
    cdef Plan *p = w.plan
    cdef const Block *block = &p.blocks[i]
    cdef Py_ssize_t bias = p.nodes[block.node].bias, b
    cdef fbp_update room
    if step == 0 and p.snapshot != NULL and not proved(w, step):
        snapshot_block(p, block, &p.places[i])
        if i == 0:
            snapshot_frozen(p)
    begin_update(&w.update, p, step)
    cdef const fbp_update *of_node = update_of_node(&room, &w.update, p, &p.nodes[block.node], step)
    if p.by_row and block.node == 0:
        p.kernels.sparse_update(p.places[i].weight, p.places[i].state, &p.features, p.delta_rows, block.column, block.n,
                                p.places[i].ld, of_node)
        apply_bias(p.updated + bias, fbp_state_at(p.state, bias), gradient, block, p.kernels, of_node)
    else:
        apply_block(&p.places[i], p.updated + bias, fbp_state_at(p.state, bias), gradient, block, p.kernels, of_node)
    if p.max_norm > 0:
        note_weights(p, i)
    if p.penalty_squares != NULL:
        note_penalty(p, i, step + 1)
    if i == 0:
        for b in range(row_blocks(p, step)):
            add_losses(p, slot_of(p, b), min(p.rows, batch_of(p, step) - b * p.rows))
        add_weights(p, step)
        if p.l2_weight > 0:
            add_objective(p, step)


cdef void apply_held(Worker *w, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    """Update block i of the weights by its held gradient, once all gradients are held."""
    cdef Plan *p = w.plan
    if w.scaled != step:
        w.update.gradient_scale, w.scaled = scale_of_gradient(p), step
    change_block(w, p.held + p.blocks[i].held, step, i)


cdef void snapshot_block(Plan *p, const Block *block, const Place *place) noexcept nogil:
    """Copy a block to the snapshot before the first step."""
    cdef const Node *node = &p.nodes[block.node]
    cdef Py_ssize_t item = p.kernels.item, at = node.weight + (block.first * node.ld + block.column) * item, r
    cdef Py_ssize_t bias = node.bias + block.column * item
    for r in range(block.rows):
        snapshot_bytes(p, at + r * node.ld * item, place.weight + r * place.ld * item,
                   fbp_state_at(place.state, r * place.ld * item), block.n * item)
    if block.first == 0:
        snapshot_bytes(p, bias, p.arena + bias, fbp_state_at(p.state, bias), block.n * item)


cdef void snapshot_frozen(Plan *p) noexcept nogil:
    """Copy the nodes that have no blocks: no step changes them, but a callback may have, since the copy of the epoch before."""
    cdef const Node *node
    cdef Py_ssize_t l, end
    for l in range(p.n_nodes):
        node = &p.nodes[l]
        if node.frozen:
            end = node.weight + node.n_in * node.ld * <Py_ssize_t>p.kernels.item
            snapshot_bytes(p, node.bias, p.arena + node.bias, fbp_state_at(p.state, node.bias), end - node.bias)


cdef void work_alone(Worker *w) noexcept nogil:
    """Run all steps on one thread."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t step, i
    for step in range(p.n_steps):
        p.phase = 1 + step * p.n_phases
        for i in range(row_blocks(p, step)):
            p.fault = through(w, slot_of(p, i), step, i)
            if p.fault != FINE:
                p.failed = step
                return
            if signalled(w):
                return
        prefetch(w, step + 1)
        if p.regime == SPARSE and not p.nodes[0].frozen:
            list_features(p, step)
        for i in range(p.n_blocks):
            update(w, gradient_of(w, step, i), step, i)
            if may_leave(p, UPDATE) and signalled(w):
                return
        if p.held != NULL:
            for i in range(p.n_blocks):
                apply_held(w, step, i)
        if p.max_norm > 0:
            for i in range(p.n_blocks):
                limit_weights(p, i)
