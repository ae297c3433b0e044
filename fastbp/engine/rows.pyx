"""Rows of any type of number, used in place: the engine converts them batch by batch."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t

from fastbp.engine.runtime cimport (FBP_F32, FBP_F64, FBP_FLOAT32, FBP_FLOAT64, FBP_INT32, FBP_INT64, Memory, fbp_kernels, fbp_number,
                                    kernels_of)

from fastbp.engine.runtime import NUMBERS

cnp.import_array()

cdef enum:
    BYTES_OF_A_BLOCK = 1 << 17      # of converted rows: they stay in cache until they are looked at
    BETWEEN_SIGNALS = 1 << 22       # elements: some milliseconds
    ROWS_OF_A_LOT = 1 << 14         # of a sparse matrix: the same
    ZEROS_OF_A_NUMBER = 8           # with fewer zeros, dense sums are faster: these read a weight once for several rows

FAULTS = ("", "fall", "end", "column")      # see `structure`

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

    @property
    def shape(self):
        return self.count, self.rows.n

    @property
    def dtype(self):
        """Of the numbers as they were given."""
        return self.data.dtype

    def of(self, cnp.ndarray data):
        """The same rows with a copy of their numbers."""
        return Rows(data, self.mean, self.scale)

    def unmapped(self):
        """The array [n, columns] of the numbers as they were given."""
        return self.data

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

    def largest(self, dtype):
        """The largest absolute value as the engine sees it in float32 or float64; NaN if any is not finite."""
        cdef const fbp_kernels *kernels = kernels_of(None, code_of_float(np.dtype(dtype)))
        cdef Py_ssize_t columns = self.rows.n, first, block = max(1, BYTES_OF_A_BLOCK // (columns * <Py_ssize_t>kernels.item)), rows
        cdef Memory buffer = Memory(min(block, self.count) * columns * kernels.item)
        cdef double most = 0, one
        for first in range(0, self.count, block):
            rows = min(block, self.count - first)
            with nogil:
                kernels.convert_rows(buffer.data, &self.rows, NULL, first, rows, columns)
                one = kernels.largest(buffer.data, rows * columns)
            most = one if not one <= most else most
            if most != most:
                break
            PyErr_CheckSignals()
        return most


cdef class SparseRows(Rows):
    """Rows [n, n_columns] of a matrix in compressed sparse rows; read in place, never made dense whole.

    Parameters
    ----------
    data, columns, starts : ndarray
        Row i has the numbers data[k] in columns[k], k from starts[i] to starts[i + 1] - 1, and 0 elsewhere. One-dimensional,
        C-contiguous; data of a type as for `Rows`, the others both int32 or both int64, for which `structure` has found nothing.
    n_columns : int
    mean, scale : ndarray or None
        As for `Rows`.

    `leaves_out_zeros` says whether the engine reads the numbers alone: a zero is one after the map, too, and there are few numbers.
    """

    def __init__(self, cnp.ndarray data, cnp.ndarray columns, cnp.ndarray starts, Py_ssize_t n_columns, cnp.ndarray mean=None,
                 cnp.ndarray scale=None):
        self.data, self.columns, self.starts, self.mean, self.scale = data, columns, starts, mean, scale
        self.count = cnp.PyArray_DIM(starts, 0) - 1
        self.rows.data, self.rows.starts = cnp.PyArray_DATA(data), cnp.PyArray_DATA(starts)
        self.rows.columns = cnp.PyArray_DATA(columns)
        self.rows.type = <fbp_number><int>CODES[data.dtype]
        self.rows.index = FBP_INT64 if starts.dtype == np.int64 else FBP_INT32
        self.rows.n, self.rows.n_values = n_columns, min(cnp.PyArray_DIM(data, 0), cnp.PyArray_DIM(columns, 0))
        self.leaves_out_zeros = ((mean is None or not mean.any())
                                 and self.rows.n_values * ZEROS_OF_A_NUMBER <= <double>self.count * n_columns)
        self.rows.mean = NULL if mean is None else <double *>cnp.PyArray_DATA(mean)
        self.rows.scale = NULL if scale is None else <double *>cnp.PyArray_DATA(scale)

    def __getitem__(self, index):
        places, ends = self.numbers_of(index)
        return SparseRows(self.data[places], self.columns[places], ends.astype(self.starts.dtype), self.rows.n, self.mean, self.scale)

    def of(self, cnp.ndarray data):
        return SparseRows(data, self.columns, self.starts, self.rows.n, self.mean, self.scale)

    def unmapped(self):
        plain = SparseRows(self.data, self.columns, self.starts, self.rows.n)
        return plain.converted(np.float32 if self.data.dtype == np.float32 else np.float64)

    def numbers_of(self, index):
        """The places in `data` of the numbers of some rows, and where these rows begin among them."""
        first, end = self.spans()
        first, end = first[index], end[index]
        counts = end - first
        ends = np.cumsum(counts)
        places = np.arange(counts.sum()) + np.repeat(first - (ends - counts), counts)
        return places, np.append(0, ends)

    def spans(self):
        """The first number and the end of each row, within the arrays, whatever another thread has written to them."""
        starts = np.clip(self.starts, 0, self.rows.n_values).astype(np.int64)
        return starts[:self.count], np.maximum(starts[1:], starts[:self.count])

    def most(self, Py_ssize_t rows):
        """The most numbers that so many different rows have."""
        first, end = self.spans()
        counts = end - first
        if rows < self.count:
            counts = np.partition(counts, self.count - rows)[self.count - rows:]
        return int(counts.sum())

    def first_not_finite(self, dtype):
        if self.mean is not None:
            return Rows.first_not_finite(self, dtype)
        numbers = self.column_of_numbers()
        block = numbers.first_not_finite(dtype)
        if block is None:
            return None
        bad = block.start + int(np.argmin(np.isfinite(numbers[block].converted(dtype)[:, 0])))
        row = min(int(np.searchsorted(self.starts, bad, "right")), self.count) - 1
        return slice(row, row + 1)

    def largest(self, dtype):
        if self.mean is not None:
            return Rows.largest(self, dtype)
        return self.column_of_numbers().largest(dtype)

    cdef Rows column_of_numbers(self):
        """The numbers that are in a row, as rows of one column."""
        cdef Py_ssize_t end = min(max(int(self.starts[self.count]), 0), self.rows.n_values)
        return Rows(self.data[:end].reshape(-1, 1))


def structure(cnp.ndarray starts, cnp.ndarray columns, Py_ssize_t n_values, Py_ssize_t n_columns):
    """What keeps arrays from being those of a sparse matrix, and where: a word, the first that applies, and an index.

    "begin": the first start is not 0; "fall": a start is less than the one before; "end": the last one is beyond the numbers;
    "column": a column is out of range; "order": the columns of a row do not ascend, or one comes twice; "": nothing.
    """
    cdef const void *begin = cnp.PyArray_DATA(starts)
    cdef const void *column = cnp.PyArray_DATA(columns)
    cdef bint wide = starts.dtype == np.int64
    cdef Py_ssize_t n = cnp.PyArray_DIM(starts, 0) - 1, first, where = 0, unordered = -1
    cdef int what = 0
    n_values = min(n_values, cnp.PyArray_DIM(columns, 0))
    if at(begin, 0, wide) != 0:
        return "begin", 0
    for first in range(0, n, ROWS_OF_A_LOT):
        with nogil:
            what = look_at_rows(begin, column, first, min(n, first + ROWS_OF_A_LOT), n_values, n_columns, wide, &where, &unordered)
        if what:
            return FAULTS[what], where
        PyErr_CheckSignals()
    return ("order", unordered) if unordered >= 0 else ("", 0)


cdef int look_at_rows(const void *starts, const void *columns, Py_ssize_t first, Py_ssize_t end, Py_ssize_t n_values,
                      Py_ssize_t n_columns, bint wide, Py_ssize_t *where, Py_ssize_t *unordered) noexcept nogil:
    """The first fault of some rows but their order, an index of FAULTS; 0 for none."""
    cdef int64_t begin, stop, one, last, k
    cdef Py_ssize_t row
    for row in range(first, end):
        begin, stop, last = at(starts, row, wide), at(starts, row + 1, wide), -1
        if stop < begin or stop > n_values:
            where[0] = row + 1
            return 1 if stop < begin else 2
        for k in range(begin, stop):
            one = at(columns, k, wide)
            if not 0 <= one < n_columns:
                where[0] = k
                return 3
            if one <= last and unordered[0] < 0:
                unordered[0] = row
            last = one
    return 0


cdef inline int64_t at(const void *array, Py_ssize_t i, bint wide) noexcept nogil:
    return (<const int64_t *>array)[i] if wide else (<const int32_t *>array)[i]


cdef int code_of_float(dtype) except -1:
    return FBP_F32 if dtype == np.float32 else FBP_F64


cdef fbp_rows rows_of(x) except *:
    """The rows of an array [n, columns] of float32 or float64, or of Rows."""
    cdef cnp.ndarray array
    if isinstance(x, Rows):
        return (<Rows>x).rows
    array = <cnp.ndarray?>x
    return fbp_rows(data=cnp.PyArray_DATA(array), n=cnp.PyArray_DIM(array, 1), mean=NULL, scale=NULL, starts=NULL, columns=NULL,
                    index=FBP_INT64, n_values=0,
                    type=FBP_FLOAT32 if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT32 else FBP_FLOAT64)


cdef bint converts(const fbp_rows *rows, int dtype_code) noexcept nogil:
    """Whether a network of this dtype sees other numbers than the rows have."""
    return rows.mean != NULL or rows.starts != NULL or rows.type != (FBP_FLOAT32 if dtype_code == FBP_F32 else FBP_FLOAT64)
