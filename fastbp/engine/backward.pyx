"""Delta backward through all layers for some rows, and the update of a layer's weight block by block."""

from libc.string cimport memcpy

from fastbp.engine.forward cimport ADD, DENSE, GATE
from fastbp.engine.runtime cimport (FBP_LINE_BYTES, code_of, fbp_bias_update, fbp_rule, fbp_state_at, fbp_update_block_rows,
                                    fbp_update_of, fbp_update_scratch)

from fastbp.engine.runtime import RULES


cdef void backward_rows(char **deltas, char **slopes, const char *arena, char *scratch, const fbp_kernels *kernels,
                        const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Py_ssize_t rows) noexcept nogil:
    """deltas[l][rows] of every layer below the last, whose delta the loss has written; `batch` rows in all.

    slopes[l] is what a layer's slope is computed from.
    """
    cdef Py_ssize_t l
    cdef const Layer *layer
    for l in range(n_layers - 1, 0, -1):
        layer = &layers[l]
        if layer.op != DENSE:
            hand_down(deltas, slopes, kernels, layers, l, rows)
        elif layer.below >= 0:
            kernels.dense_delta(deltas[layer.below], deltas[l], arena + layer.weight, slopes[layer.below], scratch, batch, rows,
                                layer.n_in, layer.n_out, layer.ld_in, layer.ld, layer.ld, layer.below_slope)


cdef void hand_down(char **deltas, char **slopes, const fbp_kernels *kernels, const Layer *layers, Py_ssize_t l,
                    Py_ssize_t rows) noexcept nogil:
    """The delta of a gate, a branch or a sum to where it came from.

    A branch is what its source's delta waits for: the first part of it has come from above, without f'.
    """
    cdef const Layer *layer = &layers[l]
    cdef Py_ssize_t bytes = rows * layer.ld * kernels.item
    if layer.op == GATE:
        kernels.gate_delta(deltas[layer.below], deltas[l], slopes[layer.below], rows, layer.n_out, layer.pieces, layer.ld,
                           layer.ld_in, layer.gate, layer.gate_activation)
    elif layer.op == ADD:
        memcpy(deltas[layer.other], deltas[l], bytes)
        kernels.activation_delta(deltas[layer.other], slopes[layer.other], rows, layer.n_out, layer.ld,
                                 layers[layer.other].slope)
        if layer.below >= 0:
            memcpy(deltas[layer.below], deltas[l], bytes)
    else:
        kernels.add_rows(deltas[layer.below], deltas[layer.below], deltas[l], rows, layer.n_out, layer.ld, layer.ld, layer.ld)
        kernels.activation_delta(deltas[layer.below], slopes[layer.below], rows, layer.n_out, layer.ld, layer.below_slope)


cdef list blocks_of(const Layer *layer, Py_ssize_t batch, size_t item, Py_ssize_t parts, Py_ssize_t most):
    """A layer's weight in blocks (part, first row, rows, first column, columns), each in one of `parts` equal parts of columns,
    and of about `most` lines of columns."""
    cdef Py_ssize_t line = FBP_LINE_BYTES // item, i, first, rows = fbp_update_block_rows(batch)
    cdef Py_ssize_t lines = (layer.n_out + line - 1) // line
    blocks = []
    for i in range(parts):
        for first in range(0, layer.n_in, rows):
            for column, end in column_blocks(lines * i // parts, lines * (i + 1) // parts, most):
                blocks.append((i, first, min(layer.n_in - first, rows), column * line, (end - column) * line))
    return blocks


cdef list column_blocks(Py_ssize_t first, Py_ssize_t end, Py_ssize_t most):
    """(begin, end) of blocks of about `most` lines, without a thin last one: for 3 of them, panels as the kernels would cut."""
    cdef Py_ssize_t left, n
    blocks = []
    while first < end:
        left = end - first
        if most == 3 and left % 3 and left >= 4 and left != 5:
            n = 4
        else:
            n = left if left <= most + 1 else most
        blocks.append((first, first + n))
        first += n
    return blocks


cdef char *block_gradient(char *scratch, const Place *place, const fbp_part *parts, Py_ssize_t n_parts, const Block *block,
                          const fbp_kernels *kernels, Py_ssize_t batch, Py_ssize_t ldx, Py_ssize_t ldy,
                          fbp_coming *coming) noexcept nogil:
    """The gradient [rows][n] of a block, in scratch, after its bias's row, which only a block with the first rows has."""
    cdef size_t item = kernels.item
    cdef char *gradient = scratch + fbp_update_scratch(batch, item) * item
    kernels.dense_gradient(gradient + block.n * item, scratch, parts, n_parts, place.weight, block.rows, block.n, ldx, ldy,
                           place.ld, coming)
    if block.first == 0:
        kernels.bias_gradient(gradient, scratch, parts, n_parts, block.n, ldy)
    return gradient


cdef void apply_block(const Place *place, char *bias, fbp_state bias_state, const char *gradient, const Block *block,
                      const fbp_kernels *kernels, const fbp_update *update) noexcept nogil:
    """Weights and biases of a block, and their states, by what block_gradient gave; `bias` is the whole layer's."""
    cdef size_t item = kernels.item
    cdef Py_ssize_t column = block.column * item
    cdef fbp_update of_bias
    kernels.apply_gradient(place.weight, place.state, gradient + block.n * item, block.rows, block.n, place.ld, update)
    if block.first == 0:
        of_bias = fbp_bias_update(update)
        kernels.apply_gradient(bias + column, fbp_state_at(bias_state, column), gradient, 1, block.n, block.n, &of_bias)


cdef fbp_update update_of(rule, dict numbers):
    """The update by a rule, with these of its fields set; the names are those of fbp_update."""
    cdef fbp_update update = fbp_update_of(<fbp_rule>code_of(RULES, rule, "rule"))
    cdef dict fields = update
    return {**fields, **numbers}
