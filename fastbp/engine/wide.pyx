"""The wide regime, for few rows: threads own columns of each layer, so that their weights stay in their caches.

A phase for each layer on the way up, one for the last layer's rows and their losses, one for each layer on the way down, then the
update. What an item computes is in the thread's own slot until it is published in the slot of all, the first one; every thread
gathers all rows of the batch for itself.
"""

from libc.string cimport memcpy

from fastbp.engine.forward cimport Dropout, Layer, drop, kept_slope, up_to
from fastbp.engine.places cimport Range, own_ld, part
from fastbp.engine.runtime cimport FBP_LEAST_PART, FBP_LINE_BYTES
from fastbp.engine.plan cimport FORWARD, LAST, Plan, Slot, batch_of, dropout_of, gather, losses

cdef void gather_own(Worker *w, Py_ssize_t step) noexcept nogil:
    """All rows of a step into the thread's own slot, once."""
    if w.gathered != step:
        gather(w.plan, w.slot, (w.plan.first_step + step) * w.plan.batch, batch_of(w.plan, step))
        w.gathered = step


cdef bint compute_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Item i of n of a phase, in the own slot; False if a loss is not finite."""
    cdef Plan *p = w.plan
    cdef const Layer *layer = &p.layers[l]
    cdef Py_ssize_t batch = batch_of(p, step), item = p.kernels.item, line = FBP_LINE_BYTES // item, at, ld
    cdef const Slot *shared = p.slots
    cdef const char *x = shared.outputs[l - 1] if l else w.slot.inputs
    cdef const char *weight
    cdef Dropout dropout = dropout_of(p, step)
    cdef Range r
    if kind == FORWARD:
        r = part(layer.n_out, line, i, n)
        at = r.first * item
        weight, ld = p.arena + layer.weight + at, layer.ld
        if l == 0 and p.own != NULL:
            weight, ld = p.own + at * layer.n_in, own_ld(p, r)
        p.kernels.dense_forward(w.slot.outputs[l] + at, kept_slope(layer, w.slot.slopes[l], at), x, weight,
                                p.arena + layer.bias + at, batch, layer.n_in, r.n, layer.ld, layer.ld_in, ld, layer.activation)
        drop(w.slot.outputs[l] + at, w.slot.slopes[l] + at, p.kernels, layer, l, 0, batch, r.first, r.n,
             &dropout if p.drops else NULL)
    elif kind == LAST:
        r = part(batch, FBP_LEAST_PART, i, n)
        at = r.first * layer.ld * item
        p.kernels.dense_forward(w.slot.outputs[l] + at, kept_slope(layer, w.slot.slopes[l], at),
                                x + r.first * layer.ld_in * item, p.arena + layer.weight, p.arena + layer.bias, r.n,
                                layer.n_in, layer.n_out, layer.ld, layer.ld_in, layer.ld, up_to(layer, p.to_logits))
        return losses(p, w.slot, r.first, r.n, batch)
    else:
        r = part(layer.n_in, line, i, n)
        at = r.first * item
        p.kernels.dense_delta(w.slot.deltas[l - 1] + at, shared.deltas[l], p.arena + layer.weight + r.first * layer.ld * item,
                              shared.slopes[l - 1] + at, w.scratch, batch, batch, r.n, layer.n_out, layer.ld_in, layer.ld,
                              layer.ld, p.layers[l - 1].slope)
    return True


cdef void publish_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """What compute_part left in the own slot, to the slot of all."""
    cdef Plan *p = w.plan
    cdef const Layer *layer = &p.layers[l]
    cdef Py_ssize_t batch = batch_of(p, step), item = p.kernels.item, line = FBP_LINE_BYTES // item
    cdef const Slot *shared = p.slots
    cdef Range r
    if kind == FORWARD:
        r = part(layer.n_out, line, i, n)
        copy_columns(shared.outputs[l], w.slot.outputs[l], r, batch, layer.ld, item)
        if shared.slopes[l] != shared.outputs[l]:
            copy_columns(shared.slopes[l], w.slot.slopes[l], r, batch, layer.ld, item)
    elif kind == LAST:
        r = part(batch, FBP_LEAST_PART, i, n)
        memcpy(shared.deltas[l] + r.first * layer.ld * item, w.slot.deltas[l] + r.first * layer.ld * item,
               r.n * layer.ld * item)
        memcpy(shared.row_loss + r.first, w.slot.row_loss + r.first, r.n * sizeof(double))
        memcpy(shared.hit + r.first, w.slot.hit + r.first, r.n)
    else:
        copy_columns(shared.deltas[l - 1], w.slot.deltas[l - 1], part(layer.n_in, line, i, n), batch, layer.ld_in, item)


cdef void copy_columns(char *out, const char *source, Range columns, Py_ssize_t rows, Py_ssize_t ld,
                       Py_ssize_t item) noexcept nogil:
    cdef Py_ssize_t b, at
    for b in range(rows):
        at = (b * ld + columns.first) * item
        memcpy(out + at, source + at, columns.n * item)
