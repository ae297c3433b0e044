"""What the gate asks of arrays, in compiled code: it runs before every call, and for one row it would take longest."""

cimport numpy as cnp

from fastbp.engine.runtime cimport FBP_F32, FBP_F64, fbp_kernels, kernels_of

cnp.import_array()


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
    cdef Py_ssize_t n = cnp.PyArray_SIZE(array)
    cdef void *data = cnp.PyArray_DATA(array)
    cdef int finite
    if n < 4096:
        return kernels.all_finite(data, n) != 0
    with nogil:
        finite = kernels.all_finite(data, n)
    return finite != 0
