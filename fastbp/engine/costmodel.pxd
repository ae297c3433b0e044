"""How a step is cut up: threads, rows of a slot, phases."""

from fastbp.engine.forward cimport Layer
from fastbp.engine.plan cimport Regime

cdef struct Cut:
    int team                # threads that a step is worth
    Regime regime
    Py_ssize_t rows         # of a slot
    bint interruptible      # whether it takes so long that it looks for signals in its midst
    bint holds              # whether it holds its gradients, so that it can be dropped until all are known

cdef struct Forced:
    # What tests have set in place of the cost model's choice.
    bint active             # whether they have; then every step is worth all threads that find rows
    int regime              # a Regime, or -1: the model's choice
    int apart               # whether the first layer's weights go apart in the wide regime, or -1: for longer calls
    bint helps              # whether waiting threads help others

cdef Forced forced() noexcept
cdef Cut cut_of(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, int n_threads, size_t item, bint may_stream) except *
cdef list phases_of(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Cut cut, size_t item)
cdef list blocks_of_team(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Cut cut, size_t item)
