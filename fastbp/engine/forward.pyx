"""Fused dense + activation forward, through all layers for a range of rows."""

import numpy as np

cimport numpy as cnp

from fastbp.engine.runtime cimport (FBP_F32, FBP_F64, code_of, fbp_activation, fbp_activation_code, fbp_dropout, fbp_dropout_key,
                                    fbp_function, fbp_kernels, kernels_of)

from fastbp.engine.runtime import ACTIVATIONS, FUNCTIONS

cnp.import_array()


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


# The kernels one by one, for the tests: padded C-contiguous arrays of one dtype, written in place.

def dense_forward(cnp.ndarray y, cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias, Py_ssize_t n_in, Py_ssize_t n_out,
                  activation, isa=None, slope=None):
    """y [batch, ldy] OUT = f(x [batch, ldx] @ weight [n_in, ldw] + bias [ldw]); slope like y, OUT, or None."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if y.dtype == np.float32 else FBP_F64)
    kernels.dense_forward(cnp.PyArray_DATA(y), NULL if slope is None else cnp.PyArray_DATA(<cnp.ndarray>slope),
                          cnp.PyArray_DATA(x), cnp.PyArray_DATA(weight), cnp.PyArray_DATA(bias), y.shape[0], n_in, n_out,
                          y.shape[1], x.shape[1], weight.shape[1], activation_of(activation))


def drop_units(cnp.ndarray y, cnp.ndarray slope, Py_ssize_t n, seed, step, layer, row, unit, rate, isa=None):
    """y and slope [rows, ld] INOUT, of `rows` rows and n units from `row` and `unit` on."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if y.dtype == np.float32 else FBP_F64)
    cdef fbp_dropout dropout = fbp_dropout(key=fbp_dropout_key(seed, step, layer), row=row, unit=unit, rate=rate)
    kernels.drop_units(cnp.PyArray_DATA(y), cnp.PyArray_DATA(slope), y.shape[0], n, y.shape[1], &dropout)


def apply_activation(activation, z, isa=None):
    """f(z), element-wise, for a float32 or float64 vector of any length."""
    cdef cnp.ndarray y = whole_lines(z)
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if z.dtype == np.float32 else FBP_F64)
    kernels.activate(cnp.PyArray_DATA(y), len(y), activation_of(activation))
    return y[: len(z)]


def elementary(function, x, isa=None):
    """f(x), element-wise, for a float32 or float64 vector of any length, without the GIL."""
    cdef cnp.ndarray y = whole_lines(x)
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if x.dtype == np.float32 else FBP_F64)
    cdef fbp_function code = <fbp_function>code_of(FUNCTIONS, function, "function")
    cdef void *data = cnp.PyArray_DATA(y)
    cdef Py_ssize_t n = len(y)
    with nogil:
        kernels.elementary(data, data, n, code)
    return y[: len(x)]


cdef cnp.ndarray whole_lines(x):
    """A copy of a vector, filled up with zeros to whole 64-byte lines."""
    padded = np.zeros((len(x) + 15) // 16 * 16, x.dtype)
    padded[: len(x)] = x
    return padded
