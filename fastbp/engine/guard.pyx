"""Whether the update of a step is known to be finite before it is made, so that no copy of the weights is needed.

The gradient of a weight is at most rows * X * D, with the largest input X and the largest delta D of its node. With bounds on what
the optimizer remembers that bounds the change of a weight. No finite weight becomes infinite by a change of less than half an ulp of
the largest number. Most steps are below these bounds by many orders of magnitude; for the others the weights are copied, and looked
at after the update.
"""

from fastbp.engine.forward cimport DENSE, Node
from fastbp.engine.plan cimport SPARSE, Slot, batch_of, begin_update, row_blocks, slot_of, sparse_of
from fastbp.engine.runtime cimport FBP_ADAGRAD, FBP_ADAM, FBP_MOMENTUM, FBP_NESTEROV, FBP_RMSPROP, FBP_SGD, fbp_put_word, fbp_update

cdef struct Bounds:
    double change               # of a weight in a step
    double gradient             # whose square the optimizer may remember
    double added                # the same, where squares are added up: 10^11 of them are below `squares`
    double mean                 # a velocity or a mean
    double squares

cdef Bounds FLOAT32 = Bounds(1e30, 1e18, 1e13, 1e21, 1e37)
cdef Bounds FLOAT64 = Bounds(1e290, 1e140, 1e135, 1e145, 1e300)


cdef inline Bounds bounds_of(const Plan *p) noexcept nogil:
    return FLOAT32 if p.kernels.item == 4 else FLOAT64


cdef bint state_is_small(const Plan *p) noexcept nogil:
    """Whether what the optimizer remembers is within the bounds, where steps that are `proved` leave it."""
    cdef Bounds most = bounds_of(p)
    cdef Py_ssize_t n = p.bytes // <Py_ssize_t>p.kernels.item
    if p.state.m != NULL and not p.kernels.largest(p.state.m, n) <= most.mean:
        return False
    return p.state.v == NULL or p.kernels.largest(p.state.v, n) <= most.squares


cdef bint below_bounds(const Plan *p, Py_ssize_t step, double gradient, double weight) noexcept nogil:
    """Whether an update is within the bounds, by gradients and, if they are penalised, weights of at most these sizes."""
    cdef Bounds most = bounds_of(p)
    cdef fbp_update u = p.update
    cdef double rate = 1, decay = 1
    cdef Py_ssize_t l
    begin_update(&u, p, step)
    for l in range(p.n_nodes):
        rate, decay = max(rate, p.nodes[l].rate_factor), max(decay, p.nodes[l].decay_factor)
        if p.nodes[l].missed:
            return False
    rate *= u.learning_rate
    gradient += decay * (u.l1 + 2 * u.l2 * weight)
    if not rate * decay * u.weight_decay <= 1:
        return False
    if u.rule == FBP_SGD:
        return rate * gradient <= most.change
    if u.rule == FBP_MOMENTUM or u.rule == FBP_NESTEROV:
        return gradient <= most.mean * (1 - u.momentum) and rate * 2 * most.mean <= most.change
    if u.rule == FBP_ADAGRAD:
        return gradient <= most.added and rate * gradient / u.eps <= most.change
    if u.rule == FBP_RMSPROP:
        return gradient <= most.gradient and rate * gradient / u.eps <= most.change
    if u.rule == FBP_ADAM:
        return gradient <= most.gradient and rate * u.step_correction * most.mean / u.eps <= most.change
    return False


cdef double largest_weight(const Plan *p, const Node *node) noexcept nogil:
    return p.kernels.largest(p.arena + node.weight, node.n_in * node.ld)


cdef double largest_penalised(const Plan *p) noexcept nogil:
    """The largest parameter, if the penalty on its square counts; asked before a call's first step, while no thread writes any."""
    return p.kernels.largest(p.arena, p.bytes // <Py_ssize_t>p.kernels.item) if p.update.l2 > 0 else 0


cdef bint proved(Worker *w, Py_ssize_t step) noexcept nogil:
    """Whether the update of a step whose deltas are all known is finite; looked at once by each thread."""
    cdef Plan *p = w.plan
    cdef const Node *node
    cdef const Slot *slot
    cdef const char *inputs
    cdef Py_ssize_t l, b, rows, batch = batch_of(p, step)
    cdef double gradient = 0, x, delta
    if not p.guards or w.proved >= 0:
        return p.guards and w.proved > 0
    for l in range(p.n_nodes):
        node = &p.nodes[l]
        if node.op != DENSE or node.frozen:
            continue
        x = delta = 0
        for b in range(row_blocks(p, step)):
            slot, rows = slot_of(p, b), min(p.rows, batch - b * p.rows)
            inputs = slot.outputs[node.source] if node.source >= 0 else slot.inputs
            if node.source < 0 and w.gathered == step:
                inputs = w.slot.inputs
            # a sum, so that NaN is not lost
            x += p.kernels.largest(inputs, sparse_of(p, slot).start[rows] if node.source < 0 and p.regime == SPARSE
                                   else rows * node.ld_in)
            delta += p.kernels.largest(slot.deltas[l], rows * node.ld)
        gradient += batch * (1 + x) * delta
    w.proved = below_bounds(p, step, gradient, p.largest_penalised)
    if w.proved:
        fbp_put_word(&p.proved, 1)
    return w.proved > 0


cdef bint stream_proved(const Plan *p, Py_ssize_t step) noexcept nogil:
    """The same in the streaming regime, in which a delta is known only when the weights above are updated.

    It is at most the sum of the products of the delta above with the weights, times a slope of at most `steepest`.
    """
    cdef const Slot *slot = p.slots
    cdef const Node *node
    cdef Py_ssize_t l, batch = batch_of(p, step)
    cdef double gradient = 0, steepest, delta
    if not p.guards:
        return False
    delta = p.kernels.largest(slot.deltas[p.n_nodes - 1], batch * p.nodes[p.n_nodes - 1].ld)
    for l in range(p.n_nodes - 1, -1, -1):
        node = &p.nodes[l]
        gradient += batch * (1 + p.kernels.largest(slot.outputs[l - 1] if l else slot.inputs, batch * node.ld_in)) * delta
        if l:
            steepest = 2 * (1 + abs(p.nodes[l - 1].activation.parameter)) / (1 - p.nodes[l - 1].dropout)
            delta *= node.n_out * largest_weight(p, node) * steepest
    return below_bounds(p, step, gradient, p.largest_penalised)
