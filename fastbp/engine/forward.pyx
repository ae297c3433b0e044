"""Fused dense + activation forward, through all layers for a range of rows."""

from fastbp.engine.runtime cimport code_of, fbp_activation, fbp_activation_code, fbp_kernels

from fastbp.engine.runtime import ACTIVATIONS


PARAMETERS = {"leaky_relu": 0.01, "elu": 1.0}  # of the activations that have one, where none is given


cdef fbp_activation activation_of(value) except *:
    """From a name, or a pair of name and parameter."""
    name, parameter = value if isinstance(value, tuple) else (value, PARAMETERS.get(value, 0))
    return fbp_activation(<fbp_activation_code>code_of(ACTIVATIONS, name, "activation"), parameter)


cdef void forward_rows(char **outputs, char **slopes, const char *x, const char *arena, const fbp_kernels *kernels,
                       const Layer *layers, Py_ssize_t n_layers, Py_ssize_t rows, Py_ssize_t ldx,
                       bint to_logits, const Dropout *dropout, Py_ssize_t row) noexcept nogil:
    """outputs[l][rows] of every layer from x[rows] with rows of ldx elements, and slopes[l] where a layer keeps them.

    `slopes` is NULL if no backward pass follows. With to_logits the last layer stops at z: its activation belongs to the loss.
    With `dropout` (NULL: none) the rows are those from `row` on of the batch.
    """
    cdef const char *source
    cdef Py_ssize_t ld_source, l
    cdef const Layer *layer
    for l in range(n_layers):
        layer = &layers[l]
        source, ld_source = x, ldx
        if layer.source >= 0:
            source, ld_source = outputs[layer.source], layer.ld_in
        if layer.op == DENSE:
            kernels.dense_forward(outputs[l], kept_slope(layer, slopes[l], 0) if slopes != NULL else NULL, source,
                                  arena + layer.weight, arena + layer.bias, rows, layer.n_in, layer.n_out, layer.ld, ld_source,
                                  layer.ld, up_to(layer, to_logits and l == n_layers - 1))
            drop(outputs[l], slopes[l] if slopes != NULL else NULL, kernels, layer, l, row, rows, 0, layer.n_out, dropout)
        elif layer.op == GATE:
            kernels.gate_forward(outputs[l], source, rows, layer.n_out, layer.pieces, layer.ld, ld_source, layer.gate,
                                 layer.gate_activation)
        elif layer.op == ADD:
            kernels.add_rows(outputs[l], source, outputs[layer.other], rows, layer.n_out, layer.ld, ld_source, layer.ld)
