"""Limits on norms: clip_norm, of the whole gradient, and max_norm, of the weights into a unit. Each takes a pass of its own.

And the objective that the steps of an epoch have minimised, whose penalty is a sum of squares too.

Sums of squares are in double, as fbp_norm.h stores them: of each column of a block of weight rows, then of these in the order of
layers and rows. The batch size alone decides how many rows a block has, so the split of columns among threads does not show.
"""

from fastbp.engine.backward cimport Block
from fastbp.engine.forward cimport DENSE, Node
from fastbp.engine.plan cimport batch_of, l2_of
from fastbp.engine.runtime cimport fbp_limit_ratio, fbp_state, fbp_update_block_rows


cdef Py_ssize_t row_blocks_of(const Plan *p, const Node *node) noexcept nogil:
    cdef Py_ssize_t rows = fbp_update_block_rows(p.batch)
    return (node.n_in + rows - 1) // rows


cdef Py_ssize_t squares_before(const Plan *p, Py_ssize_t node) noexcept nogil:
    """The number of sums of the nodes before one; each node has a row for its bias, then a row for each block of rows."""
    cdef Py_ssize_t l, total = 0
    for l in range(node):
        total += (1 + row_blocks_of(p, &p.nodes[l])) * p.nodes[l].ld
    return total


cdef Py_ssize_t squares_at(const Plan *p, const Block *block) noexcept nogil:
    """The index of the first sum of a block's weights."""
    return (squares_before(p, block.node) + (1 + block.first // fbp_update_block_rows(p.batch)) * p.nodes[block.node].ld
            + block.column)


cdef void hold_gradient(Plan *p, const char *gradient, Py_ssize_t i) noexcept nogil:
    """Store the gradient of block i, clipped by value, until all are known: for the norm, or because the step may be dropped."""
    cdef const Block *block = &p.blocks[i]
    cdef Py_ssize_t row = block.n * <Py_ssize_t>p.kernels.item
    cdef Py_ssize_t skip = 1 if block.first else 0  # only blocks of the first rows have a bias
    cdef char *held = p.held + block.held
    cdef double *squares = p.gradient_squares + squares_at(p, block)
    cdef fbp_state none
    none.m = none.v = NULL
    p.kernels.apply_gradient(held + skip * row, none, gradient + skip * row, block.rows + 1 - skip, block.n, block.n, &p.hold)
    if p.clip_norm == 0:
        return
    p.kernels.column_squares(squares, held + row, block.rows, block.n, block.n)
    if block.first == 0:
        p.kernels.column_squares(squares - p.nodes[block.node].ld, held, 1, block.n, block.n)


cdef double scale_of_gradient(const Plan *p) noexcept nogil:
    """The factor that scales the held gradient down to clip_norm, 1 if its norm is below."""
    cdef double scale
    if p.clip_norm == 0:
        return 1
    scale = fbp_limit_ratio(p.clip_norm, p.gradient_squares, squares_before(p, p.n_nodes), 1)
    return 1 if scale > 1 else scale


cdef void note_weights(Plan *p, Py_ssize_t i) noexcept nogil:
    """Compute the sums of squares of the updated weights of block i."""
    cdef const Block *block = &p.blocks[i]
    p.kernels.column_squares(p.weight_squares + squares_at(p, block), p.places[i].weight, block.rows, block.n, p.places[i].ld)


cdef void limit_weights(Plan *p, Py_ssize_t i) noexcept nogil:
    """Scale down the part in block i of the columns whose norm is above max_norm."""
    cdef const Block *block = &p.blocks[i]
    cdef const Node *node = &p.nodes[block.node]
    cdef const double *squares = p.weight_squares + squares_before(p, block.node) + node.ld + block.column
    p.kernels.limit_columns(p.places[i].weight, squares, row_blocks_of(p, node), block.rows, block.n, p.places[i].ld, node.ld,
                            p.max_norm)


cdef double *penalty_squares_of(const Plan *p, Py_ssize_t step) noexcept nogil:
    """The sums of a step; those of the next one are written while they are read."""
    return p.penalty_squares + (step & 1) * squares_before(p, p.n_nodes)


cdef void note_penalty(Plan *p, Py_ssize_t i, Py_ssize_t step) noexcept nogil:
    """Compute the sums of squares of block i of the weights with which a step begins."""
    cdef const Block *block = &p.blocks[i]
    p.kernels.column_squares(penalty_squares_of(p, step) + squares_at(p, block), p.places[i].weight, block.rows, block.n,
                             p.places[i].ld)


cdef double penalty_of(const Plan *p, Py_ssize_t step) noexcept nogil:
    """l2 times the sum of the squared weights with which a step begins."""
    cdef const Node *node
    cdef const double *squares
    cdef double total = 0, of_node
    cdef Py_ssize_t l, r, j
    for l in range(p.n_nodes):
        node, of_node = &p.nodes[l], 0
        if node.op != DENSE or node.frozen:
            continue
        squares = penalty_squares_of(p, step) + squares_before(p, l)
        for r in range(1, 1 + row_blocks_of(p, node)):
            for j in range(r * node.ld, r * node.ld + node.n_out):
                of_node += squares[j] if squares[j] >= 0 else squares[j] * squares[j]
        total += node.decay_factor * of_node
    return l2_of(p, step) * total


cdef void add_objective(Plan *p, Py_ssize_t step) noexcept nogil:
    """Add what a step whose losses are added has minimised to the sums of the epoch."""
    cdef Py_ssize_t batch = batch_of(p, step)
    cdef double weight = batch if p.weights == NULL or p.by_rows else p.weight_sums[step]
    if weight > 0:
        p.loss_by_rows += batch * (p.step_loss / weight)
    if p.penalty_squares != NULL:
        p.penalty_by_rows += batch * penalty_of(p, step)
    p.row_sum += batch
    p.step_loss = 0
