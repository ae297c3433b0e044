"""Where a run's weights are: in the arena, or, for a while, the first layer's apart, in the parts that threads of the wide regime own.

In the arena the parts of a row lie side by side, and when a thread reads its own, the processor prefetches lines of the next one.
From then on another core has them too, and to write them costs 12 times as much as to write lines that nobody has
(784-128-10, batch 64: 24 instead of 5 to 9 microseconds of a step). So for a longer run of steps the first layer's weight, whose
columns no other thread wants, goes into parts that are each in one piece: [part][n_in][columns], then the same of its state.

`columns_of` alone says where weights are. Whoever reads or writes them during a run asks it, and nobody reads the arena.
"""

from libc.string cimport memcpy, memset

from fastbp.engine.backward cimport Block
from fastbp.engine.forward cimport Layer
from fastbp.engine.runtime cimport FBP_LINE_BYTES, fbp_rule_has_m, fbp_rule_has_v, fbp_state, fbp_state_at
from fastbp.engine.plan cimport WIDE


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
