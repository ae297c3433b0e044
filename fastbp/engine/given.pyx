"""A step by a gradient that comes from outside: the update and the limits of a step, without the passes that give a gradient.

A gradient is laid out as the parameters, where a node's bias and weight follow each other as the rows of a block do. So its blocks,
of whole rows, are used in place. Their sums of squares are those of a step of as many rows (see engine/limits.pyx).
"""

from libc.stdint cimport uint64_t

from fastbp.engine.backward cimport Block, Place, apply_block
from fastbp.engine.forward cimport DENSE, Node
from fastbp.engine.limits cimport hold_gradient, limit_weights, note_weights, scale_of_gradient, squares_before
from fastbp.engine.plan cimport begin_update, snapshot_bytes, update_of_node
from fastbp.engine.runtime cimport (FBP_GRADIENT, Memory, fbp_state, fbp_state_at, fbp_update, fbp_update_block_rows, fbp_update_of,
                                    flush_denormals, restore_denormals)


cdef int apply_given(Plan *plan, const char *gradient, Py_ssize_t batch, double scale) except -1:
    """Update the trained nodes of a plan by `scale` times a gradient of `batch` rows; the learning rate and the age are set."""
    cdef Plan p = plan[0]
    cdef Py_ssize_t n, n_squares
    cdef Memory blocks, places, squares, held, scaled = Memory(p.bytes if scale != 1 else 0)
    cdef uint64_t mode
    p.batch, p.l2_weight, p.penalty_squares, p.n_blocks = batch, 0, NULL, 0
    n, n_squares = fill_blocks(&p, NULL, NULL), squares_before(&p, p.n_nodes)
    blocks, places = Memory(n * sizeof(Block)), Memory(n * sizeof(Place))
    squares = Memory(n_squares * sizeof(double) if p.clip_norm > 0 or p.max_norm > 0 else 0)
    held = Memory(p.bytes if p.clip_norm > 0 else 0)
    p.gradient_squares = p.weight_squares = <double *>squares.data
    p.held, p.blocks, p.places = held.data, <Block *>blocks.data, <Place *>places.data
    p.n_blocks = fill_blocks(&p, <Block *>blocks.data, <Place *>places.data)
    with nogil:
        mode = flush_denormals()
        if scale != 1:
            scale_numbers(&p, scaled.data, gradient, scale)
            gradient = scaled.data
        update(&p, gradient)
        restore_denormals(mode)
    return 0


cdef void scale_numbers(const Plan *p, char *out, const char *gradient, double scale) noexcept nogil:
    cdef fbp_update scaling = fbp_update_of(FBP_GRADIENT)
    cdef Py_ssize_t n = p.bytes // <Py_ssize_t>p.kernels.item
    cdef fbp_state none
    none.m = none.v = NULL
    scaling.gradient_scale = scale
    p.kernels.apply_gradient(out, none, gradient, 1, n, n, &scaling)


cdef Py_ssize_t fill_blocks(const Plan *p, Block *blocks, Place *places) noexcept:
    """Cut the trained weights into blocks of rows and say where they are, unless `blocks` is NULL; return the number of blocks."""
    cdef const Node *node
    cdef Py_ssize_t l, first, at, n = 0, most = fbp_update_block_rows(p.batch), item = p.kernels.item
    for l in range(p.n_nodes):
        node = &p.nodes[l]
        if node.op != DENSE or node.frozen:
            continue
        for first in range(0, node.n_in, most):
            if blocks != NULL:
                at = node.weight + first * node.ld * item
                # the row before a block is its bias, or is left alone
                blocks[n] = Block(node=l, first=first, rows=min(most, node.n_in - first), column=0, n=node.ld, owner=0,
                                  held=at - node.ld * item)
                places[n] = Place(weight=p.updated + at, state=fbp_state_at(p.state, at), ld=node.ld)
            n += 1
    return n


cdef void update(Plan *p, const char *gradient) noexcept nogil:
    cdef const Block *block
    cdef const Node *node
    cdef Py_ssize_t i
    cdef fbp_update of_step = p.update, room
    if p.snapshot != NULL:
        snapshot_bytes(p, 0, p.arena, p.state, p.bytes)
    if p.clip_norm > 0:
        for i in range(p.n_blocks):
            hold_gradient(p, gradient + p.blocks[i].held, i)
        of_step.gradient_scale = scale_of_gradient(p)
        gradient = p.held
    begin_update(&of_step, p, 0)
    for i in range(p.n_blocks):
        block = &p.blocks[i]
        node = &p.nodes[block.node]
        apply_block(&p.places[i], p.updated + node.bias, fbp_state_at(p.state, node.bias), gradient + block.held, block, p.kernels,
                    update_of_node(&room, &of_step, p, node, 0))
        if p.max_norm > 0:
            note_weights(p, i)
    for i in range(p.n_blocks if p.max_norm > 0 else 0):
        limit_weights(p, i)
