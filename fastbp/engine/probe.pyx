"""Measurements below the Python API for bench/: one kernel called many times, the barrier of a team, the FMA peak."""

import time

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t

from fastbp.engine.backward cimport Block, Place, apply_block, block_gradient, blocks_of
from fastbp.engine.forward cimport Node, activation_of
from fastbp.engine.runtime cimport (FBP_F32, FBP_F64, FBP_SGD, Memory, barrier_init, barrier_wait, code_of, fbp_activation,
                                    fbp_barrier, fbp_delta_scratch, fbp_kernels, fbp_leading_dimension, fbp_loss, fbp_part,
                                    fbp_state, fbp_update, fbp_update_block, fbp_update_block_lines, fbp_update_of,
                                    fbp_update_scratch, kernels_of, team_run, threads_now)

from fastbp.engine.runtime import LOSSES

cnp.import_array()

cdef struct Crossing:
    fbp_barrier barrier
    Py_ssize_t count

cdef struct Probe:
    const fbp_kernels *kernels
    int repeats
    double *operations  # of each thread


cdef class KernelCalls:
    """The arrays of a dense layer, laid out as in the engine, and its kernels, each called `times` times on one thread.

    The calls are counted here because one from Python costs about a microsecond, as much as a small kernel. The caller
    fills the arrays, except the padding. `rows` are the first of the batch, or for dense_update of the weight.

    Parameters
    ----------
    dtype : str
    batch, n_in, n_out : int
    isa : str, optional
        Of the kernels; default: that in use.
    """

    cdef const fbp_kernels *kernels
    cdef Py_ssize_t batch, n_in, n_out, ld_in, ld, n_index
    cdef fbp_update update
    cdef Memory scratch
    cdef readonly object x, dx, y, dy, target, weight, bias, row_loss, correct, index

    def __init__(self, dtype, Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out, isa=None):
        cdef Py_ssize_t item = np.dtype(dtype).itemsize
        self.kernels = kernels_of(isa, FBP_F32 if dtype == "float32" else FBP_F64)
        self.batch, self.n_in, self.n_out = batch, n_in, n_out
        self.ld_in, self.ld = fbp_leading_dimension(n_in, item), fbp_leading_dimension(n_out, item)
        self.x, self.dx = zeros(dtype, batch, self.ld_in), zeros(dtype, batch, self.ld_in)
        self.y, self.dy, self.target = [zeros(dtype, batch, self.ld) for _ in range(3)]
        self.weight, self.bias = zeros(dtype, n_in, self.ld), zeros(dtype, 1, self.ld)
        self.row_loss, self.correct = np.zeros(batch), np.zeros(batch, np.uint8)
        self.scratch = Memory(item * max(fbp_delta_scratch(n_out, batch, item),
                                        fbp_update_scratch(batch, item) + fbp_update_block(batch, item)))
        self.list_inputs()
        self.set_learning_rate(1e-6)

    def set_learning_rate(self, double rate):
        """Of plain SGD, the rule of both updates; small, because the weights add up the calls."""
        self.update = fbp_update_of(FBP_SGD)
        self.update.learning_rate = rate

    def list_inputs(self):
        """List the inputs that are not zero in the whole batch: the streaming kernels visit only these."""
        self.index = np.zeros(self.n_in + 32, np.int32)
        self.n_index = self.kernels.active_rows(<int32_t *>data(self.index), data(self.x), self.batch, self.n_in,
                                                self.ld_in)

    def dense_forward(self, Py_ssize_t times, Py_ssize_t rows, activation):
        """y = f(x . weight + bias)."""
        cdef fbp_activation f = activation_of(activation)
        for _ in range(times):
            self.kernels.dense_forward(data(self.y), NULL, data(self.x), data(self.weight), data(self.bias), rows,
                                       self.n_in, self.n_out, self.ld, self.ld_in, self.ld, f)

    def dense_delta(self, Py_ssize_t times, Py_ssize_t rows, activation):
        """dx = (dy . weight^T) * f'(x)."""
        cdef fbp_activation f = activation_of(activation)
        for _ in range(times):
            self.kernels.dense_delta(data(self.dx), data(self.dy), data(self.weight), data(self.x), self.scratch.data,
                                     self.batch, rows, self.n_in, self.n_out, self.ld_in, self.ld, self.ld, f)

    def dense_update(self, Py_ssize_t times, Py_ssize_t rows):
        """Weight rows, block by block, and bias by their gradient over the batch."""
        cdef Node node
        cdef Block block
        cdef Py_ssize_t item = self.kernels.item
        cdef fbp_part part
        cdef Place place
        cdef char *gradient
        cdef fbp_state none = no_state()
        node.n_in, node.n_out = rows, self.n_out
        blocks = blocks_of(&node, self.batch, item, 1, fbp_update_block_lines(self.batch))
        for _, block.first, block.rows, block.column, block.n in blocks:
            part = fbp_part(x=<char *>data(self.x) + block.first * item, dy=<char *>data(self.dy) + block.column * item,
                            rows=self.batch)
            place = Place(weight=<char *>data(self.weight) + (block.first * self.ld + block.column) * item, state=none, ld=self.ld)
            for _ in range(times):
                gradient = block_gradient(self.scratch.data, &place, &part, 1, &block, self.kernels, self.batch, self.ld_in,
                                          self.ld, NULL)
                apply_block(&place, <char *>data(self.bias), none, gradient, &block, self.kernels, &self.update)

    def stream_forward(self, Py_ssize_t times, activation):
        """y from the listed inputs; without a list, as in the engine, when that is all of them."""
        cdef fbp_activation f = activation_of(activation)
        cdef const int32_t *index = <const int32_t *>data(self.index) if self.n_index < self.n_in else NULL
        for _ in range(times):
            self.kernels.stream_forward(data(self.y), NULL, data(self.x), data(self.weight), data(self.bias), index,
                                        self.n_index, self.batch, self.n_out, self.ld, self.ld_in, self.ld, f)

    def stream_backward(self, Py_ssize_t times):
        """dx, before any f', and weight at the listed inputs; bias."""
        for _ in range(times):
            self.kernels.stream_backward(data(self.dx), data(self.weight), data(self.bias), no_state(), no_state(), data(self.x),
                                         data(self.dy), <const int32_t *>data(self.index), self.n_index, self.batch,
                                         self.n_in, self.n_out, self.ld, self.ld_in, self.ld, &self.update)

    def gather_rows(self, Py_ssize_t times, Py_ssize_t rows, cnp.ndarray source, cnp.ndarray order):
        """x from the rows of source [n, n_in] that the first entries of `order`, of int64, name."""
        for _ in range(times):
            self.kernels.gather_rows(data(self.x), data(source), <const int64_t *>data(order), 0, rows, self.n_in,
                                     self.ld_in)

    def loss_delta(self, Py_ssize_t times, Py_ssize_t rows, loss, activation, double parameter=0):
        """dy, row_loss and correct from y and target."""
        cdef fbp_loss code = <fbp_loss>code_of(LOSSES, loss, "loss")
        cdef fbp_activation f = activation_of(activation)
        for _ in range(times):
            self.kernels.loss_delta(data(self.dy), <double *>data(self.row_loss), <uint8_t *>data(self.correct), data(self.y),
                                    NULL, data(self.target), rows, self.n_out, self.ld, code, f, 1.0 / self.batch, parameter, 0)

    def activate(self, Py_ssize_t times, activation):
        """y = f(y), padding and all."""
        cdef fbp_activation f = activation_of(activation)
        for _ in range(times):
            self.kernels.activate(data(self.y), self.batch * self.ld, f)


cdef inline fbp_state no_state() noexcept:
    cdef fbp_state state
    state.m = state.v = NULL
    return state


cdef inline void *data(array) noexcept:
    return cnp.PyArray_DATA(<cnp.ndarray>array)


cdef object zeros(dtype, Py_ssize_t rows, Py_ssize_t ld):
    """An array [rows, ld] in the engine's memory: aligned, and in huge pages where the engine's would be."""
    return np.frombuffer(Memory(rows * ld * np.dtype(dtype).itemsize), dtype).reshape(rows, ld)


def barrier_seconds(int n_threads, Py_ssize_t count):
    """Seconds of one of `count` barriers in a row that a team of n_threads waits at with nothing else to do."""
    cdef Crossing crossing
    crossing.count = count
    barrier_init(&crossing.barrier)
    cdef int team = threads_now(n_threads)
    start = time.perf_counter()
    with nogil:
        team_run(cross, &crossing, team)
    return (time.perf_counter() - start) / count


cdef void cross(void *data, int thread, int n_threads) noexcept nogil:
    cdef Crossing *crossing = <Crossing *>data
    cdef Py_ssize_t i
    for i in range(crossing.count):
        barrier_wait(&crossing.barrier, n_threads)


def fma_peak(isa=None, int n_threads=1, double milliseconds=100, dtype="float32"):
    """Measured peak of fused multiply-adds in registers in GFLOP/s over all threads."""
    cdef const fbp_kernels *kernels = kernels_of(isa, FBP_F32 if dtype == "float32" else FBP_F64)
    cdef int team = threads_now(n_threads)
    operations = np.zeros(team)
    cdef Probe p
    p.kernels, p.repeats, p.operations = kernels, 1, <double *>data(operations)
    start = time.perf_counter()
    probe(&p, 0, 1)  # half a millisecond, and on the portable kernels as many times longer as a vector has lanes
    p.repeats = 1 + <int>(milliseconds / 1e3 / (time.perf_counter() - start))
    start = time.perf_counter()
    with nogil:
        team_run(probe, &p, team)
    return float(operations.sum()) / (time.perf_counter() - start) / 1e9


cdef void probe(void *data, int thread, int n_threads) noexcept nogil:
    cdef Probe *p = <Probe *>data
    cdef char sink[4096]
    cdef double operations = 0
    cdef int i
    for i in range(p.repeats):
        operations += p.kernels.fma_probe(sink, 200000)
    p.operations[thread] = operations
