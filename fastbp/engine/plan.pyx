"""What a step of any regime does: gather rows, their losses and output deltas, the sums for the history."""

from libc.math cimport isfinite, sqrt
from libc.string cimport memcpy

from fastbp.engine.forward cimport Dropout, kept_slope
from fastbp.engine.model cimport gather_targets
from fastbp.engine.runtime cimport FBP_GRADIENT, barrier_wait, fbp_state_at


cdef Py_ssize_t batch_of(const Plan *p, Py_ssize_t step) noexcept nogil:
    """Rows of a step: the last one of an epoch may have fewer."""
    return min(p.batch, p.n - (p.first_step + step) * p.batch)


cdef Dropout dropout_of(const Plan *p, Py_ssize_t step) noexcept nogil:
    return Dropout(seed=p.dropout.seed, step=p.dropout.step + step)


cdef Py_ssize_t row_blocks(const Plan *p, Py_ssize_t step) noexcept nogil:
    return (batch_of(p, step) + p.rows - 1) // p.rows


cdef bint gather(const Plan *p, const Slot *slot, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Inputs, targets and weights of `rows` rows of the order, from `first` on; False if a label is no class."""
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    cdef Py_ssize_t i
    p.kernels.gather_rows(slot.inputs, p.x, p.order, first, rows, p.layers[0].n_in, p.layers[0].ld_in)
    cdef bint in_range = gather_targets(slot.target, p.kernels, &p.targets, p.order, first, rows, last.n_out, last.ld)
    if p.weights != NULL:
        for i in range(rows):
            slot.weights[i] = p.weights[p.order[first + i]]
    return in_range


cdef bint losses(const Plan *p, const Slot *slot, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t batch) noexcept nogil:
    """Losses and output deltas of some rows of a slot; False if a loss is not finite."""
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    cdef Py_ssize_t at = first * last.ld * p.kernels.item, i
    cdef double total = 0
    p.kernels.loss_delta(slot.deltas[p.n_layers - 1] + at, slot.row_loss + first, slot.hit + first if p.count_hits else NULL,
                         slot.outputs[p.n_layers - 1] + at, kept_slope(last, slot.slopes[p.n_layers - 1], at),
                         slot.target + at, rows, last.n_out, last.ld, p.loss, last.activation, 1.0 / batch, p.parameter)
    if p.weights != NULL:
        p.kernels.weigh_rows(slot.deltas[p.n_layers - 1] + at, slot.row_loss + first, slot.weights + first, rows, last.n_out,
                             last.ld)
    for i in range(first, first + rows):
        total += slot.row_loss[i]
    # a gradient that was asked for is given, finite or not
    return isfinite(total) or p.update.rule == FBP_GRADIENT


cdef void add_losses(Plan *p, const Slot *slot, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        p.loss_sum += slot.row_loss[i]
    if p.count_hits:
        for i in range(rows):
            p.hits += slot.hit[i]


cdef void keep(Plan *p, int thread, int n_threads) noexcept nogil:
    """This thread's share of a copy of the state before the step, whose loss is known to be finite.

    Only here is one copy enough: until now it held the state to go back to, and the update comes next.
    """
    cdef Py_ssize_t first = p.bytes * thread // n_threads, size = p.bytes * (thread + 1) // n_threads - first
    if p.kept == NULL:
        return
    keep_bytes(p, first, p.arena + first, fbp_state_at(p.state, first), size)
    if n_threads > 1:
        barrier_wait(&p.barrier)


cdef void keep_bytes(Plan *p, Py_ssize_t at, const char *weight, fbp_state state, Py_ssize_t size) noexcept nogil:
    """A copy of some parameters, which have their place `at` bytes into the arena, and of their state."""
    cdef char *kept = p.kept + at
    memcpy(kept, weight, size)
    if state.m != NULL:
        kept += p.bytes
        memcpy(kept, state.m, size)
    if state.v != NULL:
        memcpy(kept + p.bytes, state.v, size)


cdef void correct_means(fbp_update *update, int64_t t) noexcept nogil:
    """What makes up for Adam's means having begun at zero t - 1 steps ago: each is divided by 1 - decay^t.

    Powers by multiplications alone are the same on any machine, and for any number of steps in a call.
    """
    update.step_correction = 1 / (1 - power(update.momentum, t))
    update.root_correction = 1 / sqrt(1 - power(update.square_decay, t))


cdef double power(double base, int64_t exponent) noexcept nogil:
    cdef double result = 1
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
