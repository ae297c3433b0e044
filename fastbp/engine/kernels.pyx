"""The kernels of gates and sums one by one, for the tests: padded C-contiguous arrays of one dtype, written in place."""

import numpy as np

cimport numpy as cnp

from fastbp.engine.forward cimport activation_of
from fastbp.engine.runtime cimport FBP_F32, FBP_F64, code_of, fbp_gate, fbp_kernels, kernels_of

from fastbp.engine.runtime import GATES

cnp.import_array()


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
