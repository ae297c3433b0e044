"""The wide regime: threads own columns, and the first layer's weight may be packed into a piece for each of them."""

from fastbp.engine.plan cimport Fault, Kind, Plan, Worker

cdef Py_ssize_t packed_bytes(const Plan *p) noexcept
cdef void pack_first_layer(Plan *p, bint spoil) noexcept
cdef void place_blocks(Plan *p) noexcept nogil
cdef void unpack_first_layer(Plan *p) noexcept

cdef void gather_own(Worker *w, Py_ssize_t step) noexcept nogil
cdef Fault compute_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil
cdef void publish_part(Worker *w, Kind kind, Py_ssize_t l, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n) noexcept nogil
