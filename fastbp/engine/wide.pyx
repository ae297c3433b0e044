"""The wide regime, for few rows: threads own columns of each layer, so that their weights stay in their caches.

A phase for each layer on the way up, one for the last layer's rows and their losses, one for each layer on the way down, then the
update. What an item computes is in the thread's own slot until it is published in the slot of all, the first one; every thread
gathers all rows of the batch for itself.
"""

from libc.string cimport memcpy, memset

from fastbp.engine.forward cimport Dropout, Layer, drop, kept_slope, up_to
from fastbp.engine.backward cimport Block, Place
from fastbp.engine.runtime cimport (FBP_LEAST_PART, FBP_LINE_BYTES, fbp_rule_has_m, fbp_rule_has_v, fbp_state,
                                    fbp_state_at)
from fastbp.engine.plan cimport BAD_LABEL, FINE, FORWARD, LAST, NOT_FINITE, WIDE, Slot, batch_of, dropout_of, gather, losses

cdef struct Range:
    Py_ssize_t first, n

cdef inline Range part(Py_ssize_t total, Py_ssize_t quantum, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    # Part i of n of `total`, in whole quanta but for the end.
    cdef Py_ssize_t quanta = (total + quantum - 1) // quantum
    cdef Py_ssize_t first = quanta * i // n * quantum, end = min(total, quanta * (i + 1) // n * quantum)
    return Range(first, end - first)


cdef void gather_own(Worker *w, Py_ssize_t step) noexcept nogil:
    """All rows of a step into the thread's own slot, once."""
    if w.gathered != step:
        w.labels_in_range = gather(w.plan, w.slot, (w.plan.first_step + step) * w.plan.batch, batch_of(w.plan, step))
        w.gathered = step


cdef Fault compute_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Item i of n of a phase, in the thread's own slot."""
    cdef Plan *p = w.plan
    cdef const Layer *layer = &p.layers[l]
    cdef Py_ssize_t batch = batch_of(p, step), item = p.kernels.item, line = FBP_LINE_BYTES // item, at
    cdef const Slot *shared = p.slots
    cdef const char *x = shared.outputs[l - 1] if l else w.slot.inputs
    cdef Place columns
    cdef Dropout dropout = dropout_of(p, step)
    cdef Range r
    if kind == FORWARD:
        r = part(layer.n_out, line, i, n)
        at = r.first * item
        columns = columns_of(p, p.arena, l, r)
        p.kernels.dense_forward(w.slot.outputs[l] + at, kept_slope(layer, w.slot.slopes[l], at), x, columns.weight,
                                p.arena + layer.bias + at, batch, layer.n_in, r.n, layer.ld, layer.ld_in, columns.ld,
                                layer.activation)
        drop(w.slot.outputs[l] + at, w.slot.slopes[l] + at, p.kernels, layer, l, 0, batch, r.first, r.n,
             &dropout if p.drops else NULL)
    elif kind == LAST:
        r = part(batch, FBP_LEAST_PART, i, n)
        at = r.first * layer.ld * item
        columns = columns_of(p, p.arena, l, Range(0, layer.n_out))
        p.kernels.dense_forward(w.slot.outputs[l] + at, kept_slope(layer, w.slot.slopes[l], at),
                                x + r.first * layer.ld_in * item, columns.weight, p.arena + layer.bias, r.n,
                                layer.n_in, layer.n_out, layer.ld, layer.ld_in, columns.ld, up_to(layer, p.to_logits))
        if not w.labels_in_range:
            return BAD_LABEL
        return FINE if losses(p, w.slot, r.first, r.n, batch) else NOT_FINITE
    else:
        r = part(layer.n_in, line, i, n)
        at = r.first * item
        columns = columns_of(p, p.arena, l, Range(0, layer.n_out))
        p.kernels.dense_delta(w.slot.deltas[l - 1] + at, shared.deltas[l], columns.weight + r.first * columns.ld * item,
                              shared.slopes[l - 1] + at, w.scratch, batch, batch, r.n, layer.n_out, layer.ld_in, layer.ld,
                              columns.ld, p.layers[l - 1].slope)
    return FINE


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


cdef Py_ssize_t part_ld(const Plan *p, Range columns) noexcept nogil:
    """Elements between rows of a part."""
    cdef Py_ssize_t line = FBP_LINE_BYTES // p.kernels.item
    return (columns.n + line - 1) // line * line


cdef Py_ssize_t bytes_of_weight(const Plan *p) noexcept nogil:
    return p.layers[0].n_in * part_ld(p, Range(0, p.layers[0].n_out)) * p.kernels.item


cdef Py_ssize_t bytes_apart(const Plan *p) noexcept:
    """Room for all parts and their state; none outside the wide regime."""
    if p.regime != WIDE:
        return 0
    return bytes_of_weight(p) * (1 + fbp_rule_has_m(p.update.rule) + fbp_rule_has_v(p.update.rule))


cdef fbp_state state_apart(const Plan *p) noexcept nogil:
    """The state of all parts."""
    cdef Py_ssize_t bytes = bytes_of_weight(p)
    cdef fbp_state state
    state.m = p.apart + bytes if p.state.m != NULL else NULL
    state.v = p.apart + (bytes if p.state.m == NULL else 2 * bytes) if p.state.v != NULL else NULL
    return state


cdef Place columns_of(const Plan *p, char *arena, Py_ssize_t l, Range columns) noexcept nogil:
    """Where these columns of layer l's weight begin. `arena` is p.arena, to read them, or p.updated, to write them.

    Columns of the first layer are all in one part of p.phases[0], as those of an item or a block are.
    """
    cdef const Layer *layer = &p.layers[l]
    cdef Py_ssize_t item = p.kernels.item, line = FBP_LINE_BYTES // item, i = 0, at
    cdef Range whole
    if l > 0 or p.apart == NULL:
        at = layer.weight + columns.first * item
        return Place(weight=arena + at, state=fbp_state_at(p.state, at), ld=layer.ld)
    whole = part(layer.n_out, line, 0, p.phases[0].n)
    while columns.first >= whole.first + whole.n:
        i += 1
        whole = part(layer.n_out, line, i, p.phases[0].n)
    at = (whole.first * layer.n_in + columns.first - whole.first) * item
    return Place(weight=p.apart + at, state=fbp_state_at(state_apart(p), at), ld=part_ld(p, whole))


cdef Place place_of(const Plan *p, const Block *block) noexcept:
    """Where a block's weights are, to be updated."""
    cdef Place place = columns_of(p, p.updated, block.layer, Range(block.column, block.n))
    cdef Py_ssize_t rows = block.first * place.ld * <Py_ssize_t>p.kernels.item
    return Place(weight=place.weight + rows, state=fbp_state_at(place.state, rows), ld=place.ld)


cdef void copy_parts(const Plan *p, char *arena, char *parts, bint back) noexcept:
    """The first layer's share of an array laid out as the parameters, to parts of columns or back."""
    cdef const Layer *layer = &p.layers[0]
    cdef Py_ssize_t item = p.kernels.item, i, k, row
    cdef Range columns
    cdef char *whole
    for i in range(p.phases[0].n):
        columns = part(layer.n_out, FBP_LINE_BYTES // item, i, p.phases[0].n)
        row = part_ld(p, columns) * item
        whole = arena + layer.weight + columns.first * item
        for k in range(layer.n_in):
            memcpy(whole if back else parts, parts if back else whole, row)
            parts += row
            whole += layer.ld * item


cdef void copy_all(const Plan *p, bint back) noexcept:
    cdef fbp_state state = state_apart(p)
    copy_parts(p, p.arena, p.apart, back)
    if state.m != NULL:
        copy_parts(p, <char *>p.state.m, <char *>state.m, back)
    if state.v != NULL:
        copy_parts(p, <char *>p.state.v, <char *>state.v, back)


cdef void take_places(Plan *p, bint apart, bint spoil) noexcept:
    """Set where every block's weights are; with `apart`, the first layer's in parts, which begin as copies.

    With `spoil` the weights that stay behind in the arena become NaN, so that a test sees it if anybody reads them.
    """
    cdef const Layer *layer = &p.layers[0]
    cdef Py_ssize_t item = p.kernels.item, i
    p.apart = p.room if apart else NULL
    if apart:
        copy_all(p, False)
    if apart and spoil:
        for i in range(layer.n_in):
            memset(p.arena + layer.weight + i * layer.ld * item, 0xFF, part_ld(p, Range(0, layer.n_out)) * item)
    for i in range(p.n_blocks):
        p.places[i] = place_of(p, &p.blocks[i])


cdef void bring_back(Plan *p) noexcept:
    """The arena is again where all weights are."""
    if p.apart != NULL:
        copy_all(p, True)
        p.apart = NULL
