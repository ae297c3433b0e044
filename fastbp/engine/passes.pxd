"""Parameters with forward passes over many rows."""

from fastbp.engine.parameters cimport Parameters

cdef class Passes(Parameters):
    pass
