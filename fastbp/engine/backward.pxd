"""The backward pass over some rows, and the update of a block of one layer's weight."""

from fastbp.engine.forward cimport Layer
from fastbp.engine.runtime cimport fbp_coming, fbp_kernels, fbp_part, fbp_state, fbp_update

cdef struct Block:
    # A block of a layer's weight: its update is one item of work.
    Py_ssize_t layer, first, rows, column, n    # n: columns, whole 64-byte lines
    Py_ssize_t owner                            # the thread of the team that begins with it
    Py_ssize_t held                             # where its gradient is kept, in bytes, if all are before an update

cdef struct Place:
    # Where the weights of a block are, and what the optimizer remembers of them.
    char *weight
    fbp_state state
    Py_ssize_t ld                               # elements between their rows

cdef fbp_update update_of(rule, dict numbers)

cdef list blocks_of(const Layer *layer, Py_ssize_t batch, size_t item, Py_ssize_t parts, Py_ssize_t most)

cdef void backward_rows(char **deltas, char **slopes, const char *arena, char *scratch, const fbp_kernels *kernels,
                        const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Py_ssize_t rows) noexcept nogil

cdef char *block_gradient(char *scratch, const Place *place, const fbp_part *parts, Py_ssize_t n_parts, const Block *block,
                          const fbp_kernels *kernels, Py_ssize_t batch, Py_ssize_t ldx, Py_ssize_t ldy,
                          fbp_coming *coming) noexcept nogil

cdef void apply_block(const Place *place, char *bias, fbp_state bias_state, const char *gradient, const Block *block,
                      const fbp_kernels *kernels, const fbp_update *update) noexcept nogil
