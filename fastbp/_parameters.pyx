"""The parameters of a network in one arena, and what a pass over rows needs besides: targets, the size of the team."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

from fastbp._forward cimport activation_of
from fastbp._runtime cimport FBP_F32, FBP_F64, FBP_KEPT, Memory, fbp_leading_dimension, fbp_needs_slope, kernels_of

cnp.import_array()

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define FBP_TEAM_SIZE omp_get_num_threads()
    #else
    #define FBP_TEAM_SIZE 1
    #endif
    """
    const int FBP_TEAM_SIZE

cdef double MOST_BYTES = 2.0 ** 62  # beyond it the sizes themselves would overflow


cdef int team_size() noexcept nogil:
    """Threads of the running region: the OpenMP library may grant fewer than were asked for."""
    return FBP_TEAM_SIZE


cdef Targets targets_of(cnp.ndarray y, double smoothing):
    """Class labels are int64, anything else is an array of targets."""
    cdef Targets targets = Targets(values=NULL, labels=NULL, smoothing=smoothing)
    if cnp.PyArray_TYPE(y) == cnp.NPY_INT64:
        targets.labels = <const int64_t *>cnp.PyArray_DATA(y)
    else:
        targets.values = <const char *>cnp.PyArray_DATA(y)
    return targets


cdef double *weights_or_null(weights) except? NULL:
    """float64 [n], or None: no weights."""
    return NULL if weights is None else <double *>cnp.PyArray_DATA(<cnp.ndarray?>weights)


cdef void gather_targets(char *target, const fbp_kernels *kernels, const Targets *targets, const int64_t *order,
                         Py_ssize_t first, Py_ssize_t rows, Py_ssize_t n_out, Py_ssize_t ld) noexcept nogil:
    """target[rows][ld] from rows order[first:] (first, first + 1, ... without an order); labels become one-hot."""
    if targets.labels != NULL:
        kernels.one_hot_rows(target, targets.labels, order, first, rows, n_out, ld)
    else:
        kernels.gather_rows(target, targets.values, order, first, rows, n_out, ld)
    if targets.smoothing:
        kernels.smooth_rows(target, rows, n_out, ld, targets.smoothing)


cdef class Parameters:
    """Weights and biases of all layers in one 64-byte aligned arena, all zero at first.

    A weight is [n_in][ld], a bias [ld]; users see views of shape [n_in, n_out] and [n_out] of the same memory. An activation is
    a name, or a pair of name and parameter; `dropout` are the rates of the layers.
    """

    def __init__(self, Py_ssize_t n_inputs, units, activations, dtype, dropout=None):
        cdef Py_ssize_t end = 0, l
        cdef Layer *layer
        self.dtype = np.dtype(dtype)
        self.dtype_code = FBP_F32 if self.dtype == np.float32 else FBP_F64
        self.item = self.dtype.itemsize
        self.n_inputs = n_inputs
        self.n_layers = len(units)
        self.n_outputs = units[self.n_layers - 1]
        self.table = Memory(self.n_layers * sizeof(Layer))
        self.layers = <Layer *>self.table.data
        for l in range(self.n_layers):
            layer = &self.layers[l]
            layer.n_in = units[l - 1] if l else n_inputs
            layer.n_out = units[l]
            layer.activation = layer.slope = activation_of(activations[l])
            layer.dropout = 0 if dropout is None else dropout[l]
            if fbp_needs_slope(layer.activation.code) or layer.dropout > 0:
                layer.slope.code = FBP_KEPT
            layer.ld_in = fbp_leading_dimension(layer.n_in, self.item)
            layer.ld = fbp_leading_dimension(layer.n_out, self.item)
            layer.bias = end
            layer.weight = end + layer.ld * self.item
            if <double>layer.n_in * layer.ld * self.item > MOST_BYTES - end:
                raise MemoryError(f"layer {l}: no memory for a weight of {layer.n_in} x {layer.n_out}")
            end = layer.weight + layer.n_in * layer.ld * self.item
        self.memory = Memory(end)
        self.arena = np.frombuffer(self.memory, self.dtype)

    cdef const fbp_kernels *kernels(self) except NULL:
        return kernels_of(None, self.dtype_code)

    cdef Py_ssize_t flops_of_a_row(self) noexcept:
        """Floating point operations of the forward pass of one row."""
        cdef Py_ssize_t l, total = 0
        for l in range(self.n_layers):
            total += 2 * self.layers[l].n_in * self.layers[l].n_out
        return total

    cdef bint drops(self) noexcept:
        """Whether any layer has dropout."""
        cdef Py_ssize_t l
        for l in range(self.n_layers):
            if self.layers[l].dropout > 0:
                return True
        return False

    def weight(self, Py_ssize_t i):
        """View [n_in, n_out] of layer i's weight."""
        cdef Layer *layer = &self.layers[i]
        whole = np.frombuffer(self.memory, self.dtype, layer.n_in * layer.ld, layer.weight)
        return whole.reshape(layer.n_in, layer.ld)[:, :layer.n_out]

    def bias(self, Py_ssize_t i):
        """View [n_out] of layer i's bias."""
        return np.frombuffer(self.memory, self.dtype, self.layers[i].n_out, self.layers[i].bias)
