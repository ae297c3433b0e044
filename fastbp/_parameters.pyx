"""The parameters of a network in one arena, and forward passes over them: predict, activations, evaluate."""

import numpy as np

cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from fastbp._forward cimport forward_rows
from fastbp._runtime cimport (FBP_F32, FBP_F64, FBP_LINE_BYTES, Memory, claim, code_of, fbp_activation,
                              fbp_leading_dimension, fbp_loss, fbp_loss_from_logits, flush_denormals, kernels_of,
                              restore_denormals, threads_now)

from fastbp._runtime import ACTIVATIONS, LOSSES

cnp.import_array()

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define FBP_TEAM_SIZE omp_get_num_threads()
    #else
    #define FBP_TEAM_SIZE 1
    #endif
    """
    const int FBP_TEAM_SIZE

cdef double MOST_BYTES = 2.0 ** 62  # beyond it the sizes themselves would overflow

cdef enum:
    PASS_ROWS = 128             # rows of one block of a forward pass: its activations stay in cache
    FLOPS_OF_A_THREAD = 400000  # work below this is not worth waking another thread


cdef int team_size() noexcept nogil:
    """Threads of the running region: the OpenMP library may grant fewer than were asked for."""
    return FBP_TEAM_SIZE


cdef Targets targets_of(cnp.ndarray y):
    """Class labels are int64, anything else is an array of targets."""
    cdef Targets targets = Targets(values=NULL, labels=NULL)
    if cnp.PyArray_TYPE(y) == cnp.NPY_INT64:
        targets.labels = <const int64_t *>cnp.PyArray_DATA(y)
    else:
        targets.values = <const char *>cnp.PyArray_DATA(y)
    return targets


cdef void gather_targets(char *target, const fbp_kernels *kernels, const Targets *targets, const int64_t *order,
                         Py_ssize_t first, Py_ssize_t rows, Py_ssize_t n_out, Py_ssize_t ld) noexcept nogil:
    """target[rows][ld] from rows order[first:] (first, first + 1, ... without an order); labels become one-hot."""
    if targets.labels != NULL:
        kernels.one_hot_rows(target, targets.labels, order, first, rows, n_out, ld)
    else:
        kernels.gather_rows(target, targets.values, order, first, rows, n_out, ld)


cdef struct Pass:
    # One forward pass over n rows in blocks of PASS_ROWS. Each thread claims blocks and has buffers of its own.
    const fbp_kernels *kernels
    const Layer *layers
    const char *arena
    const char *x
    Py_ssize_t n_layers, n, next_block
    Py_ssize_t thread_bytes         # buffers of one thread: every layer's output, and for a loss its target and delta
    char *buffers
    char **copies                   # [n_layers] where to put each layer's output without padding, or NULL
    Targets targets
    bint with_loss, to_logits
    fbp_loss loss
    double *block_loss              # one per block, so that the order of the sum is fixed
    Py_ssize_t *block_hits


cdef void copy_rows(char *out, const char *padded, const Layer *layer, Py_ssize_t rows, size_t item) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        memcpy(out + i * layer.n_out * item, padded + i * layer.ld * item, layer.n_out * item)


cdef void block_loss(Pass *p, char *output, char *target, char *delta, Py_ssize_t block, Py_ssize_t rows) noexcept nogil:
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    cdef double row_loss[PASS_ROWS]
    cdef uint8_t hit[PASS_ROWS]
    cdef Py_ssize_t i
    gather_targets(target, p.kernels, &p.targets, NULL, block * PASS_ROWS, rows, last.n_out, last.ld)
    p.kernels.loss_delta(delta, row_loss, hit, output, target, rows, last.n_out, last.ld, p.loss, last.activation, 1)
    for i in range(rows):
        p.block_loss[block] += row_loss[i]
        p.block_hits[block] += hit[i]


cdef void pass_worker(Pass *p, int thread) noexcept nogil:
    cdef Py_ssize_t l, block, rows, first
    cdef size_t item = p.kernels.item
    cdef char **outputs = <char **>(p.buffers + thread * p.thread_bytes)
    cdef char *end = <char *>outputs + (p.n_layers * sizeof(char *) + FBP_LINE_BYTES - 1) // FBP_LINE_BYTES * FBP_LINE_BYTES
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    cdef uint64_t mode = flush_denormals()
    rows = min(p.n, <Py_ssize_t>PASS_ROWS)
    for l in range(p.n_layers):
        outputs[l] = end
        end += rows * p.layers[l].ld * item
    while True:
        block = claim(&p.next_block, 1)
        first = block * PASS_ROWS
        if first >= p.n:
            break
        rows = min(p.n - first, <Py_ssize_t>PASS_ROWS)
        forward_rows(outputs, p.x + first * p.layers[0].n_in * item, p.arena, p.kernels, p.layers, p.n_layers, rows,
                     p.layers[0].n_in, p.to_logits)
        for l in range(p.n_layers):
            if p.copies[l] != NULL:
                copy_rows(p.copies[l] + first * p.layers[l].n_out * item, outputs[l], &p.layers[l], rows, item)
        if p.with_loss:
            block_loss(p, outputs[p.n_layers - 1], end, end + rows * last.ld * item, block, rows)
    restore_denormals(mode)


cdef class Parameters:
    """Weights and biases of all layers in one 64-byte aligned arena, all zero at first.

    A weight is [n_in][ld], a bias [ld]; users see views of shape [n_in, n_out] and [n_out] of the same memory.
    """

    def __init__(self, Py_ssize_t n_inputs, units, activations, dtype):
        cdef Py_ssize_t end = 0, l
        cdef Layer *layer
        self.dtype = np.dtype(dtype)
        self.dtype_code = FBP_F32 if self.dtype == np.float32 else FBP_F64
        self.item = self.dtype.itemsize
        self.n_inputs = n_inputs
        self.n_layers = len(units)
        self.n_outputs = units[self.n_layers - 1]
        self.table = Memory(self.n_layers * sizeof(Layer))
        self.layers = <Layer *>self.table.data
        for l in range(self.n_layers):
            layer = &self.layers[l]
            layer.n_in = units[l - 1] if l else n_inputs
            layer.n_out = units[l]
            layer.activation = <fbp_activation>code_of(ACTIVATIONS, activations[l], "activation")
            layer.ld_in = fbp_leading_dimension(layer.n_in, self.item)
            layer.ld = fbp_leading_dimension(layer.n_out, self.item)
            layer.bias = end
            layer.weight = end + layer.ld * self.item
            if <double>layer.n_in * layer.ld * self.item > MOST_BYTES - end:
                raise MemoryError(f"layer {l}: no memory for a weight of {layer.n_in} x {layer.n_out}")
            end = layer.weight + layer.n_in * layer.ld * self.item
        self.memory = Memory(end)
        self.arena = np.frombuffer(self.memory, self.dtype)

    cdef const fbp_kernels *kernels(self) except NULL:
        return kernels_of(None, self.dtype_code)

    cdef Py_ssize_t flops_of_a_row(self) noexcept:
        """Floating point operations of the forward pass of one row."""
        cdef Py_ssize_t l, total = 0
        for l in range(self.n_layers):
            total += 2 * self.layers[l].n_in * self.layers[l].n_out
        return total

    def weight(self, Py_ssize_t i):
        """View [n_in, n_out] of layer i's weight."""
        cdef Layer *layer = &self.layers[i]
        whole = np.frombuffer(self.memory, self.dtype, layer.n_in * layer.ld, layer.weight)
        return whole.reshape(layer.n_in, layer.ld)[:, :layer.n_out]

    def bias(self, Py_ssize_t i):
        """View [n_out] of layer i's bias."""
        return np.frombuffer(self.memory, self.dtype, self.layers[i].n_out, self.layers[i].bias)

    def predict(self, cnp.ndarray x, int n_threads):
        """[n, n_outputs] from x [n, n_inputs]."""
        out = np.empty((x.shape[0], self.n_outputs), self.dtype)
        run_pass(self, x, [None] * (self.n_layers - 1) + [out], None, None, n_threads)
        return out

    def activations(self, cnp.ndarray x, int n_threads):
        """Every layer's output [n, units] from x [n, n_inputs]."""
        outs = [np.empty((x.shape[0], self.layers[l].n_out), self.dtype) for l in range(self.n_layers)]
        run_pass(self, x, outs, None, None, n_threads)
        return outs

    def evaluate(self, loss, cnp.ndarray x, cnp.ndarray y, int n_threads):
        """(sum of row losses, hits) over x [n, n_inputs] and y: float [n, n_outputs] or int64 labels [n]."""
        return run_pass(self, x, [None] * self.n_layers, loss, y, n_threads)


cdef tuple run_pass(Parameters model, cnp.ndarray x, list copies, loss, y, int n_threads):
    """One forward pass: outputs copied where wanted; (sum of row losses, hits) where a loss is given."""
    cdef Py_ssize_t n = x.shape[0], n_blocks = (n + PASS_ROWS - 1) // PASS_ROWS, l
    cdef Layer *last = &model.layers[model.n_layers - 1]
    cdef Pass p
    cdef int team = min(n_threads, n_blocks, 1 + n * model.flops_of_a_row() // FLOPS_OF_A_THREAD)
    team = threads_now(team)
    memset(&p, 0, sizeof(Pass))
    p.kernels, p.layers, p.arena, p.x = model.kernels(), model.layers, model.memory.data, <char *>cnp.PyArray_DATA(x)
    p.n_layers, p.n = model.n_layers, n
    p.thread_bytes = p.n_layers * sizeof(char *) + FBP_LINE_BYTES
    for l in range(p.n_layers):
        p.thread_bytes += min(n, <Py_ssize_t>PASS_ROWS) * model.layers[l].ld * model.item
    if loss is not None:
        p.with_loss = True
        p.loss = <fbp_loss>code_of(LOSSES, loss, "loss")
        p.to_logits = fbp_loss_from_logits(p.loss, last.activation)
        p.targets = targets_of(y)
        p.thread_bytes += 2 * min(n, <Py_ssize_t>PASS_ROWS) * last.ld * model.item
    p.thread_bytes = (p.thread_bytes + FBP_LINE_BYTES - 1) // FBP_LINE_BYTES * FBP_LINE_BYTES
    cdef Memory buffers = Memory(team * p.thread_bytes + n_blocks * 16 + p.n_layers * sizeof(char *))
    p.buffers = buffers.data
    p.block_loss = <double *>(p.buffers + team * p.thread_bytes)
    p.block_hits = <Py_ssize_t *>(p.block_loss + n_blocks)
    p.copies = <char **>(p.block_hits + n_blocks)
    for l in range(p.n_layers):
        if copies[l] is not None:
            p.copies[l] = <char *>cnp.PyArray_DATA(<cnp.ndarray>copies[l])
    if team == 1:
        with nogil:
            pass_worker(&p, 0)
    else:
        with nogil, parallel(num_threads=team):
            pass_worker(&p, threadid())
    if loss is None:
        return ()
    return sum([p.block_loss[l] for l in range(n_blocks)]), sum([p.block_hits[l] for l in range(n_blocks)])
