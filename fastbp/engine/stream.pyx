"""The streaming regime, for batches of up to FBP_FOLD_ROWS rows, where the cost is reading the weights.

Each weight is read twice a step, once forward and once backward. A team splits columns forward and weight rows backward.
"""

from libc.stdint cimport int32_t

from fastbp.engine.forward cimport Dropout, Node, drop, saved_slope, up_to
from fastbp.engine.guard cimport stream_proved
from fastbp.engine.limits cimport add_objective, note_penalty
from fastbp.engine.runtime cimport FBP_LINE_BYTES, FBP_RELU, FBP_SOFTMAX, barrier_wait, fbp_state_at, fbp_update
from fastbp.engine.plan cimport (BAD_LABEL, FINE, NOT_FINITE, Plan, Slot, Streamed, add_losses, add_weights, batch_of,
                                 begin_update, dropout_of, gather, losses, take_snapshot, update_of_node)


cdef enum:
    BYTES_OF_A_SCAN = 1 << 11   # reading a smaller weight is faster than scanning its inputs for zeros


cdef inline void sync(Plan *p, int n_threads) noexcept nogil:
    if n_threads > 1:
        barrier_wait(&p.barrier, n_threads)


cdef inline Py_ssize_t share(Py_ssize_t total, int thread, int n_threads) noexcept nogil:
    """The beginning of a thread's part. One thread does not divide: that takes longer than the rest of a small layer's call."""
    return total * thread // n_threads if n_threads > 1 else total * thread


cdef void prepare(Plan *p, Streamed *nodes, int32_t *lists, int thread, int n_threads) noexcept nogil:
    """Set the pointers, shares and lists that are the same in every step."""
    cdef Py_ssize_t item = p.kernels.item, line = FBP_LINE_BYTES // item, l, lines, end
    cdef const Slot *slot = p.slots
    cdef const Node *node
    cdef Streamed *s
    for l in range(p.n_nodes):
        s, node = &nodes[l], &p.nodes[l]
        s.node, s.l, s.list = node, l, lists
        lists += node.n_in + 2
        # a ReLU that gives 0 has slope 0: its delta is 0 as well, and the whole weight row can be left out
        s.scans = (p.skip_zeros and (l == 0 or p.nodes[l - 1].activation.code == FBP_RELU)
                   and node.n_in * node.ld * item > BYTES_OF_A_SCAN)
        list_all(s)
        lines = (node.n_out + line - 1) // line
        s.first, end = share(lines, thread, n_threads) * line, min(node.n_out, share(lines, thread + 1, n_threads) * line)
        if node.activation.code == FBP_SOFTMAX:  # softmax needs whole rows
            s.first, end = 0, node.n_out if thread == 0 else 0
        s.columns = end - s.first
        s.activation = up_to(node, p.to_logits and l == p.n_nodes - 1)
        s.x = slot.outputs[l - 1] if l else slot.inputs
        s.y, s.slope = slot.outputs[l] + s.first * item, slot.slopes[l] + s.first * item
        s.saved_slope = saved_slope(node, slot.slopes[l], s.first * item)
        s.weight, s.bias = p.arena + node.weight, p.arena + node.bias
        s.weight_state, s.bias_state = fbp_state_at(p.state, node.weight), fbp_state_at(p.state, node.bias)
        s.dx, s.dy = slot.deltas[l - 1] if l else NULL, slot.deltas[l]


cdef void list_all(Streamed *s) noexcept nogil:
    cdef int32_t k
    s.list[0] = <int32_t>s.node.n_in
    for k in range(s.list[0]):
        s.list[1 + k] = k


cdef void forward_columns(Plan *p, const Streamed *s, Py_ssize_t batch, const Dropout *dropout) noexcept nogil:
    """This thread's share of the columns of one layer, in whole 64-byte lines."""
    cdef const Node *node = s.node
    cdef Py_ssize_t at = s.first * <Py_ssize_t>p.kernels.item
    if s.columns <= 0:
        return
    p.kernels.stream_forward(s.y, s.saved_slope, s.x, s.weight + at, s.bias + at, s.list + 1 if s.list[0] < node.n_in else NULL,
                             s.list[0], batch, s.columns, node.ld, node.ld_in, node.ld, s.activation)
    drop(s.y, s.slope, p.kernels, node, s.l, 0, batch, s.first, s.columns, dropout)


cdef void backward_rows(Plan *p, const Streamed *s, Py_ssize_t batch, const fbp_update *update, int thread,
                        int n_threads) noexcept nogil:
    """This thread's share of the listed weight rows of one layer: delta below, then update. Thread 0 updates the bias."""
    cdef Py_ssize_t first = share(s.list[0], thread, n_threads), end = share(s.list[0], thread + 1, n_threads)
    p.kernels.stream_backward(s.dx, s.weight, s.bias if thread == 0 else NULL, s.weight_state, s.bias_state, s.x, s.dy,
                              s.list + 1 + first, end - first, batch, s.node.n_in, s.node.n_out, s.node.ld, s.node.ld_in,
                              s.node.ld, update)


cdef void stream_worker(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the run."""
    cdef Streamed *nodes = <Streamed *>(p.scratch + thread * p.scratch_bytes)
    cdef Streamed *s
    cdef const Slot *slot = p.slots
    cdef fbp_update update = p.update, room
    cdef Dropout dropout
    cdef Py_ssize_t step, batch, l, i
    prepare(p, nodes, <int32_t *>(nodes + p.n_nodes), thread, n_threads)
    for step in range(p.n_steps):
        batch = batch_of(p, step)
        begin_update(&update, p, step)
        if p.drops:
            dropout = dropout_of(p, step)
        if thread == 0 and not gather(p, slot, step, 0, batch):
            p.fault = BAD_LABEL
        sync(p, n_threads)
        for l in range(p.n_nodes):
            s = &nodes[l]
            if s.scans:
                s.list[0] = <int32_t>p.kernels.active_rows(s.list + 1, s.x, batch, s.node.n_in, s.node.ld_in)
            forward_columns(p, s, batch, &dropout if p.drops else NULL)
            sync(p, n_threads)
        if thread == 0 and not losses(p, slot, step, 0, batch) and p.fault == FINE:
            p.fault = NOT_FINITE
        if thread == 0 and p.fault != FINE:
            p.failed = step
        elif thread == 0 and step == 0 and p.snapshot != NULL:
            p.proved = stream_proved(p, step)
        sync(p, n_threads)
        if p.failed == step:
            break
        if step == 0 and not p.proved:
            take_snapshot(p, thread, n_threads)
        for l in range(p.n_nodes - 1, -1, -1):
            backward_rows(p, &nodes[l], batch, update_of_node(&room, &update, p, nodes[l].node, step), thread, n_threads)
            sync(p, n_threads)
            if l:
                if thread == 0:
                    p.kernels.activation_delta(slot.deltas[l - 1], slot.slopes[l - 1], batch, p.nodes[l].n_in,
                                               p.nodes[l].ld_in, p.nodes[l - 1].slope)
                sync(p, n_threads)
        if p.penalty_squares != NULL:
            for i in range(share(p.n_blocks, thread, n_threads), share(p.n_blocks, thread + 1, n_threads)):
                note_penalty(p, i, step + 1)
        if thread == 0:
            add_losses(p, slot, batch)
            add_weights(p, step)
            if p.l2_weight > 0:
                add_objective(p, step)
