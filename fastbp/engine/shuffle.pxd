"""Shuffling in compiled code."""

cimport numpy as cnp

cdef int shuffle(cnp.ndarray order, bit_generator) except -1
