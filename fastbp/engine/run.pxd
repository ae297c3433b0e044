"""A training run, as the handles of engine/doors.pyx go on with it."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t

from fastbp.engine.costmodel cimport Forced
from fastbp.engine.forward cimport Dropout, Node
from fastbp.engine.model cimport Model
from fastbp.engine.plan cimport Plan
from fastbp.engine.rows cimport SparseRows
from fastbp.engine.runtime cimport Memory
from fastbp.engine.signals cimport Interrupts

cdef struct OpenSteps:
    # The fields of an OpenEpoch.
    int64_t steps
    double loss, correct, weight, seconds, rate
    bint labels

cdef void add_open(OpenSteps *o, double loss, double correct, double weight, bint labels, double rate, double seconds,
                   int64_t steps) noexcept nogil

cdef class StepCount:
    cdef int64_t count

cdef class OpenEpoch:
    cdef OpenSteps open

cdef class Run:
    cdef Model model, updated
    cdef Plan plan
    cdef Memory workspace, state_memory
    cdef bytearray table
    cdef Node *nodes                # as they are when the run is made: the model's groups may change later
    cdef int n_threads
    cdef Py_ssize_t batch_size, row_begin
    cdef int64_t running            # the process in which a call uses this run; 0: none
    cdef int64_t steps_done
    cdef object x, y, weights, weight_sums, stand_ins, contention
    cdef Interrupts interrupts
    cdef StepCount count
    cdef cnp.ndarray rows_in_order
    cdef bint sparse                # whether the workspace was made for rows that are left sparse
    cdef bint wants_inputs          # whether the gathered rows are read once more, so that they must be dense
    cdef bint shuffled              # whether `rows_in_order` is not 0 .. n-1 any more
    cdef readonly object state, order
    cdef public tuple averagings    # Averaging objects that follow the parameters, step by step
    cdef public object snapshot
    cdef public bint guards
    cdef int small_state            # whether the optimizer state is within the bounds of engine/guard.pyx; -1: not known
    cdef public Memory reuse_workspace
    cdef public uint64_t seed
    cdef public int64_t step, age
    cdef int copy_nodes(self) except -1
    cdef int prepare(self, Py_ssize_t rows) except -1
    cdef int make_state(self) except -1
    cdef int bind_rows(self, x, cnp.ndarray y, weights) except -1
    cdef bint leaves_sparse(self, x) except -1
    cdef bint updates_by_row(self) noexcept
    cdef int make_workspace(self, Py_ssize_t batch, SparseRows sparse) except -1
    cdef tuple follow_steps(self, Py_ssize_t first, Py_ssize_t count, cnp.ndarray learning_rates)
    cdef int follow(self) except -1
    cdef tuple do_steps(self, Py_ssize_t first, Py_ssize_t count, cnp.ndarray learning_rates)
    cdef int let_go(self) except -1
    cdef int begin(self, Py_ssize_t first, Py_ssize_t count, cnp.ndarray learning_rates, int team, Forced force) except -1
    cdef int sum_weights(self, Py_ssize_t first, Py_ssize_t count) except -1

cdef double weight_of_step(const Plan *p, Py_ssize_t step, int64_t *stand_in) noexcept nogil
cdef void begin_call(Plan *p, Py_ssize_t first, Py_ssize_t count, bint of_epoch, const double *learning_rates, int64_t age,
                     Dropout dropout, char *snapshot, bint guards, int *small_state) noexcept nogil
cdef void lay_blocks(Plan *p) noexcept nogil
cdef Py_ssize_t bytes_to_hand_down(const Plan *p) noexcept nogil
cdef void hand_to_data(char *out, char *scratch, const Plan *p, Py_ssize_t l, Py_ssize_t i, Py_ssize_t batch) noexcept nogil
