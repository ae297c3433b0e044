"""Checks of arrays in compiled code: they run before every call, and in Python they would dominate the time of one row."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.weakref cimport PyWeakref_NewRef

from fastbp.engine.runtime cimport FBP_F32, FBP_F64, fbp_kernels, kernels_of

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(PyTypeObject *kind, cnp.dtype dtype, int axes, cnp.npy_intp *shape, cnp.npy_intp *strides, void *data,
                                int flags, void *owner)

cdef enum:
    BETWEEN_SIGNALS = 1 << 24   # elements: some milliseconds


cdef object MASKED = np.ma.MaskedArray


cdef class Hold:
    """Keeps an array and its memory: NumPy does not resize an array that has a weak reference, not even without its own checks."""
    cdef object array, reference


def held(x):
    """A plain, read-only view of an array: what others do to its shape, strides or type afterwards does not change the view.

    Nor can they resize the array, which would free the memory, as long as the view is there. What is no array, or a masked one, is
    returned as it is.
    """
    if not cnp.PyArray_Check(x) or (not cnp.PyArray_CheckExact(x) and isinstance(x, MASKED)):
        return x
    cdef cnp.ndarray array = x
    cdef Hold hold = Hold.__new__(Hold)
    cdef cnp.dtype dtype = <cnp.dtype>cnp.PyArray_DESCR(array)
    cdef cnp.ndarray view
    hold.array, hold.reference = array, PyWeakref_NewRef(array, None)
    Py_INCREF(dtype)  # the view takes it over
    view = PyArray_NewFromDescr(<PyTypeObject *>cnp.ndarray, dtype, cnp.PyArray_NDIM(array), cnp.PyArray_DIMS(array),
                                cnp.PyArray_STRIDES(array), cnp.PyArray_DATA(array), cnp.PyArray_FLAGS(array) & cnp.NPY_ARRAY_ALIGNED,
                                NULL)
    cnp.set_array_base(view, hold)
    return view


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
