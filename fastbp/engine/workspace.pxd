"""The memory of a run that depends on the batch."""

from fastbp.engine.costmodel cimport Partition
from fastbp.engine.runtime cimport Memory
from fastbp.engine.plan cimport Plan

cdef int make_workspace(Plan *p, Py_ssize_t batch, Partition partition, const char *follow, Memory memory) except -1
cdef void clear_slots(Plan *p) noexcept nogil
cdef void reset_phases(Plan *p) noexcept nogil
cdef Py_ssize_t slots_of_batch(const Plan *p) noexcept nogil
