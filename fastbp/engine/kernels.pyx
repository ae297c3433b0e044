"""The kernels one by one, for the tests: padded C-contiguous arrays of one dtype, written in place."""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint8_t

from fastbp.engine.backward cimport Block, Place, apply_block, block_gradient, blocks_of, update_of
from fastbp.engine.forward cimport Node, activation_of
from fastbp.engine.runtime cimport (FBP_F32, FBP_F64, FBP_SAVED_SLOPE, Memory, code_of, fbp_activation, fbp_delta_scratch, fbp_dropout,
                                    fbp_dropout_key, fbp_function, fbp_gate, fbp_kernels, fbp_loss, fbp_part, fbp_state,
                                    fbp_state_at, fbp_update, fbp_update_block, fbp_update_block_lines, fbp_update_scratch,
                                    kernels_of)

from fastbp.engine.runtime import FUNCTIONS, GATES, LOSSES

cnp.import_array()


cdef void *data_or_null(array):
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray>array)


def table(str isa, dtype):
    """The address of a kernel set's fbp_kernels."""
    return <size_t>kernels_of(isa, FBP_F32 if np.dtype(dtype) == np.float32 else FBP_F64)


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
                        fbp_activation(FBP_SAVED_SLOPE, 0) if activation is None else activation_of(activation))


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
    cdef Node node
    cdef Block block
    cdef char *gradient
    cdef Memory scratch = Memory((fbp_update_scratch(batch, item) + fbp_update_block(batch, item)) * item)
    cuts = [batch] if rows_of_parts is None else rows_of_parts
    cdef Memory memory = Memory(len(cuts) * sizeof(fbp_part))
    cdef fbp_part *parts = <fbp_part *>memory.data
    node.n_in, node.n_out = n_in, n_out
    for _, block.first, block.rows, block.column, block.n in blocks_of(&node, batch, item, 1, fbp_update_block_lines(batch)):
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


def loss_delta(cnp.ndarray delta, cnp.ndarray row_loss, correct, cnp.ndarray output, cnp.ndarray target, Py_ssize_t n_out,
               loss, activation, double scale, isa=None, slope=None, double parameter=0, bint classes=False):
    """delta [batch, ld] OUT = scale * dL/dz, row_loss [batch] OUT, correct [batch] OUT or None; slope like output, or None."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if delta.dtype == np.float32 else FBP_F64)
    kernels.loss_delta(cnp.PyArray_DATA(delta), <double *>cnp.PyArray_DATA(row_loss), <uint8_t *>data_or_null(correct),
                       cnp.PyArray_DATA(output), data_or_null(slope), cnp.PyArray_DATA(target), delta.shape[0], n_out,
                       delta.shape[1], <fbp_loss>code_of(LOSSES, loss, "loss"), activation_of(activation), scale, parameter,
                       classes)


def weigh_rows(cnp.ndarray delta, cnp.ndarray row_loss, cnp.ndarray weights, Py_ssize_t n_out, double count, double total,
               isa=None):
    """delta [rows, ld] INOUT *= weights * count / total, row_loss [rows] INOUT *= weights; 0 where the weight is."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if delta.dtype == np.float32 else FBP_F64)
    kernels.weigh_rows(cnp.PyArray_DATA(delta), <double *>cnp.PyArray_DATA(row_loss), <double *>cnp.PyArray_DATA(weights),
                       delta.shape[0], n_out, delta.shape[1], count, total)


def smooth_rows(cnp.ndarray target, Py_ssize_t n_out, double smoothing, isa=None):
    """target [rows, ld] INOUT = (1 - smoothing) target + smoothing / n_out."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if target.dtype == np.float32 else FBP_F64)
    kernels.smooth_rows(cnp.PyArray_DATA(target), target.shape[0], n_out, target.shape[1], smoothing)


def gate_forward(cnp.ndarray y, cnp.ndarray z, Py_ssize_t n, Py_ssize_t pieces, gate, activation="linear", isa=None):
    """y [rows, ldy] OUT from z [rows, ldz], `pieces` of n units in whole 64-byte lines each."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if y.dtype == np.float32 else FBP_F64)
    kernels.gate_forward(cnp.PyArray_DATA(y), cnp.PyArray_DATA(z), y.shape[0], n, pieces, y.shape[1], z.shape[1],
                         <fbp_gate>code_of(GATES, gate, "gate"), activation_of(activation))


def gate_delta(cnp.ndarray dz, cnp.ndarray dy, cnp.ndarray z, Py_ssize_t n, Py_ssize_t pieces, gate,
               activation="linear", isa=None):
    """dz like z, OUT, from dy [rows, ldy]."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if dy.dtype == np.float32 else FBP_F64)
    kernels.gate_delta(cnp.PyArray_DATA(dz), cnp.PyArray_DATA(dy), cnp.PyArray_DATA(z), dy.shape[0], n, pieces, dy.shape[1],
                       z.shape[1], <fbp_gate>code_of(GATES, gate, "gate"), activation_of(activation))


def add_rows(cnp.ndarray out, cnp.ndarray a, cnp.ndarray b, Py_ssize_t n, isa=None):
    """out [rows, ldo] OUT = a [rows, lda] + b [rows, ldb] in the first n columns."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if out.dtype == np.float32 else FBP_F64)
    kernels.add_rows(cnp.PyArray_DATA(out), cnp.PyArray_DATA(a), cnp.PyArray_DATA(b), out.shape[0], n, out.shape[1],
                     a.shape[1], b.shape[1])
