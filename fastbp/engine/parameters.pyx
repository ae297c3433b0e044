"""The parameters of a network in one arena, and what a pass over rows needs besides: targets, the size of the team."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

from fastbp.engine.forward cimport ADD, BRANCH, DENSE, GATE, Op, activation_of
from fastbp.engine.runtime cimport (FBP_F32, FBP_F64, FBP_KEPT, Memory, code_of, fbp_gate, fbp_leading_dimension, fbp_needs_slope,
                                    kernels_of)

from fastbp.engine.runtime import GATES

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

OPS = {"dense": DENSE, "gate": GATE, "branch": BRANCH, "add": ADD}

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


cdef bint is_branched(const Layer *layers, Py_ssize_t source, Py_ssize_t end) noexcept:
    """Whether a branch of this layer is among those before `end`."""
    cdef Py_ssize_t l
    for l in range(end):
        if layers[l].op == BRANCH and layers[l].below == source:
            return True
    return False


cdef class Parameters:
    """Weights and biases of all layers in one 64-byte aligned arena, all zero at first.

    A weight is [n_in][ld], a bias [ld]; users see views of shape [n_in, n_out] and [n_out] of the same memory. An activation is
    a name, or a pair of name and parameter; `dropout` are the rates of the layers. Without a `wiring` each layer is above the one
    before; it is (nodes, tops): for each layer what `wire` takes, and the layers that `activations` tells of.
    """

    def __init__(self, Py_ssize_t n_inputs, units, activations, dtype, dropout=None, wiring=None):
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
        self.wiring = wiring
        for l in range(self.n_layers):
            layer = &self.layers[l]
            layer.n_out = units[l]
            layer.activation = layer.slope = activation_of(activations[l])
            layer.dropout = 0 if dropout is None else dropout[l]
            if fbp_needs_slope(layer.activation.code) or layer.dropout > 0:
                layer.slope.code = FBP_KEPT
            layer.ld = fbp_leading_dimension(layer.n_out, self.item)
            if wiring is None:
                self.wire(l, "dense", l - 1)
            else:
                self.wire(l, *wiring[0][l])
            if layer.op != DENSE:
                continue
            layer.bias = end
            layer.weight = end + layer.ld * self.item
            if <double>layer.n_in * layer.ld * self.item > MOST_BYTES - end:
                raise MemoryError(f"layer {l}: no memory for a weight of {layer.n_in} x {layer.n_out}")
            end = layer.weight + layer.n_in * layer.ld * self.item
        self.memory = Memory(end)
        self.arena = np.frombuffer(self.memory, self.dtype)

    def wire(self, Py_ssize_t l, op, Py_ssize_t below, Py_ssize_t other=-1, Py_ssize_t pieces=0, gate="maxout", f="linear"):
        """Say what layer l does, above which layer (-1: the data); f is the activation of a gate that has one."""
        cdef Layer *layer = &self.layers[l]
        cdef Py_ssize_t n_below = self.layers[below].n_out if below >= 0 else self.n_inputs
        layer.op, layer.below, layer.other = <Op><int>OPS[op], below, other
        layer.source = self.layers[below].source if below >= 0 and self.layers[below].op == BRANCH else below
        layer.n_in = n_below if layer.op == DENSE else 0
        layer.ld_in = fbp_leading_dimension(n_below, self.item)
        layer.pieces, layer.gate, layer.gate_activation = pieces, <fbp_gate>code_of(GATES, gate, "gate"), activation_of(f)
        layer.below_slope = self.layers[below].slope if below >= 0 else activation_of("linear")
        if layer.op != BRANCH and is_branched(self.layers, below, l):
            layer.below_slope = activation_of("linear")

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
