"""Checks of arrays in compiled code: they run before every call, and in Python they would dominate the time of one row."""

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals

from fastbp.engine.runtime cimport FBP_F32, FBP_F64, fbp_kernels, kernels_of

cnp.import_array()

cdef enum:
    BETWEEN_SIGNALS = 1 << 24   # elements: some milliseconds


def in_form(x, dtype, Py_ssize_t n_columns=-1):
    """Whether x is a plain, C-contiguous, aligned array of this very dtype, and [n >= 1, n_columns] if those are given."""
    if not cnp.PyArray_CheckExact(x):
        return False
    cdef cnp.ndarray array = x
    if <object>cnp.PyArray_DESCR(array) is not dtype or not cnp.PyArray_ISCARRAY_RO(array):
        return False
    return n_columns < 0 or (cnp.PyArray_NDIM(array) == 2 and cnp.PyArray_DIM(array, 1) == n_columns
                             and cnp.PyArray_DIM(array, 0) > 0)


def all_finite(cnp.ndarray array):
    """Whether every element of a C-contiguous float32 or float64 array is finite."""
    cdef const fbp_kernels *kernels = kernels_of(None, FBP_F32 if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT32 else FBP_F64)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(array), first = 0
    cdef char *data = <char *>cnp.PyArray_DATA(array)
    cdef int finite = True
    if n < 4096:
        return kernels.all_finite(data, n) != 0
    while finite and first < n:
        with nogil:
            finite = kernels.all_finite(data + first * kernels.item, min(n - first, <Py_ssize_t>BETWEEN_SIGNALS))
        first += BETWEEN_SIGNALS
        PyErr_CheckSignals()
    return finite != 0


def largest(cnp.ndarray array):
    """The largest absolute value of a C-contiguous float32 or float64 array; NaN if any value is not finite."""
    cdef const fbp_kernels *kernels = kernels_of(None, FBP_F32 if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT32 else FBP_F64)
    return kernels.largest(cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array))
