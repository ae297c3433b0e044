"""Limits on norms, which take a pass of their own: of the whole gradient, and of the weights into a unit.

Sums of squares are in double: of each column of a block of weight rows, then of these in the order of layers and rows. The batch
size alone decides how many rows a block has, so how the columns are cut up among threads does not show.
"""

from libc.math cimport sqrt

from fastbp.engine.backward cimport Block
from fastbp.engine.forward cimport Layer
from fastbp.engine.runtime cimport fbp_state, fbp_update_block_rows


cdef Py_ssize_t row_blocks_of(const Plan *p, const Layer *layer) noexcept nogil:
    cdef Py_ssize_t rows = fbp_update_block_rows(p.batch)
    return (layer.n_in + rows - 1) // rows


cdef Py_ssize_t squares_before(const Plan *p, Py_ssize_t layer) noexcept nogil:
    """Sums of the layers below one: in each a row for the bias, then a row for each block of rows."""
    cdef Py_ssize_t l, total = 0
    for l in range(layer):
        total += (1 + row_blocks_of(p, &p.layers[l])) * p.layers[l].ld
    return total


cdef Py_ssize_t squares_at(const Plan *p, const Block *block) noexcept nogil:
    """Where the sums of a block's weights begin."""
    return (squares_before(p, block.layer) + (1 + block.first // fbp_update_block_rows(p.batch)) * p.layers[block.layer].ld
            + block.column)


cdef void hold_gradient(Plan *p, const char *gradient, Py_ssize_t i) noexcept nogil:
    """Keep the gradient of block i, clipped by value, until the norm of all is known."""
    cdef const Block *block = &p.blocks[i]
    cdef Py_ssize_t row = block.n * <Py_ssize_t>p.kernels.item, skip = 1 if block.first else 0  # only first rows have a bias
    cdef char *held = p.held + block.held
    cdef double *squares = p.gradient_squares + squares_at(p, block)
    cdef fbp_state none
    none.m = none.v = NULL
    p.kernels.apply_gradient(held + skip * row, none, gradient + skip * row, block.rows + 1 - skip, block.n, block.n, &p.hold)
    p.kernels.column_squares(squares, held + row, block.rows, block.n, block.n)
    if block.first == 0:
        p.kernels.column_squares(squares - p.layers[block.layer].ld, held, 1, block.n, block.n)


cdef double scale_of_gradient(const Plan *p) noexcept nogil:
    """What brings the norm of the held gradient down to clip_norm, if it is above; as torch.nn.utils.clip_grad_norm_ does it."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(squares_before(p, p.n_layers)):
        total += p.gradient_squares[i]
    cdef double scale = p.clip_norm / (sqrt(total) + 1e-6)
    return 1 if scale > 1 else scale


cdef void note_weights(Plan *p, Py_ssize_t i) noexcept nogil:
    """Sums of squares of the updated weights of block i."""
    cdef const Block *block = &p.blocks[i]
    p.kernels.column_squares(p.weight_squares + squares_at(p, block), p.places[i].weight, block.rows, block.n, p.places[i].ld)


cdef void limit_weights(Plan *p, Py_ssize_t i) noexcept nogil:
    """The part in block i of the columns whose norm is above max_norm, scaled down."""
    cdef const Block *block = &p.blocks[i]
    cdef const Layer *layer = &p.layers[block.layer]
    cdef const double *squares = p.weight_squares + squares_before(p, block.layer) + layer.ld + block.column
    p.kernels.limit_columns(p.places[i].weight, squares, row_blocks_of(p, layer), block.rows, block.n, p.places[i].ld, layer.ld,
                            p.max_norm)
