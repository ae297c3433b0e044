"""The backward pass over a range of rows, and the update of a block of a weight."""

from fastbp.engine.forward cimport Node
from fastbp.engine.runtime cimport fbp_prefetch, fbp_kernels, fbp_part, fbp_state, fbp_update

cdef struct Block:
    # A block of a node's weight; its update is one item of work.
    Py_ssize_t node, first, rows, column, n    # n: columns, whole 64-byte lines
    Py_ssize_t owner                            # the thread that starts with it
    Py_ssize_t held                             # byte offset of its held gradient

cdef struct Place:
    # The address of a block's weights, and of their optimizer state.
    char *weight
    fbp_state state
    Py_ssize_t ld                               # elements between rows

cdef fbp_update update_of(rule, dict numbers)

cdef list blocks_of(const Node *node, Py_ssize_t batch, size_t item, Py_ssize_t parts, Py_ssize_t most)

cdef void backward_rows(char **deltas, char **slopes, const char *arena, char *scratch, const fbp_kernels *kernels,
                        const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, Py_ssize_t rows) noexcept nogil

cdef char *block_gradient(char *scratch, const Place *place, const fbp_part *parts, Py_ssize_t n_parts, const Block *block,
                          const fbp_kernels *kernels, Py_ssize_t batch, Py_ssize_t ldx, Py_ssize_t ldy,
                          fbp_prefetch *prefetch) noexcept nogil

cdef void apply_bias(char *bias, fbp_state bias_state, const char *gradient, const Block *block, const fbp_kernels *kernels,
                     const fbp_update *update) noexcept nogil

cdef void apply_block(const Place *place, char *bias, fbp_state bias_state, const char *gradient, const Block *block,
                      const fbp_kernels *kernels, const fbp_update *update) noexcept nogil
