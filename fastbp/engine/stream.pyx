"""The streaming regime, for batches of up to FBP_FOLD_ROWS rows: the cost is reading the weights, so each is read twice a
step, once forward and once backward, and a team splits columns forward and weight rows backward."""

from libc.stdint cimport int32_t

from fastbp.engine.forward cimport Dropout, Layer, drop, kept_slope, up_to
from fastbp.engine.runtime cimport FBP_LINE_BYTES, FBP_RELU, FBP_SOFTMAX, barrier_wait, fbp_state_at, fbp_update
from fastbp.engine.plan cimport Plan, Slot, Streamed, add_losses, batch_of, begin_update, dropout_of, gather, keep, losses


cdef enum:
    BYTES_OF_A_SCAN = 1 << 11   # a weight of so many bytes is passed over sooner than its inputs are looked at


cdef inline void sync(Plan *p, int n_threads) noexcept nogil:
    if n_threads > 1:
        barrier_wait(&p.barrier)


cdef inline Py_ssize_t share(Py_ssize_t total, int thread, int n_threads) noexcept nogil:
    """Where a thread's part begins; to divide costs more than the rest of a small layer's call."""
    return total * thread // n_threads if n_threads > 1 else total * thread


cdef void prepare(Plan *p, Streamed *layers, int32_t *lists, int thread, int n_threads) noexcept nogil:
    """What is the same in every step."""
    cdef Py_ssize_t item = p.kernels.item, line = FBP_LINE_BYTES // item, l, lines, end
    cdef const Slot *slot = p.slots
    cdef const Layer *layer
    cdef Streamed *s
    for l in range(p.n_layers):
        s, layer = &layers[l], &p.layers[l]
        s.layer, s.l, s.list = layer, l, lists
        lists += layer.n_in + 2
        # a ReLU that gives 0 has slope 0: its delta is 0 as well, and the whole weight row can be left out
        s.scans = (p.skip_zeros and (l == 0 or p.layers[l - 1].activation.code == FBP_RELU)
                   and layer.n_in * layer.ld * item > BYTES_OF_A_SCAN)
        list_all(s)
        lines = (layer.n_out + line - 1) // line
        s.first, end = share(lines, thread, n_threads) * line, min(layer.n_out, share(lines, thread + 1, n_threads) * line)
        if layer.activation.code == FBP_SOFTMAX:  # it needs whole rows
            s.first, end = 0, layer.n_out if thread == 0 else 0
        s.columns = end - s.first
        s.activation = up_to(layer, p.to_logits and l == p.n_layers - 1)
        s.x = slot.outputs[l - 1] if l else slot.inputs
        s.y, s.slope = slot.outputs[l] + s.first * item, slot.slopes[l] + s.first * item
        s.kept = kept_slope(layer, slot.slopes[l], s.first * item)
        s.weight, s.bias = p.arena + layer.weight, p.arena + layer.bias
        s.weight_state, s.bias_state = fbp_state_at(p.state, layer.weight), fbp_state_at(p.state, layer.bias)
        s.dx, s.dy = slot.deltas[l - 1] if l else NULL, slot.deltas[l]


cdef void list_all(Streamed *s) noexcept nogil:
    cdef int32_t k
    s.list[0] = <int32_t>s.layer.n_in
    for k in range(s.list[0]):
        s.list[1 + k] = k


cdef void forward_columns(Plan *p, const Streamed *s, Py_ssize_t batch, const Dropout *dropout) noexcept nogil:
    """This thread's share of the columns of one layer, in whole 64-byte lines."""
    cdef const Layer *layer = s.layer
    cdef Py_ssize_t at = s.first * <Py_ssize_t>p.kernels.item
    if s.columns <= 0:
        return
    p.kernels.stream_forward(s.y, s.kept, s.x, s.weight + at, s.bias + at, s.list + 1 if s.list[0] < layer.n_in else NULL,
                             s.list[0], batch, s.columns, layer.ld, layer.ld_in, layer.ld, s.activation)
    drop(s.y, s.slope, p.kernels, layer, s.l, 0, batch, s.first, s.columns, dropout)


cdef void backward_rows(Plan *p, const Streamed *s, Py_ssize_t batch, const fbp_update *update, int thread,
                        int n_threads) noexcept nogil:
    """This thread's share of the listed weight rows of one layer: delta below, update. The first thread has the bias."""
    cdef Py_ssize_t first = share(s.list[0], thread, n_threads), end = share(s.list[0], thread + 1, n_threads)
    p.kernels.stream_backward(s.dx, s.weight, s.bias if thread == 0 else NULL, s.weight_state, s.bias_state, s.x, s.dy,
                              s.list + 1 + first, end - first, batch, s.layer.n_in, s.layer.n_out, s.layer.ld, s.layer.ld_in,
                              s.layer.ld, update)


cdef void stream_worker(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the run."""
    cdef Streamed *layers = <Streamed *>(p.scratch + thread * p.scratch_bytes)
    cdef Streamed *s
    cdef const Slot *slot = p.slots
    cdef fbp_update update = p.update
    cdef Dropout dropout
    cdef Py_ssize_t step, batch, l
    prepare(p, layers, <int32_t *>(layers + p.n_layers), thread, n_threads)
    for step in range(p.n_steps):
        batch = batch_of(p, step)
        begin_update(&update, p, step)
        if p.drops:
            dropout = dropout_of(p, step)
        if thread == 0:
            gather(p, slot, (p.first_step + step) * p.batch, batch)
        sync(p, n_threads)
        for l in range(p.n_layers):
            s = &layers[l]
            if s.scans:
                s.list[0] = <int32_t>p.kernels.active_rows(s.list + 1, s.x, batch, s.layer.n_in, s.layer.ld_in)
            forward_columns(p, s, batch, &dropout if p.drops else NULL)
            sync(p, n_threads)
        if thread == 0 and not losses(p, slot, 0, batch, batch):
            p.failed = step
        sync(p, n_threads)
        if p.failed == step:
            break
        if step == 0:
            keep(p, thread, n_threads)
        for l in range(p.n_layers - 1, -1, -1):
            backward_rows(p, &layers[l], batch, &update, thread, n_threads)
            sync(p, n_threads)
            if l:
                if thread == 0:
                    p.kernels.activation_delta(slot.deltas[l - 1], slot.slopes[l - 1], batch, p.layers[l].n_in,
                                               p.layers[l].ld_in, p.layers[l - 1].slope)
                sync(p, n_threads)
        if thread == 0:
            add_losses(p, slot, batch)
