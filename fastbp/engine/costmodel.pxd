"""The partition of a step: threads, regime, rows of a slot, phases, blocks."""

from fastbp.engine.forward cimport Node
from fastbp.engine.plan cimport Regime

cdef struct Partition:
    int team                # threads that a step is worth
    Regime regime
    Py_ssize_t rows         # of a slot
    bint interruptible      # whether a step is so long that it looks for signals itself
    bint by_row             # in the SPARSE regime: whether only those rows of the first weight are updated that have a gradient
    bint holds              # whether gradients are held, so that a step can be dropped until all are known

cdef struct Forced:
    # Choices that tests force in place of the cost model's.
    bint active             # whether anything is forced; then a step gets all threads that find rows
    int regime              # a Regime, or -1: the model's choice
    int packs               # whether the wide regime packs the first layer's weight, or -1: in longer calls
    bint helps              # whether waiting threads help others
    Py_ssize_t region_steps # of a region of `Trainer.fit`, or 0: as many as its time allows

cdef Forced forced() noexcept
cdef Partition partition(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, int n_threads, size_t item,
                         bint may_stream, bint sparse, bint by_row, double l2) except *
cdef list phases_of(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, Partition partition, size_t item)
cdef list blocks_of_team(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, Partition partition, size_t item)
