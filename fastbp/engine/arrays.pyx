"""Checks of arrays in compiled code: they run before every call, and in Python they would dominate the time of one row."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.weakref cimport PyWeakref_NewRef
from libc.math cimport isfinite
from libc.stdint cimport int64_t

from fastbp.engine.runtime cimport FBP_F32, FBP_F64, fbp_kernels, kernels_of

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(PyTypeObject *kind, cnp.dtype dtype, int axes, cnp.npy_intp *shape, cnp.npy_intp *strides, void *data,
                                int flags, void *owner)

cdef enum:
    BETWEEN_SIGNALS = 1 << 24   # elements: some milliseconds
    SMALL = 4096                # elements: a microsecond or so

cdef dict DOMAINS = {"real": REAL, "unit": UNIT, "count": COUNT, "distribution": DISTRIBUTION, "one_hot": ONE_HOT, "sign": SIGN,
                     "bit": BIT}

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
    if n < SMALL:
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


cdef Domain domain_of(str name) except *:
    return <Domain><int>DOMAINS[name]


cdef bint in_domain(const void *y, Py_ssize_t row, Py_ssize_t n, int dtype_code, Domain domain) noexcept nogil:
    """Whether a row of y [rows, n] is finite and one that losses with this domain take."""
    cdef Py_ssize_t i
    cdef double t, total = 0
    for i in range(row * n, (row + 1) * n):
        t = (<const float *>y)[i] if dtype_code == FBP_F32 else (<const double *>y)[i]
        total += t
        if not isfinite(t):
            return False
        if domain == SIGN and t != 1 and t != -1:
            return False
        if (domain == BIT or domain == ONE_HOT) and t != 0 and t != 1:
            return False
        if domain != REAL and domain != SIGN and t < 0 or domain == UNIT and t > 1:
            return False
    if domain == DISTRIBUTION:
        return abs(total - 1) <= 1e-3  # PROBABILITY_SUM_TOLERANCE
    return domain != ONE_HOT or total == 1


def small_examples(x, y, dtype, Py_ssize_t n_inputs, Py_ssize_t n_outputs, str domain, bint labels):
    """Return views of rows and targets if both are small, as the engine takes them and as they should be, else None.

    That is all the checking of most calls in a loop of single steps; what else comes is for `_check`, which has the errors too.
    With `labels`, y may be int64 classes [n].
    """
    if not (cnp.PyArray_CheckExact(x) and cnp.PyArray_CheckExact(y)):
        return None
    x, y = held(x), held(y)
    cdef cnp.ndarray rows = x, targets = y
    if not in_form(x, dtype, n_inputs) or not cnp.PyArray_NDIM(targets) or not cnp.PyArray_ISCARRAY_RO(targets):
        return None
    cdef Py_ssize_t i, n = cnp.PyArray_DIM(rows, 0)
    if cnp.PyArray_SIZE(rows) + cnp.PyArray_SIZE(targets) > SMALL or cnp.PyArray_DIM(targets, 0) != n or not all_finite(rows):
        return None
    cdef const void *data = cnp.PyArray_DATA(targets)
    cdef int dtype_code = FBP_F32 if cnp.PyArray_TYPE(rows) == cnp.NPY_FLOAT32 else FBP_F64
    cdef Domain wanted = domain_of(domain)
    if in_form(y, dtype, n_outputs):
        for i in range(n):
            if not in_domain(data, i, n_outputs, dtype_code, wanted):
                return None
        return x, y
    if not labels or cnp.PyArray_NDIM(targets) != 1 or cnp.PyArray_TYPE(targets) != cnp.NPY_INT64:
        return None
    for i in range(n):
        if not 0 <= (<const int64_t *>data)[i] < n_outputs:
            return None
    return x, y
