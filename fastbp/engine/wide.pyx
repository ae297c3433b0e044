"""The wide regime, for few rows: threads own columns of each layer, so that the weights stay in the owners' caches.

There is a phase for each layer up, one for the last layer's rows and their losses, one for each layer down, then the update. An
item is computed in the thread's own slot, then published in the shared one, the first. Every thread gathers the whole batch for
itself.

In the arena the columns of two threads lie side by side in each row, and hardware prefetch pulls in the neighbour's lines. Another
core then holds them too, and writing such a line costs its owner 12 times as much (784-128-10, batch 64: 24 instead of 5 to 9
microseconds of a step). So for a longer run of steps the first layer's weight, whose columns no other thread reads, is packed into
one piece for each owner: [part][n_in][columns], then its state in the same layout. `columns_of` alone knows where weights are:
whatever reads or writes them during a run goes through it, never straight to the arena.
"""

from libc.string cimport memcpy, memset

from fastbp.engine.forward cimport Dropout, Node, drop, saved_slope, up_to
from fastbp.engine.backward cimport Block, Place
from fastbp.engine.runtime cimport (FBP_LEAST_PART, FBP_LINE_BYTES, fbp_rule_has_m, fbp_rule_has_v, fbp_state,
                                    fbp_state_at)
from fastbp.engine.plan cimport BAD_LABEL, FINE, FORWARD, LAST, NOT_FINITE, WIDE, Slot, batch_of, dropout_of, gather, losses, whole_of

cdef struct Range:
    Py_ssize_t first, n

cdef inline Range part(Py_ssize_t total, Py_ssize_t quantum, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    # Part i of n of `total`, in whole quanta but for the end.
    cdef Py_ssize_t quanta = (total + quantum - 1) // quantum
    cdef Py_ssize_t first = quanta * i // n * quantum, end = min(total, quanta * (i + 1) // n * quantum)
    return Range(first, end - first)


cdef void gather_own(Worker *w, Py_ssize_t step) noexcept nogil:
    """Gather all rows of a step into the thread's own slot, once."""
    if w.gathered != step:
        w.labels_in_range = gather(w.plan, w.slot, step, 0, batch_of(w.plan, step))
        w.gathered = step


cdef Fault compute_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Compute item i of n of a phase in the thread's own slot."""
    cdef Plan *p = w.plan
    cdef const Node *node = &p.nodes[l]
    cdef Py_ssize_t batch = batch_of(p, step), item = p.kernels.item, line = FBP_LINE_BYTES // item, at
    cdef const Slot *shared = p.slots
    cdef const char *x = shared.outputs[l - 1] if l else w.slot.inputs
    cdef Place columns
    cdef Dropout dropout = dropout_of(p, step)
    cdef Range r
    if kind == FORWARD:
        r = part(node.n_out, line, i, n)
        at = r.first * item
        columns = columns_of(p, p.arena, l, r)
        p.kernels.dense_forward(w.slot.outputs[l] + at, saved_slope(node, w.slot.slopes[l], at), x, columns.weight,
                                p.arena + node.bias + at, batch, node.n_in, r.n, node.ld, node.ld_in, columns.ld,
                                node.activation)
        drop(w.slot.outputs[l] + at, w.slot.slopes[l] + at, p.kernels, node, l, p.first_row, batch, r.first, r.n,
             &dropout if p.drops else NULL)
    elif kind == LAST:
        r = part(batch, FBP_LEAST_PART, i, n)
        at = r.first * node.ld * item
        columns = columns_of(p, p.arena, l, Range(0, node.n_out))
        p.kernels.dense_forward(w.slot.outputs[l] + at, saved_slope(node, w.slot.slopes[l], at),
                                x + r.first * node.ld_in * item, columns.weight, p.arena + node.bias, r.n,
                                node.n_in, node.n_out, node.ld, node.ld_in, columns.ld, up_to(node, p.to_logits))
        if not w.labels_in_range:
            return BAD_LABEL
        return FINE if losses(p, w.slot, step, r.first, r.n) else NOT_FINITE
    else:
        r = part(node.n_in, line, i, n)
        at = r.first * item
        columns = columns_of(p, p.arena, l, Range(0, node.n_out))
        p.kernels.dense_delta(w.slot.deltas[l - 1] + at, shared.deltas[l], columns.weight + r.first * columns.ld * item,
                              shared.slopes[l - 1] + at, w.scratch, whole_of(p, step), batch, r.n, node.n_out, node.ld_in, node.ld,
                              columns.ld, p.nodes[l - 1].slope)
    return FINE


cdef void publish_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Copy the result of compute_part from the thread's own slot to the shared one."""
    cdef Plan *p = w.plan
    cdef const Node *node = &p.nodes[l]
    cdef Py_ssize_t batch = batch_of(p, step), item = p.kernels.item, line = FBP_LINE_BYTES // item
    cdef const Slot *shared = p.slots
    cdef Range r
    if kind == FORWARD:
        r = part(node.n_out, line, i, n)
        copy_columns(shared.outputs[l], w.slot.outputs[l], r, batch, node.ld, item)
        if shared.slopes[l] != shared.outputs[l]:
            copy_columns(shared.slopes[l], w.slot.slopes[l], r, batch, node.ld, item)
    elif kind == LAST:
        r = part(batch, FBP_LEAST_PART, i, n)
        memcpy(shared.deltas[l] + r.first * node.ld * item, w.slot.deltas[l] + r.first * node.ld * item,
               r.n * node.ld * item)
        memcpy(shared.row_loss + r.first, w.slot.row_loss + r.first, r.n * sizeof(double))
        memcpy(shared.correct + r.first, w.slot.correct + r.first, r.n)
        if p.weights != NULL:
            memcpy(shared.weights + r.first, w.slot.weights + r.first, r.n * sizeof(double))
    else:
        copy_columns(shared.deltas[l - 1], w.slot.deltas[l - 1], part(node.n_in, line, i, n), batch, node.ld_in, item)


cdef void copy_columns(char *out, const char *source, Range columns, Py_ssize_t rows, Py_ssize_t ld,
                       Py_ssize_t item) noexcept nogil:
    cdef Py_ssize_t b, at
    for b in range(rows):
        at = (b * ld + columns.first) * item
        memcpy(out + at, source + at, columns.n * item)


cdef Py_ssize_t part_ld(const Plan *p, Range columns) noexcept nogil:
    """Elements between rows of a packed part."""
    cdef Py_ssize_t line = FBP_LINE_BYTES // p.kernels.item
    return (columns.n + line - 1) // line * line


cdef Py_ssize_t bytes_of_weight(const Plan *p) noexcept nogil:
    return p.nodes[0].n_in * part_ld(p, Range(0, p.nodes[0].n_out)) * p.kernels.item


cdef Py_ssize_t packed_bytes(const Plan *p) noexcept:
    """Bytes for the packed weight and its state; 0 outside the wide regime, and if nobody writes the weight."""
    if p.regime != WIDE or p.nodes[0].frozen:
        return 0
    return bytes_of_weight(p) * (1 + fbp_rule_has_m(p.update.rule) + fbp_rule_has_v(p.update.rule))


cdef fbp_state packed_state(const Plan *p) noexcept nogil:
    """The packed optimizer state."""
    cdef Py_ssize_t bytes = bytes_of_weight(p)
    cdef fbp_state state
    state.m = p.packed + bytes if p.state.m != NULL else NULL
    state.v = p.packed + (bytes if p.state.m == NULL else 2 * bytes) if p.state.v != NULL else NULL
    return state


cdef Place columns_of(const Plan *p, char *arena, Py_ssize_t l, Range columns) noexcept nogil:
    """The address of some columns of node l's weight. `arena` is p.arena to read them, p.updated to write them.

    Columns of the first layer must be within one part of p.phases[0]; those of an item or a block are.
    """
    cdef const Node *node = &p.nodes[l]
    cdef Py_ssize_t item = p.kernels.item, line = FBP_LINE_BYTES // item, i = 0, at
    cdef Range whole
    if l > 0 or p.packed == NULL:
        at = node.weight + columns.first * item
        return Place(weight=arena + at, state=fbp_state_at(p.state, at), ld=node.ld)
    whole = part(node.n_out, line, 0, p.phases[0].n)
    while columns.first >= whole.first + whole.n:
        i += 1
        whole = part(node.n_out, line, i, p.phases[0].n)
    at = (whole.first * node.n_in + columns.first - whole.first) * item
    return Place(weight=p.packed + at, state=fbp_state_at(packed_state(p), at), ld=part_ld(p, whole))


cdef Place place_of(const Plan *p, const Block *block) noexcept nogil:
    """The address of a block's weights for the update."""
    cdef Place place = columns_of(p, p.updated, block.node, Range(block.column, block.n))
    cdef Py_ssize_t rows = block.first * place.ld * <Py_ssize_t>p.kernels.item
    return Place(weight=place.weight + rows, state=fbp_state_at(place.state, rows), ld=place.ld)


cdef void copy_parts(const Plan *p, char *arena, char *parts, bint back) noexcept:
    """Copy the first layer's weight, of an array laid out as the parameters, to the packed parts or back."""
    cdef const Node *node = &p.nodes[0]
    cdef Py_ssize_t item = p.kernels.item, i, k, row
    cdef Range columns
    cdef char *whole
    for i in range(p.phases[0].n):
        columns = part(node.n_out, FBP_LINE_BYTES // item, i, p.phases[0].n)
        row = part_ld(p, columns) * item
        whole = arena + node.weight + columns.first * item
        for k in range(node.n_in):
            memcpy(whole if back else parts, parts if back else whole, row)
            parts += row
            whole += node.ld * item


cdef void copy_all(const Plan *p, bint back) noexcept:
    cdef fbp_state state = packed_state(p)
    copy_parts(p, p.arena, p.packed, back)
    if state.m != NULL:
        copy_parts(p, <char *>p.state.m, <char *>state.m, back)
    if state.v != NULL:
        copy_parts(p, <char *>p.state.v, <char *>state.v, back)


cdef void pack_first_layer(Plan *p, bint spoil) noexcept:
    """Pack the first layer's weight and state into a piece for each owner.

    With `spoil` the weights that stay behind in the arena become NaN, so that a test sees it if anything reads them.
    """
    cdef const Node *node = &p.nodes[0]
    cdef Py_ssize_t item = p.kernels.item, i
    p.packed = p.packing_room
    copy_all(p, False)
    if spoil:
        for i in range(node.n_in):
            memset(p.arena + node.weight + i * node.ld * item, 0xFF, part_ld(p, Range(0, node.n_out)) * item)


cdef void place_blocks(Plan *p) noexcept nogil:
    """Set the address of every block's weights, in the arena or packed."""
    cdef Py_ssize_t i
    for i in range(p.n_blocks):
        p.places[i] = place_of(p, &p.blocks[i])


cdef void unpack_first_layer(Plan *p) noexcept:
    """Copy the packed weight and state back to the arena."""
    if p.packed != NULL:
        copy_all(p, True)
        p.packed = NULL
