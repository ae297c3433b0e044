"""How a step is cut up: threads, rows of a slot, phases."""

from fastbp.engine.forward cimport Layer

cdef struct Cut:
    int team                # threads that a step is worth
    bint wide               # threads own columns, not rows
    Py_ssize_t rows         # of a slot

cdef Cut cut_of(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, int n_threads, size_t item, bint always_share)
cdef list phases_of(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Cut cut, size_t item)
cdef list blocks_of_team(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Cut cut, size_t item)
