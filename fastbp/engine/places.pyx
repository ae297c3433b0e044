"""Where a run's weights are: in the arena, or, for a while, the first layer's in the parts that threads of the wide regime own.

In the arena the parts of a row lie side by side, and when a thread reads its own, the processor fetches lines of the next one ahead.
From then on another core has them too, and to write them costs 12 times as much as to write lines that nobody has
(784-128-10, batch 64: 24 instead of 5 to 9 microseconds of a step). So for a longer run of steps the first layer's weight, whose
columns no other thread wants, goes into parts that are each in one piece: [part][n_in][columns], then the same of its state.
"""

from libc.string cimport memcpy

from fastbp.engine.backward cimport Block, Place
from fastbp.engine.forward cimport Layer
from fastbp.engine.runtime cimport FBP_LINE_BYTES, fbp_rule_has_m, fbp_rule_has_v, fbp_state, fbp_state_at


cdef Py_ssize_t own_ld(const Plan *p, Range columns) noexcept nogil:
    """Elements between rows of a part."""
    cdef Py_ssize_t line = FBP_LINE_BYTES // p.kernels.item
    return (columns.n + line - 1) // line * line


cdef Py_ssize_t bytes_of_weight(const Plan *p) noexcept:
    return p.layers[0].n_in * own_ld(p, Range(0, p.layers[0].n_out)) * p.kernels.item


cdef Py_ssize_t bytes_of_own(const Plan *p, bint wide) noexcept:
    """Room for all parts and their state."""
    return bytes_of_weight(p) * (1 + fbp_rule_has_m(p.update.rule) + fbp_rule_has_v(p.update.rule)) if wide else 0


cdef fbp_state own_state(const Plan *p) noexcept:
    """The state of all parts."""
    cdef Py_ssize_t bytes = bytes_of_weight(p)
    cdef fbp_state state
    state.m = p.own + bytes if p.state.m != NULL else NULL
    state.v = p.own + (bytes if p.state.m == NULL else 2 * bytes) if p.state.v != NULL else NULL
    return state


cdef Place place_of(const Plan *p, const Block *block) noexcept:
    cdef const Layer *layer = &p.layers[block.layer]
    cdef Py_ssize_t item = p.kernels.item, line = FBP_LINE_BYTES // item, i = 0, at
    cdef Range columns
    if block.layer > 0 or p.own == NULL:
        at = (block.first * layer.ld + block.column) * item
        return Place(weight=p.updated + layer.weight + at, state=fbp_state_at(p.state, layer.weight + at), ld=layer.ld)
    columns = part(layer.n_out, line, 0, p.phases[0].n)
    while block.column >= columns.first + columns.n:
        i += 1
        columns = part(layer.n_out, line, i, p.phases[0].n)
    at = (columns.first * layer.n_in + block.first * own_ld(p, columns) + block.column - columns.first) * item
    return Place(weight=p.own + at, state=fbp_state_at(own_state(p), at), ld=own_ld(p, columns))


cdef void copy_parts(const Plan *p, char *arena, char *own, bint back) noexcept:
    """The first layer's part of an array laid out as the parameters, to parts of columns or back."""
    cdef const Layer *layer = &p.layers[0]
    cdef Py_ssize_t item = p.kernels.item, i, k, row
    cdef Range columns
    cdef char *whole
    for i in range(p.phases[0].n):
        columns = part(layer.n_out, FBP_LINE_BYTES // item, i, p.phases[0].n)
        row = own_ld(p, columns) * item
        whole = arena + layer.weight + columns.first * item
        for k in range(layer.n_in):
            memcpy(whole if back else own, own if back else whole, row)
            own += row
            whole += layer.ld * item


cdef void copy_all(const Plan *p, bint back) noexcept:
    cdef fbp_state own = own_state(p)
    copy_parts(p, p.arena, p.own, back)
    if own.m != NULL:
        copy_parts(p, <char *>p.state.m, <char *>own.m, back)
    if own.v != NULL:
        copy_parts(p, <char *>p.state.v, <char *>own.v, back)


cdef void take_places(Plan *p, bint own) noexcept:
    """Set where every block's weights are; with `own`, the first layer's in parts, which begin as copies."""
    cdef Py_ssize_t i
    p.own = p.room if own else NULL
    if own:
        copy_all(p, False)
    for i in range(p.n_blocks):
        p.places[i] = place_of(p, &p.blocks[i])


cdef void bring_back(Plan *p) noexcept:
    """The arena is again where all weights are."""
    if p.own != NULL:
        copy_all(p, True)
        p.own = NULL
