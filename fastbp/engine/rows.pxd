"""The rows that a pass or a run reads: an array of the network's dtype, or Rows."""

cimport numpy as cnp

from fastbp.engine.runtime cimport fbp_rows

cdef class Rows:
    cdef fbp_rows rows
    cdef Py_ssize_t count
    cdef readonly cnp.ndarray data
    cdef readonly object mean, scale

cdef class SparseRows(Rows):
    cdef readonly cnp.ndarray columns, starts
    cdef readonly bint leaves_out_zeros
    cdef Rows column_of_numbers(self)

cdef fbp_rows rows_of(x) except *
cdef bint converts(const fbp_rows *rows, int dtype_code) noexcept nogil
