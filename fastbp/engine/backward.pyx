"""The backward pass through all nodes for a range of rows, and the update of a weight block by block."""

from libc.string cimport memcpy

from fastbp.engine.forward cimport ADD, DENSE, GATE, lowest_trained
from fastbp.engine.runtime cimport (FBP_LINE_BYTES, code_of, fbp_bias_update, fbp_rule, fbp_state_at, fbp_update_block_rows,
                                    fbp_update_of, fbp_update_scratch)

from fastbp.engine.runtime import RULES


cdef void backward_rows(char **deltas, char **slopes, const char *arena, char *scratch, const fbp_kernels *kernels,
                        const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, Py_ssize_t rows) noexcept nogil:
    """Compute deltas[l][rows] of every node below the last, whose delta the loss has written; the batch has `batch` rows.

    Nodes below the lowest one that is trained get no delta. slopes[l] is the array that a node's slope is computed from.
    """
    cdef Py_ssize_t l
    cdef const Node *node
    for l in range(n_nodes - 1, lowest_trained(nodes, n_nodes), -1):
        node = &nodes[l]
        if node.op != DENSE:
            hand_down(deltas, slopes, kernels, nodes, l, rows)
        elif node.below >= 0:
            kernels.dense_delta(deltas[node.below], deltas[l], arena + node.weight, slopes[node.below], scratch, batch, rows,
                                node.n_in, node.n_out, node.ld_in, node.ld, node.ld, node.below_slope)


cdef void hand_down(char **deltas, char **slopes, const fbp_kernels *kernels, const Node *nodes, Py_ssize_t l,
                    Py_ssize_t rows) noexcept nogil:
    """Hand the delta of a gate, a branch or a sum down to its sources.

    A branch adds to its source's delta, which the path above has already written without f', and then applies f'.
    """
    cdef const Node *node = &nodes[l]
    cdef Py_ssize_t bytes = rows * node.ld * kernels.item
    if node.op == GATE:
        kernels.gate_delta(deltas[node.below], deltas[l], slopes[node.below], rows, node.n_out, node.pieces, node.ld,
                           node.ld_in, node.gate, node.gate_activation)
    elif node.op == ADD:
        memcpy(deltas[node.other], deltas[l], bytes)
        kernels.activation_delta(deltas[node.other], slopes[node.other], rows, node.n_out, node.ld,
                                 nodes[node.other].slope)
        if node.below >= 0:
            memcpy(deltas[node.below], deltas[l], bytes)
    else:
        kernels.add_rows(deltas[node.below], deltas[node.below], deltas[l], rows, node.n_out, node.ld, node.ld, node.ld)
        kernels.activation_delta(deltas[node.below], slopes[node.below], rows, node.n_out, node.ld, node.below_slope)


cdef list blocks_of(const Node *node, Py_ssize_t batch, size_t item, Py_ssize_t parts, Py_ssize_t most):
    """Split a node's weight into blocks (part, first row, rows, first column, columns) of about `most` lines of columns.

    Each block is within one of `parts` equal ranges of columns.
    """
    cdef Py_ssize_t line = FBP_LINE_BYTES // item, i, first, rows = fbp_update_block_rows(batch)
    cdef Py_ssize_t lines = (node.n_out + line - 1) // line
    blocks = []
    for i in range(parts):
        for first in range(0, node.n_in, rows):
            for column, end in column_blocks(lines * i // parts, lines * (i + 1) // parts, most):
                blocks.append((i, first, min(node.n_in - first, rows), column * line, (end - column) * line))
    return blocks


cdef list column_blocks(Py_ssize_t first, Py_ssize_t end, Py_ssize_t most):
    """(begin, end) of blocks of about `most` lines, without a thin last one; 3 lines is the panel width of the kernels."""
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
                          fbp_prefetch *prefetch) noexcept nogil:
    """Compute the gradient of a block in scratch: a row for the bias, which only blocks of the first rows fill, then [rows][n]."""
    cdef size_t item = kernels.item
    cdef char *gradient = scratch + fbp_update_scratch(batch, item) * item
    kernels.dense_gradient(gradient + block.n * item, scratch, parts, n_parts, place.weight, block.rows, block.n, ldx, ldy,
                           place.ld, prefetch)
    if block.first == 0:
        kernels.bias_gradient(gradient, scratch, parts, n_parts, block.n, ldy)
    return gradient


cdef void apply_block(const Place *place, char *bias, fbp_state bias_state, const char *gradient, const Block *block,
                      const fbp_kernels *kernels, const fbp_update *update) noexcept nogil:
    """Update weights and biases of a block, and their state, by the result of block_gradient; `bias` is the node's whole bias."""
    kernels.apply_gradient(place.weight, place.state, gradient + block.n * kernels.item, block.rows, block.n, place.ld, update)
    if block.first == 0:
        apply_bias(bias, bias_state, gradient, block, kernels, update)


cdef void apply_bias(char *bias, fbp_state bias_state, const char *gradient, const Block *block, const fbp_kernels *kernels,
                     const fbp_update *update) noexcept nogil:
    """Update the biases of a block alone; `gradient` begins with theirs."""
    cdef Py_ssize_t column = block.column * kernels.item
    cdef fbp_update of_bias = fbp_bias_update(update)
    kernels.apply_gradient(bias + column, fbp_state_at(bias_state, column), gradient, 1, block.n, block.n, &of_bias)


cdef fbp_update update_of(rule, dict numbers):
    """The fbp_update of a rule, with the fields named in `numbers` set."""
    cdef fbp_update update = fbp_update_of(<fbp_rule>code_of(RULES, rule, "rule"))
    cdef dict fields = update
    return {**fields, **numbers}
