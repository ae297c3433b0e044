"""Delta backward through all layers for a range of rows, and the update of a range of a layer's weight rows."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint8_t

from fastbp._runtime cimport (FBP_F32, FBP_F64, FBP_GRADIENT, Memory, code_of, fbp_delta_scratch, fbp_activation,
                              fbp_kernels, fbp_loss, fbp_rule, fbp_update,
                              fbp_update_scratch, kernels_of)

from fastbp._runtime import ACTIVATIONS, LOSSES, RULES

cnp.import_array()


cdef void backward_rows(char **deltas, char **outputs, const char *arena, char *scratch, const fbp_kernels *kernels,
                        const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Py_ssize_t first,
                        Py_ssize_t rows) noexcept nogil:
    """deltas[l][first : first+rows] of every layer below the last, whose delta the loss has written."""
    cdef Py_ssize_t l, item = kernels.item
    cdef const Layer *layer
    for l in range(n_layers - 1, 0, -1):
        layer = &layers[l]
        kernels.dense_delta(deltas[l - 1] + first * layer.ld_in * item, deltas[l] + first * layer.ld * item,
                            arena + layer.weight, outputs[l - 1] + first * layer.ld_in * item, scratch, batch, rows,
                            layer.n_in, layer.n_out, layer.ld_in, layer.ld, layer.ld, layers[l - 1].activation)


cdef void update_layer(char *arena, char *velocity, const char *x, const char *delta, char *scratch,
                       const fbp_kernels *kernels, const Layer *layer, Py_ssize_t batch, Py_ssize_t first,
                       Py_ssize_t rows, const fbp_update *update) noexcept nogil:
    """weight[first : first+rows] of a layer, and its bias together with the first row; velocity may be NULL."""
    cdef Py_ssize_t offset = layer.weight + first * layer.ld * kernels.item
    kernels.dense_update(arena + offset, velocity + offset if velocity != NULL else NULL, x + first * kernels.item,
                         delta, scratch, batch, rows, layer.n_out, layer.ld, layer.ld_in, layer.ld, update)
    if first == 0:
        kernels.bias_update(arena + layer.bias, velocity + layer.bias if velocity != NULL else NULL, delta, batch,
                            layer.n_out, layer.ld, update)


# The kernels one by one, for the tests: padded C-contiguous arrays of one dtype, written in place.

cdef void *data_or_null(array):
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray>array)


def dense_delta(cnp.ndarray dx, cnp.ndarray dy, cnp.ndarray weight, cnp.ndarray x, Py_ssize_t n_in, Py_ssize_t n_out,
                activation, isa=None):
    """dx [batch, ldx] OUT = (dy [batch, ldy] @ weight [n_in, ldw].T) * f'(x), x [batch, ldx] the lower layer's output."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if dx.dtype == np.float32 else FBP_F64)
    cdef Py_ssize_t batch = dx.shape[0]
    cdef Memory scratch = Memory(fbp_delta_scratch(n_out, batch, kernels.item) * kernels.item)
    kernels.dense_delta(cnp.PyArray_DATA(dx), cnp.PyArray_DATA(dy), cnp.PyArray_DATA(weight), cnp.PyArray_DATA(x),
                        scratch.data, batch, batch, n_in, n_out, dx.shape[1], dy.shape[1], weight.shape[1],
                        <fbp_activation>code_of(ACTIVATIONS, activation, "activation"))


def dense_update(cnp.ndarray weight, cnp.ndarray bias, weight_velocity, bias_velocity, cnp.ndarray x, cnp.ndarray dy,
                 Py_ssize_t n_in, Py_ssize_t n_out, rule, double learning_rate, double momentum, double l2, isa=None):
    """weight [n_in, ldw], bias [ldw] and their velocities INOUT, by the gradient of x [batch, ldx] and dy [batch, ldy]."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if weight.dtype == np.float32 else FBP_F64)
    cdef fbp_update update = fbp_update(rule=<fbp_rule>code_of(RULES, rule, "rule"), learning_rate=learning_rate,
                                        momentum=momentum, l2=l2)
    cdef Memory scratch = Memory(fbp_update_scratch(x.shape[0], kernels.item) * kernels.item)
    kernels.dense_update(cnp.PyArray_DATA(weight), data_or_null(weight_velocity), cnp.PyArray_DATA(x),
                         cnp.PyArray_DATA(dy), scratch.data, x.shape[0], n_in, n_out, weight.shape[1], x.shape[1], dy.shape[1],
                         &update)
    kernels.bias_update(cnp.PyArray_DATA(bias), data_or_null(bias_velocity), cnp.PyArray_DATA(dy), x.shape[0], n_out,
                        dy.shape[1], &update)


def loss_delta(cnp.ndarray delta, cnp.ndarray row_loss, hit, cnp.ndarray output, cnp.ndarray target, Py_ssize_t n_out,
               loss, activation, double scale, isa=None):
    """delta [batch, ld] OUT = scale * dL/dz, row_loss [batch] OUT, hit [batch] OUT or None."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if delta.dtype == np.float32 else FBP_F64)
    kernels.loss_delta(cnp.PyArray_DATA(delta), <double *>cnp.PyArray_DATA(row_loss), <uint8_t *>data_or_null(hit),
                       cnp.PyArray_DATA(output), cnp.PyArray_DATA(target), delta.shape[0], n_out, delta.shape[1],
                       <fbp_loss>code_of(LOSSES, loss, "loss"),
                       <fbp_activation>code_of(ACTIVATIONS, activation, "activation"), scale)
