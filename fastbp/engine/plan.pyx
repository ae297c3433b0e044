"""The operations that every regime needs: gather rows, compute losses and output deltas, sum losses, take a snapshot."""

from libc.math cimport isfinite, sqrt
from libc.string cimport memcpy, memset

from fastbp.engine.forward cimport Dropout, saved_slope
from fastbp.engine.model cimport gather_targets
from fastbp.engine.runtime cimport FBP_ADAM, FBP_GRADIENT, barrier_wait, fbp_state_at


cdef Py_ssize_t batch_of(const Plan *p, Py_ssize_t step) noexcept nogil:
    """Rows of a step: the last one of an epoch may have fewer."""
    return min(p.batch, p.n - (p.first_step + step) * p.batch)


cdef Dropout dropout_of(const Plan *p, Py_ssize_t step) noexcept nogil:
    return Dropout(seed=p.dropout.seed, step=p.dropout.step + step)


cdef Py_ssize_t row_blocks(const Plan *p, Py_ssize_t step) noexcept nogil:
    return (batch_of(p, step) + p.rows - 1) // p.rows


cdef bint gather(const Plan *p, const Slot *slot, Py_ssize_t step, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Gather rows first .. first + rows - 1 of a step, with targets and weights, into a slot; False if a label is out of range."""
    cdef const Node *last = &p.nodes[p.n_nodes - 1]
    cdef const int64_t *order = p.order + (p.first_step + step) * p.batch + first
    if p.weights != NULL and p.stand_ins[step] < 0:
        if p.regime == SPARSE:
            memset(sparse_of(p, slot).start, 0, (rows + 1) * sizeof(Py_ssize_t))
        else:
            memset(slot.inputs, 0, rows * p.nodes[0].ld_in * p.kernels.item)
        memset(slot.target, 0, rows * last.ld * p.kernels.item)
        memset(slot.weights, 0, rows * sizeof(double))
        return True
    if p.weights != NULL:
        order = gather_weights(p, slot, order, p.stand_ins[step], rows)
    if p.regime == SPARSE:
        p.kernels.sparse_rows(sparse_of(p, slot), &p.x, order, 0, rows)
    elif p.converts:
        p.kernels.convert_rows(slot.inputs, &p.x, order, 0, rows, p.nodes[0].ld_in)
    else:
        p.kernels.gather_rows(slot.inputs, p.x.data, order, 0, rows, p.nodes[0].n_in, p.nodes[0].ld_in)
    return gather_targets(slot.target, p.kernels, &p.targets, order, 0, rows, last.n_out, last.ld)


cdef const int64_t *gather_weights(const Plan *p, const Slot *slot, const int64_t *order, int64_t stand_in,
                                   Py_ssize_t rows) noexcept nogil:
    """Gather the weights of some rows; return the order to gather the rows in, the stand-in for those of weight 0.

    Outputs that are not finite would reach the gradients: a delta of 0 times infinity is NaN. Those of the stand-in are in them
    anyway.
    """
    cdef Py_ssize_t i
    for i in range(rows):
        slot.weights[i] = p.weights[order[i]]
        slot.order[i] = order[i] if slot.weights[i] != 0 else stand_in
    return slot.order


cdef bint losses(const Plan *p, const Slot *slot, Py_ssize_t step, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Losses and output deltas of some rows of a slot; False if a loss is not finite."""
    cdef const Node *last = &p.nodes[p.n_nodes - 1]
    cdef Py_ssize_t at = first * last.ld * p.kernels.item, batch = batch_of(p, step), i
    cdef double total = 0
    p.kernels.loss_delta(slot.deltas[p.n_nodes - 1] + at, slot.row_loss + first, slot.correct + first if p.counts_correct else NULL,
                         slot.outputs[p.n_nodes - 1] + at, saved_slope(last, slot.slopes[p.n_nodes - 1], at),
                         slot.target + at, rows, last.n_out, last.ld, p.loss, last.activation, 1 if p.sums else 1.0 / batch, p.parameter,
                         p.targets.labels != NULL)
    if p.weights != NULL:
        p.kernels.weigh_rows(slot.deltas[p.n_nodes - 1] + at, slot.row_loss + first, slot.weights + first, rows, last.n_out,
                             last.ld, 1 if p.by_rows or p.sums else batch, 1 if p.by_rows or p.sums else p.weight_sums[step])
    for i in range(first, first + rows):
        total += slot.row_loss[i]
    # a gradient that the user asked for is returned, finite or not
    return isfinite(total) or p.update.rule == FBP_GRADIENT


cdef void add_losses(Plan *p, const Slot *slot, Py_ssize_t rows) noexcept nogil:
    """Add the losses of a slot's rows, and the weights of the correct ones, to the sums of the epoch."""
    cdef Py_ssize_t i
    for i in range(rows):
        p.loss_sum += slot.row_loss[i]
    for i in range(rows if p.l2_weight > 0 else 0):
        p.step_loss += slot.row_loss[i]
    if p.counts_correct and p.weights != NULL:
        for i in range(rows):
            p.correct_sum += slot.weights[i] * slot.correct[i]
    elif p.counts_correct:
        for i in range(rows):
            p.correct_sum += slot.correct[i]


cdef void add_weights(Plan *p, Py_ssize_t step) noexcept nogil:
    """Add the weights of a step's rows to their sum in the epoch."""
    p.weight_sum += batch_of(p, step) if p.weights == NULL else p.weight_sums[step]


cdef void take_snapshot(Plan *p, int thread, int n_threads) noexcept nogil:
    """Copy this thread's share of parameters and state before the first update of a call.

    One copy is enough only if it is made between loss and update: until the loss is known to be finite, the copy of the epoch
    before is still needed.
    """
    cdef Py_ssize_t first = p.bytes * thread // n_threads, size = p.bytes * (thread + 1) // n_threads - first
    if p.snapshot == NULL:
        return
    snapshot_bytes(p, first, p.arena + first, fbp_state_at(p.state, first), size)
    if n_threads > 1:
        barrier_wait(&p.barrier, n_threads)


cdef void snapshot_bytes(Plan *p, Py_ssize_t at, const char *weight, fbp_state state, Py_ssize_t size) noexcept nogil:
    """Copy `size` bytes of parameters, at offset `at` of the arena, and their state into the snapshot."""
    cdef char *copy = p.snapshot + at
    memcpy(copy, weight, size)
    if state.m != NULL:
        copy += p.bytes
        memcpy(copy, state.m, size)
    if state.v != NULL:
        memcpy(copy + p.bytes, state.v, size)


cdef void correct_means(fbp_update *update, int64_t t) noexcept nogil:
    """Bias correction of Adam's means in step t: each mean is divided by 1 - decay^t.

    Powers by multiplication alone have the same bits on any machine, however steps are grouped into calls.
    """
    update.step_correction = 1 / (1 - power(update.momentum, t))
    update.root_correction = 1 / sqrt(1 - power(update.square_decay, t))


cdef void set_group(fbp_update *update, const Plan *p, const Node *node, Py_ssize_t step) noexcept nogil:
    """Apply a node's factors, and correct Adam's means by the steps that its own state has seen."""
    update.learning_rate *= node.rate_factor
    update.l1 *= node.decay_factor
    update.l2 *= node.decay_factor
    update.weight_decay *= node.decay_factor
    if node.missed and update.rule == FBP_ADAM:
        correct_means(update, p.age + step + 1 - node.missed)


cdef double power(double base, int64_t exponent) noexcept nogil:
    cdef double result = 1
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
