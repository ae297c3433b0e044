"""Delta backward through all layers for some rows, and the update of a layer's weight block by block."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from fastbp.engine.forward cimport ADD, DENSE, GATE, activation_of
from fastbp.engine.runtime cimport (FBP_F32, FBP_F64, FBP_KEPT, FBP_LINE_BYTES, Memory, code_of, fbp_activation, fbp_bias_update,
                                    fbp_delta_scratch, fbp_loss, fbp_rule, fbp_state_at, fbp_update_block, fbp_update_block_lines,
                                    fbp_update_block_rows, fbp_update_of, fbp_update_scratch, kernels_of)

from fastbp.engine.runtime import LOSSES, RULES

cnp.import_array()


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


def column_blocks(first, end, most):
    """(begin, end) of blocks of about `most` lines, without a thin last one: for 3 of them, panels as the kernels would cut."""
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


# The kernels one by one, for the tests: padded C-contiguous arrays of one dtype, written in place.

cdef void *data_or_null(array):
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray>array)


def dense_delta(cnp.ndarray dx, cnp.ndarray dy, cnp.ndarray weight, cnp.ndarray x, Py_ssize_t n_in, Py_ssize_t n_out,
                activation, isa=None):
    """dx [batch, ldx] OUT = (dy [batch, ldy] @ weight [n_in, ldw].T) * f'(x), x [batch, ldx] the lower layer's output.

    Without an activation x is that layer's slope itself.
    """
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if dx.dtype == np.float32 else FBP_F64)
    cdef Py_ssize_t batch = dx.shape[0]
    cdef Memory scratch = Memory(fbp_delta_scratch(n_out, batch, kernels.item) * kernels.item)
    kernels.dense_delta(cnp.PyArray_DATA(dx), cnp.PyArray_DATA(dy), cnp.PyArray_DATA(weight), cnp.PyArray_DATA(x),
                        scratch.data, batch, batch, n_in, n_out, dx.shape[1], dy.shape[1], weight.shape[1],
                        fbp_activation(FBP_KEPT, 0) if activation is None else activation_of(activation))


def dense_update(cnp.ndarray weight, cnp.ndarray bias, weight_velocity, bias_velocity, cnp.ndarray x, cnp.ndarray dy,
                 Py_ssize_t n_in, Py_ssize_t n_out, rule, double learning_rate, double momentum, double l2, isa=None,
                 rows_of_parts=None):
    """weight [n_in, ldw], bias [ldw] and their velocities INOUT, by the gradient of x [batch, ldx] and dy [batch, ldy].

    `rows_of_parts` cuts the batch in pieces; they do not show in the result.
    """
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if weight.dtype == np.float32 else FBP_F64)
    cdef fbp_update update = update_of(rule, {"learning_rate": learning_rate, "momentum": momentum, "l2": l2})
    cdef fbp_state weight_state, bias_state
    weight_state.m, bias_state.m = data_or_null(weight_velocity), data_or_null(bias_velocity)
    weight_state.v = bias_state.v = NULL
    cdef Py_ssize_t batch = x.shape[0], item = kernels.item, first, row = 0, at
    cdef Place place
    cdef Layer layer
    cdef Block block
    cdef char *gradient
    cdef Memory scratch = Memory((fbp_update_scratch(batch, item) + fbp_update_block(batch, item)) * item)
    cuts = [batch] if rows_of_parts is None else rows_of_parts
    cdef Memory memory = Memory(len(cuts) * sizeof(fbp_part))
    cdef fbp_part *parts = <fbp_part *>memory.data
    layer.n_in, layer.n_out = n_in, n_out
    for _, block.first, block.rows, block.column, block.n in blocks_of(&layer, batch, item, 1, fbp_update_block_lines(batch)):
        row = 0
        for i, rows in enumerate(cuts):
            parts[<Py_ssize_t>i] = fbp_part(
                x=<char *>cnp.PyArray_DATA(x) + (row * x.shape[1] + block.first) * item,
                dy=<char *>cnp.PyArray_DATA(dy) + (row * dy.shape[1] + block.column) * item, rows=rows)
            row += rows
        at = (block.first * weight.shape[1] + block.column) * item
        place = Place(weight=<char *>cnp.PyArray_DATA(weight) + at, state=fbp_state_at(weight_state, at), ld=weight.shape[1])
        gradient = block_gradient(scratch.data, &place, parts, len(cuts), &block, kernels, batch, x.shape[1], dy.shape[1], NULL)
        apply_block(&place, <char *>cnp.PyArray_DATA(bias), bias_state, gradient, &block, kernels, &update)


def apply_gradient(cnp.ndarray weight, m, v, cnp.ndarray gradient, rule, isa=None, **numbers):
    """weight [rows, ld], m and v of its shape (or None) INOUT, by gradient [rows, ld] and the fields of fbp_update given."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if weight.dtype == np.float32 else FBP_F64)
    cdef fbp_update update = update_of(rule, numbers)
    cdef fbp_state state
    state.m, state.v = data_or_null(m), data_or_null(v)
    kernels.apply_gradient(cnp.PyArray_DATA(weight), state, cnp.PyArray_DATA(gradient), weight.shape[0], weight.shape[1],
                           weight.shape[1], &update)


def loss_delta(cnp.ndarray delta, cnp.ndarray row_loss, hit, cnp.ndarray output, cnp.ndarray target, Py_ssize_t n_out,
               loss, activation, double scale, isa=None, slope=None, double parameter=0):
    """delta [batch, ld] OUT = scale * dL/dz, row_loss [batch] OUT, hit [batch] OUT or None; slope like output, or None."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if delta.dtype == np.float32 else FBP_F64)
    kernels.loss_delta(cnp.PyArray_DATA(delta), <double *>cnp.PyArray_DATA(row_loss), <uint8_t *>data_or_null(hit),
                       cnp.PyArray_DATA(output), data_or_null(slope), cnp.PyArray_DATA(target), delta.shape[0], n_out,
                       delta.shape[1], <fbp_loss>code_of(LOSSES, loss, "loss"), activation_of(activation), scale, parameter)


def smooth_rows(cnp.ndarray target, Py_ssize_t n_out, double smoothing, isa=None):
    """target [rows, ld] INOUT = (1 - smoothing) target + smoothing / n_out."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if target.dtype == np.float32 else FBP_F64)
    kernels.smooth_rows(cnp.PyArray_DATA(target), target.shape[0], n_out, target.shape[1], smoothing)
