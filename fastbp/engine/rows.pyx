"""Rows of any type of number, used in place: the engine converts them batch by batch."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

from fastbp.engine.runtime cimport FBP_F32, FBP_F64, FBP_FLOAT32, FBP_FLOAT64, Memory, fbp_kernels, fbp_number, kernels_of

from fastbp.engine.runtime import NUMBERS

cnp.import_array()

cdef enum:
    BYTES_OF_A_BLOCK = 1 << 17      # of converted rows: they stay in cache until they are looked at
    BETWEEN_SIGNALS = 1 << 22       # elements: some milliseconds

cdef dict CODES = {np.dtype(name): code for name, code in NUMBERS.items()}


def usable(x):
    """Whether x is a plain, C-contiguous, aligned array of a type of number that the engine converts."""
    return cnp.PyArray_CheckExact(x) and cnp.PyArray_ISCARRAY_RO(x) and x.dtype in CODES


cdef class Rows:
    """Rows [n, columns] of an array for which `usable` is true; read in place, never copied whole.

    Parameters
    ----------
    data : ndarray
    mean, scale : ndarray or None
        float64 [columns], C-contiguous, both or neither: the engine sees (x - mean) * scale, computed in double and rounded once.

    As of an array, `len` is the number of rows; an index chooses rows.
    """

    def __init__(self, cnp.ndarray data, cnp.ndarray mean=None, cnp.ndarray scale=None):
        self.data, self.mean, self.scale = data, mean, scale
        self.count = cnp.PyArray_DIM(data, 0)
        self.rows.data = cnp.PyArray_DATA(data)
        self.rows.type = <fbp_number><int>CODES[data.dtype]
        self.rows.n = cnp.PyArray_DIM(data, 1)
        self.rows.mean = NULL if mean is None else <double *>cnp.PyArray_DATA(mean)
        self.rows.scale = NULL if scale is None else <double *>cnp.PyArray_DATA(scale)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return Rows(np.ascontiguousarray(self.data[index]), self.mean, self.scale)

    def converted(self, dtype):
        """The array [n, columns] of float32 or float64 that the engine sees."""
        cdef cnp.ndarray out = np.empty((self.count, self.rows.n), dtype)
        cdef const fbp_kernels *kernels = kernels_of(None, code_of_float(out.dtype))
        cdef char *data = <char *>cnp.PyArray_DATA(out)
        with nogil:
            kernels.convert_rows(data, &self.rows, NULL, 0, self.count, self.rows.n)
        return out

    def all_finite(self, dtype):
        """Whether every element is finite as the engine sees it in float32 or float64."""
        return self.first_not_finite(dtype) is None

    def first_not_finite(self, dtype):
        """The first block of rows with an element that is not finite as the engine sees it: a slice; None if there is none."""
        cdef const fbp_kernels *kernels = kernels_of(None, code_of_float(np.dtype(dtype)))
        cdef Py_ssize_t columns = self.rows.n, first = 0, lot
        cdef Py_ssize_t block = max(1, BYTES_OF_A_BLOCK // (columns * <Py_ssize_t>kernels.item)), rows = 0
        cdef Memory buffer
        cdef bint finite = True
        if self.rows.type != FBP_FLOAT32 and self.rows.type != FBP_FLOAT64 and self.rows.mean == NULL:
            return None
        buffer = Memory(min(block, self.count) * columns * kernels.item)
        while first < self.count:
            lot = min(self.count, first + max(block, BETWEEN_SIGNALS // columns))
            with nogil:
                while finite and first < lot:
                    rows = min(block, lot - first)
                    kernels.convert_rows(buffer.data, &self.rows, NULL, first, rows, columns)
                    finite = kernels.all_finite(buffer.data, rows * columns) != 0
                    first += rows
            if not finite:
                return slice(first - rows, first)
            PyErr_CheckSignals()
        return None


cdef int code_of_float(dtype) except -1:
    return FBP_F32 if dtype == np.float32 else FBP_F64


cdef fbp_rows rows_of(x) except *:
    """The rows of an array [n, columns] of float32 or float64, or of Rows."""
    cdef cnp.ndarray array
    if isinstance(x, Rows):
        return (<Rows>x).rows
    array = <cnp.ndarray?>x
    return fbp_rows(data=cnp.PyArray_DATA(array), n=cnp.PyArray_DIM(array, 1), mean=NULL, scale=NULL,
                    type=FBP_FLOAT32 if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT32 else FBP_FLOAT64)


cdef bint converts(const fbp_rows *rows, int dtype_code) noexcept nogil:
    """Whether a network of this dtype sees other numbers than the rows have."""
    return rows.mean != NULL or rows.type != (FBP_FLOAT32 if dtype_code == FBP_F32 else FBP_FLOAT64)
