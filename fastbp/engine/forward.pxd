"""The dense layer as the compiled modules share it, and the forward pass over a range of rows."""

from libc.stdint cimport int64_t, uint64_t

from fastbp.engine.runtime cimport FBP_KEPT, FBP_LINEAR, fbp_activation, fbp_dropout, fbp_dropout_key, fbp_gate, fbp_kernels

cdef enum Op:
    DENSE                           # f(x W + b)
    GATE                            # the pieces of a dense layer's outputs become one
    BRANCH                          # the source goes another way as well, from here on
    ADD                             # the sum of two layers' outputs

cdef struct Layer:
    # One layer of a chain, or one step of any other network; only a dense one has inputs of its own, n_in, a weight and a bias.
    Py_ssize_t n_in, n_out
    Py_ssize_t ld_in, ld            # elements between rows of this layer's input (in a workspace) and of its weight and output
    Py_ssize_t weight, bias         # where they start in the arena, in bytes
    fbp_activation activation
    double dropout                  # the chance of an output to be left out of a step
    fbp_activation slope            # how f' comes from slopes[l] of a slot: the activation, from the output, or FBP_KEPT
    Op op
    Py_ssize_t source               # the layer whose outputs it reads, or -1: the data
    Py_ssize_t below                # where its delta goes on: to the source, or to the branch before it
    Py_ssize_t other                # the second summand
    fbp_activation below_slope      # what turns the delta handed below into dL/dz: f' there, or nothing while more is to come
    Py_ssize_t pieces
    fbp_gate gate
    fbp_activation gate_activation

cdef struct Dropout:
    # What the dropout of a step is drawn from, besides layer, row and unit.
    uint64_t seed
    int64_t step

cdef fbp_activation activation_of(value) except *
cdef void forward_rows(char **outputs, char **slopes, const char *x, const char *arena, const fbp_kernels *kernels,
                       const Layer *layers, Py_ssize_t n_layers, Py_ssize_t rows, Py_ssize_t ldx,
                       bint to_logits, const Dropout *dropout, Py_ssize_t row) noexcept nogil

cdef inline bint is_chain(const Layer *layers, Py_ssize_t n_layers) noexcept nogil:
    """Whether the layers are dense, each above the one before."""
    cdef Py_ssize_t l
    for l in range(n_layers):
        if layers[l].op != DENSE:
            return False
    return True

cdef inline char *kept_slope(const Layer *layer, char *slopes, Py_ssize_t at) noexcept nogil:
    """Where a forward pass of this layer keeps f', so many bytes on, or NULL if the outputs do."""
    return slopes + at if layer.slope.code == FBP_KEPT else NULL

cdef inline void drop(char *y, char *slope, const fbp_kernels *kernels, const Layer *layer, Py_ssize_t l, Py_ssize_t row,
                      Py_ssize_t rows, Py_ssize_t unit, Py_ssize_t n, const Dropout *dropout) noexcept nogil:
    """Dropout, if there is any, of rows and units of layer l, whose outputs and kept slopes are at y and slope."""
    cdef fbp_dropout of_layer
    if dropout != NULL and layer.dropout > 0:
        of_layer = fbp_dropout(key=fbp_dropout_key(dropout.seed, dropout.step, l), row=row, unit=unit, rate=layer.dropout)
        kernels.drop_units(y, slope, rows, n, layer.ld, &of_layer)

cdef inline fbp_activation up_to(const Layer *layer, bint logits) noexcept nogil:
    """The layer's activation, or none where its output is to stop at the logits."""
    return fbp_activation(FBP_LINEAR, 0) if logits else layer.activation
