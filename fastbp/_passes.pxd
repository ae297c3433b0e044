"""Parameters with forward passes over many rows."""

from fastbp._parameters cimport Parameters

cdef class Passes(Parameters):
    pass
