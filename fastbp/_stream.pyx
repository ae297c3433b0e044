"""The streaming regime, for batches of up to FBP_FOLD_ROWS rows: the cost is reading the weights, so each is read twice a
step, once forward and once backward, and a team splits columns forward and weight rows backward."""

from libc.stdint cimport int32_t

from fastbp._forward cimport Dropout, Layer, drop, kept_slope, up_to
from fastbp._runtime cimport FBP_LINE_BYTES, FBP_RELU, FBP_SOFTMAX, barrier_wait, fbp_bias_update, fbp_state_at, fbp_update
from fastbp._steps cimport Plan, Slot, add_losses, batch_of, begin_update, dropout_of, gather, keep, losses


cdef enum:
    BYTES_OF_A_SCAN = 1 << 11   # a weight of so many bytes is passed over sooner than its inputs are looked at


cdef inline void sync(Plan *p, int n_threads) noexcept nogil:
    if n_threads > 1:
        barrier_wait(&p.barrier)


cdef void forward_columns(Plan *p, const Layer *layer, Py_ssize_t l, const int32_t *index, Py_ssize_t count,
                          Py_ssize_t batch, const Dropout *dropout, int thread, int n_threads) noexcept nogil:
    """This thread's share of the columns of one layer, in whole 64-byte lines; softmax needs whole rows."""
    cdef Py_ssize_t item = p.kernels.item, line = FBP_LINE_BYTES // item
    cdef Py_ssize_t lines = (layer.n_out + line - 1) // line
    cdef Py_ssize_t first = lines * thread // n_threads * line, end = lines * (thread + 1) // n_threads * line
    if layer.activation.code == FBP_SOFTMAX:
        first = 0
        end = layer.n_out if thread == 0 else 0
    end = min(end, layer.n_out)
    cdef const Slot *slot = p.slots
    if first < end:
        p.kernels.stream_forward(slot.outputs[l] + first * item, kept_slope(layer, slot.slopes[l], first * item),
                                 slot.outputs[l - 1] if l else slot.inputs,
                                 p.arena + layer.weight + first * item, p.arena + layer.bias + first * item,
                                 index if count < layer.n_in else NULL, count, batch, end - first, layer.ld, layer.ld_in, layer.ld,
                                 up_to(layer, p.to_logits and l == p.n_layers - 1))
        drop(slot.outputs[l] + first * item, slot.slopes[l] + first * item, p.kernels, layer, l, 0, batch, first, end - first,
             dropout)


cdef void backward_rows(Plan *p, const Layer *layer, Py_ssize_t l, const int32_t *index, Py_ssize_t count,
                        Py_ssize_t batch, const fbp_update *update, const fbp_update *of_bias, int thread,
                        int n_threads) noexcept nogil:
    """This thread's share of the listed weight rows of one layer: delta below, update."""
    cdef Py_ssize_t first = count * thread // n_threads, end = count * (thread + 1) // n_threads
    cdef const Slot *slot = p.slots
    p.kernels.stream_backward(slot.deltas[l - 1] if l else NULL, p.updated + layer.weight,
                              fbp_state_at(p.state, layer.weight),
                              slot.outputs[l - 1] if l else slot.inputs, slot.deltas[l], index + first, end - first, batch,
                              layer.n_out, layer.ld, layer.ld_in, layer.ld, update)
    if thread == 0:
        p.kernels.stream_bias(p.updated + layer.bias, fbp_state_at(p.state, layer.bias), slot.deltas[l], batch, layer.n_out,
                              layer.ld, of_bias)


cdef void list_rows(Plan *p, int32_t *index, Py_ssize_t l, Py_ssize_t batch, Py_ssize_t step) noexcept nogil:
    """The number of weight rows of a layer that take part in a step, then the rows."""
    cdef const Layer *layer = &p.layers[l]
    cdef int32_t k
    # a ReLU that gives 0 has slope 0: its delta is 0 as well, and the whole weight row can be left out
    if (p.skip_zeros and (l == 0 or p.layers[l - 1].activation.code == FBP_RELU)
            and layer.n_in * layer.ld * <Py_ssize_t>p.kernels.item > BYTES_OF_A_SCAN):
        index[0] = <int32_t>p.kernels.active_rows(index + 1, p.slots.outputs[l - 1] if l else p.slots.inputs, batch,
                                                  layer.n_in, layer.ld_in)
    elif step == 0:
        index[0] = <int32_t>layer.n_in
        for k in range(index[0]):
            index[1 + k] = k


cdef void stream_worker(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the run."""
    cdef int32_t *lists = <int32_t *>(p.scratch + thread * p.scratch_bytes)
    cdef int32_t *index
    cdef const Layer *layer
    cdef const Slot *slot = p.slots
    cdef fbp_update update = p.update, of_bias = fbp_bias_update(&p.update)
    cdef Dropout dropout
    cdef Py_ssize_t step, batch, l
    for step in range(p.n_steps):
        batch = batch_of(p, step)
        begin_update(&update, p, step)
        begin_update(&of_bias, p, step)
        if p.drops:
            dropout = dropout_of(p, step)
        if thread == 0:
            gather(p, slot, (p.first_step + step) * p.batch, batch)
        sync(p, n_threads)
        index = lists
        for l in range(p.n_layers):
            layer = &p.layers[l]
            list_rows(p, index, l, batch, step)
            forward_columns(p, layer, l, index + 1, index[0], batch, &dropout if p.drops else NULL, thread, n_threads)
            sync(p, n_threads)
            index += 2 + layer.n_in
        if thread == 0 and not losses(p, slot, 0, batch, batch):
            p.failed = step
        sync(p, n_threads)
        if p.failed == step:
            break
        if step == 0:
            keep(p, thread, n_threads)
        for l in range(p.n_layers - 1, -1, -1):
            layer = &p.layers[l]
            index -= 2 + layer.n_in
            backward_rows(p, layer, l, index + 1, index[0], batch, &update, &of_bias, thread, n_threads)
            sync(p, n_threads)
            if l:
                if thread == 0:
                    p.kernels.activation_delta(slot.deltas[l - 1], slot.slopes[l - 1], batch, layer.n_in, layer.ld_in,
                                               p.layers[l - 1].slope)
                sync(p, n_threads)
        if thread == 0:
            add_losses(p, slot, batch)
