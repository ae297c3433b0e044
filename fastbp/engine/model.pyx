"""A network's parameters in one block of memory, and the forward passes over many rows: predict, activations, evaluate."""

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from fastbp.engine.forward cimport ADD, BRANCH, DENSE, GATE, Op, activation_of, forward_rows
from fastbp.engine.runtime cimport (FBP_CROSS_ENTROPY, FBP_F32, FBP_F64, FBP_KEPT, FBP_LINE_BYTES, bounded_threads, claim,
                                    code_of, fbp_gate, fbp_leading_dimension, fbp_loss, fbp_loss_from_logits, fbp_needs_slope,
                                    fbp_put_word, fbp_swap, fbp_word, flush_denormals, kernels_of, pause, process,
                                    restore_denormals, threads_now)

from fastbp.engine.runtime import GATES, LOSSES
from fastbp.errors import BusyError

cnp.import_array()

cdef enum:
    PASS_ROWS = 128             # rows of one block of a forward pass: its activations stay in cache
    FLOPS_OF_A_THREAD = 400000  # work below this is not worth waking another thread
    FIRST_LOT = 16              # blocks between two looks for signals, at first
    SHORT_LOT = 10000000        # nanoseconds; a lot that takes less makes the next one larger
    LOT_GROWTH = 4
    STACK_BYTES = 8192          # buffers of this size are on the stack: for one row of a small network malloc would show

OPS = {"dense": DENSE, "gate": GATE, "branch": BRANCH, "add": ADD}

cdef double MOST_BYTES = 2.0 ** 62  # beyond it the sizes themselves would overflow


@cython.no_gc
cdef class Claim:
    """The right to write the parameters of a model, as a context manager.

    It is given back at the end of the block, or when the claim is deallocated: so an interrupt between its making and the block
    does not leave the model claimed for ever.
    """

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.give_back()

    def __dealloc__(self):
        self.give_back()

    cdef void give_back(self):
        if self.model is not None:
            self.model.claimed, self.model = 0, None


cdef class Model:
    """Weights and biases of all layers in one 64-byte aligned arena, all zero at first.

    A weight is [n_in][ld], a bias [ld]; users see views of shape [n_in, n_out] and [n_out] of the same memory. An activation is
    a name, or a pair of name and parameter; `dropout` are the rates of the layers. Without a `wiring` each layer is above the one
    before; it is (nodes, tops): for each layer what `wire` takes, and the layers that `activations` tells of.
    """

    def __init__(self, Py_ssize_t n_inputs, units, activations, dtype, dropout=None, wiring=None):
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
        self.wiring = wiring
        for l in range(self.n_layers):
            layer = &self.layers[l]
            layer.n_out = units[l]
            layer.activation = layer.slope = activation_of(activations[l])
            layer.dropout = 0 if dropout is None else dropout[l]
            if fbp_needs_slope(layer.activation.code) or layer.dropout > 0:
                layer.slope.code = FBP_KEPT
            layer.ld = fbp_leading_dimension(layer.n_out, self.item)
            if wiring is None:
                self.wire(l, "dense", l - 1)
            else:
                self.wire(l, *wiring[0][l])
            if layer.op != DENSE:
                continue
            layer.bias = end
            layer.weight = end + layer.ld * self.item
            if <double>layer.n_in * layer.ld * self.item > MOST_BYTES - end:
                raise MemoryError(f"layer {l}: no memory for a weight of {layer.n_in} x {layer.n_out}")
            end = layer.weight + layer.n_in * layer.ld * self.item
        self.memory = Memory(end)
        self.arena = np.frombuffer(self.memory, self.dtype)

    def wire(self, Py_ssize_t l, op, Py_ssize_t below, Py_ssize_t other=-1, Py_ssize_t pieces=0, gate="maxout", f="linear"):
        """Say what layer l does, above which layer (-1: the data); f is the activation of a gate that has one."""
        cdef Layer *layer = &self.layers[l]
        cdef Py_ssize_t n_below = self.layers[below].n_out if below >= 0 else self.n_inputs
        layer.op, layer.below, layer.other = <Op><int>OPS[op], below, other
        layer.source = self.layers[below].source if below >= 0 and self.layers[below].op == BRANCH else below
        layer.n_in = n_below if layer.op == DENSE else 0
        layer.ld_in = fbp_leading_dimension(n_below, self.item)
        layer.pieces, layer.gate, layer.gate_activation = pieces, <fbp_gate>code_of(GATES, gate, "gate"), activation_of(f)
        layer.below_slope = self.layers[below].slope if below >= 0 else activation_of("linear")
        if layer.op != BRANCH and is_branched(self.layers, below, l):
            layer.below_slope = activation_of("linear")

    def claim(self):
        """Return the `Claim` of the only call that may write the parameters.

        Raises
        ------
        BusyError
            Another call of this process has it. What was claimed in the parent of a forked process is free in the child.
        """
        cdef int64_t holder = fbp_word(&self.claimed)
        if holder == process() or not fbp_swap(&self.claimed, holder, process()):
            raise BusyError("network: got a second call that trains it, wanted one at a time")
        cdef Claim claim = Claim.__new__(Claim)
        claim.model = self
        return claim

    cdef const fbp_kernels *kernels(self) except NULL:
        return kernels_of(None, self.dtype_code)

    cdef Py_ssize_t flops_of_a_row(self) noexcept:
        """Floating point operations of the forward pass of one row."""
        cdef Py_ssize_t l, total = 0
        for l in range(self.n_layers):
            total += 2 * self.layers[l].n_in * self.layers[l].n_out
        return total

    cdef bint drops(self) noexcept:
        """Whether any layer has dropout."""
        cdef Py_ssize_t l
        for l in range(self.n_layers):
            if self.layers[l].dropout > 0:
                return True
        return False

    def weight(self, Py_ssize_t i):
        """View [n_in, n_out] of layer i's weight."""
        cdef Layer *layer = &self.layers[i]
        whole = np.frombuffer(self.memory, self.dtype, layer.n_in * layer.ld, layer.weight)
        return whole.reshape(layer.n_in, layer.ld)[:, :layer.n_out]

    def bias(self, Py_ssize_t i):
        """View [n_out] of layer i's bias."""
        return np.frombuffer(self.memory, self.dtype, self.layers[i].n_out, self.layers[i].bias)

    def predict(self, cnp.ndarray x, long long n_threads):
        """[n, n_outputs] from x [n, n_inputs], or None if x is not finite."""
        cdef Pass p = new_pass(self, x)
        out = new_output(self, p.n_layers - 1, p.n)
        p.check = True
        run_pass(self, &p, [out], n_threads)
        return None if p.not_finite else out

    def activations(self, cnp.ndarray x, long long n_threads):
        """Every layer's output [n, units] from x [n, n_inputs]; with a wiring, those of its tops."""
        cdef Pass p = new_pass(self, x)
        cdef Py_ssize_t l
        tops = range(p.n_layers) if self.wiring is None else self.wiring[1]
        outs = [new_output(self, l, p.n) if l in tops else None for l in range(p.n_layers)]
        run_pass(self, &p, outs, n_threads)
        return [out for out in outs if out is not None]

    def evaluate(self, loss, cnp.ndarray x, cnp.ndarray y, long long n_threads, double parameter=0, weights=None):
        """(sum of row losses, hits) over x [n, n_inputs] and y: float [n, n_outputs] or int64 labels [n].

        Losses, not hits, are weighted by `weights`, float64 [n]. None if a label is no class: y has been written to since it was
        checked.
        """
        cdef Pass p = new_pass(self, x)
        cdef const Layer *last = &p.layers[p.n_layers - 1]
        p.with_loss = True
        p.loss = <fbp_loss>code_of(LOSSES, loss, "loss")
        p.to_logits = fbp_loss_from_logits(p.loss, last.activation.code)
        p.parameter, p.weights = parameter, weights_or_null(weights)
        p.targets = targets_of(y, parameter if p.loss == FBP_CROSS_ENTROPY else 0)
        p.thread_bytes += 2 * min(p.n, <Py_ssize_t>PASS_ROWS) * last.ld * self.item
        run_pass(self, &p, [], n_threads)
        return None if p.bad_label else (p.loss_sum, p.hits)


cdef bint is_branched(const Layer *layers, Py_ssize_t source, Py_ssize_t end) noexcept:
    """Whether a branch of this layer is among those before `end`."""
    cdef Py_ssize_t l
    for l in range(end):
        if layers[l].op == BRANCH and layers[l].below == source:
            return True
    return False


cdef Targets targets_of(cnp.ndarray y, double smoothing):
    """Class labels are int64, anything else is an array of targets."""
    cdef Targets targets = Targets(values=NULL, labels=NULL, smoothing=smoothing)
    if cnp.PyArray_TYPE(y) == cnp.NPY_INT64:
        targets.labels = <const int64_t *>cnp.PyArray_DATA(y)
    else:
        targets.values = <const char *>cnp.PyArray_DATA(y)
    return targets


cdef double *weights_or_null(weights) except? NULL:
    """float64 [n], or None: no weights."""
    return NULL if weights is None else <double *>cnp.PyArray_DATA(<cnp.ndarray?>weights)


cdef bint gather_targets(char *target, const fbp_kernels *kernels, const Targets *targets, const int64_t *order,
                         Py_ssize_t first, Py_ssize_t rows, Py_ssize_t n_out, Py_ssize_t ld) noexcept nogil:
    """target[rows][ld] from rows order[first:] (first, first + 1, ... without an order); labels become one-hot.

    False if a label is none of 0 .. n_out - 1; its row is all zero then.
    """
    cdef bint in_range = True
    if targets.labels != NULL:
        in_range = kernels.one_hot_rows(target, targets.labels, order, first, rows, n_out, ld)
    else:
        kernels.gather_rows(target, targets.values, order, first, rows, n_out, ld)
    if targets.smoothing:
        kernels.smooth_rows(target, rows, n_out, ld, targets.smoothing)
    return in_range


cdef struct Pass:
    # One forward pass over n rows in blocks of PASS_ROWS. Each thread claims blocks and has buffers of its own.
    const fbp_kernels *kernels
    const Layer *layers
    const char *arena
    const char *x
    Py_ssize_t n_layers, n, next_block, end_block
    bint check                      # whether to look at x first
    int64_t not_finite, bad_label   # what was found
    Py_ssize_t thread_bytes         # buffers of one thread: every layer's output, and for a loss its target and delta
    char *buffers
    char **copies                   # [n_layers] where to put each layer's output without padding, or NULL
    Targets targets
    const double *weights           # [n] of the rows, or NULL
    bint with_loss, to_logits
    fbp_loss loss
    double parameter                # of the loss
    double *block_loss              # one per block, so that the order of the sum is fixed
    Py_ssize_t *block_hits
    double loss_sum
    Py_ssize_t hits


cdef void copy_rows(char *out, const char *padded, const Layer *layer, Py_ssize_t rows, size_t item) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        memcpy(out + i * layer.n_out * item, padded + i * layer.ld * item, layer.n_out * item)


cdef void block_loss(Pass *p, char *output, char *target, char *delta, Py_ssize_t block, Py_ssize_t rows) noexcept nogil:
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    cdef double row_loss[PASS_ROWS]
    cdef uint8_t hit[PASS_ROWS]
    cdef Py_ssize_t i
    if not gather_targets(target, p.kernels, &p.targets, NULL, block * PASS_ROWS, rows, last.n_out, last.ld):
        fbp_put_word(&p.bad_label, 1)
    p.kernels.loss_delta(delta, row_loss, hit, output, NULL, target, rows, last.n_out, last.ld, p.loss, last.activation, 1,
                         p.parameter)
    for i in range(rows):
        if p.weights != NULL:
            row_loss[i] *= p.weights[block * PASS_ROWS + i]
        p.block_loss[block] += row_loss[i]
        p.block_hits[block] += hit[i]


cdef void pass_worker(Pass *p, int thread) noexcept nogil:
    cdef Py_ssize_t l, block, rows, first, n_in = p.layers[0].n_in
    cdef size_t item = p.kernels.item
    cdef char **outputs = <char **>(p.buffers + thread * p.thread_bytes)
    cdef char *end = <char *>outputs + line_bytes(p.n_layers * sizeof(char *))
    cdef const Layer *last = &p.layers[p.n_layers - 1]
    cdef uint64_t mode = flush_denormals()
    rows = min(p.n, <Py_ssize_t>PASS_ROWS)
    for l in range(p.n_layers):
        outputs[l] = end
        end += rows * p.layers[l].ld * item
    while True:
        block = claim(&p.next_block, 1)
        first = block * PASS_ROWS
        if block >= p.end_block:
            break
        rows = min(p.n - first, <Py_ssize_t>PASS_ROWS)
        if p.check and not p.kernels.all_finite(p.x + first * n_in * item, rows * n_in):
            fbp_put_word(&p.not_finite, 1)
            break
        forward_rows(outputs, NULL, p.x + first * n_in * item, p.arena, p.kernels, p.layers, p.n_layers, rows, n_in,
                     p.to_logits, NULL, 0)
        for l in range(p.n_layers):
            if p.copies[l] != NULL:
                copy_rows(p.copies[l] + first * p.layers[l].n_out * item, outputs[l], &p.layers[l], rows, item)
        if p.with_loss:
            block_loss(p, outputs[p.n_layers - 1], end, end + rows * last.ld * item, block, rows)
    restore_denormals(mode)


cdef Py_ssize_t line_bytes(Py_ssize_t bytes) noexcept nogil:
    return (bytes + FBP_LINE_BYTES - 1) // FBP_LINE_BYTES * FBP_LINE_BYTES


cdef int do_blocks(Pass *p, int team, Py_ssize_t n_blocks) except -1:
    """All blocks, some tens of milliseconds of them at a time: between two lots, pending signals are handled."""
    cdef Py_ssize_t lot = FIRST_LOT
    cdef int64_t started
    while p.end_block < n_blocks and not p.not_finite and not p.bad_label:
        if p.end_block:
            PyErr_CheckSignals()
        started, p.next_block, p.end_block = pause(0), p.end_block, min(n_blocks, p.end_block + lot)
        if team == 1:
            with nogil:
                pass_worker(p, 0)
        else:
            with nogil, parallel(num_threads=team):
                pass_worker(p, threadid())
        if pause(0) - started < SHORT_LOT:
            lot *= LOT_GROWTH
    return 0


cdef int run_workers(Pass *p, list outs, int team) except -1:
    """Give the pass its buffers, fill outs, the outputs of the last len(outs) layers (None: not wanted), and add up the losses."""
    cdef char stack[STACK_BYTES]
    cdef Memory heap
    cdef Py_ssize_t i, n_blocks = (p.n + PASS_ROWS - 1) // PASS_ROWS, sums = team * p.thread_bytes
    cdef Py_ssize_t size = sums + n_blocks * 16 + p.n_layers * sizeof(char *)
    if size + FBP_LINE_BYTES <= STACK_BYTES:
        p.buffers = <char *>line_bytes(<Py_ssize_t>stack)
        memset(p.buffers, 0, size)
    else:
        heap = Memory(size)
        p.buffers = heap.data
    p.block_loss = <double *>(p.buffers + sums)
    p.block_hits = <Py_ssize_t *>(p.block_loss + n_blocks)
    p.copies = <char **>(p.block_hits + n_blocks)
    for i in range(len(outs)):
        if outs[i] is not None:
            p.copies[p.n_layers - len(outs) + i] = <char *>cnp.PyArray_DATA(<cnp.ndarray>outs[i])
    do_blocks(p, team, n_blocks)
    for i in range(n_blocks):
        p.loss_sum += p.block_loss[i]
        p.hits += p.block_hits[i]
    return 0


cdef Pass new_pass(Model model, cnp.ndarray x):
    cdef Pass p
    cdef Py_ssize_t l
    memset(&p, 0, sizeof(Pass))
    p.kernels, p.layers, p.arena = kernels_of(None, model.dtype_code), model.layers, model.memory.data
    p.x, p.n_layers, p.n = <char *>cnp.PyArray_DATA(x), model.n_layers, x.shape[0]
    p.thread_bytes = p.n_layers * sizeof(char *) + FBP_LINE_BYTES
    for l in range(p.n_layers):
        p.thread_bytes += min(p.n, <Py_ssize_t>PASS_ROWS) * p.layers[l].ld * model.item
    return p


cdef int run_pass(Model model, Pass *p, list outs, long long n_threads) except -1:
    cdef Py_ssize_t n_blocks = (p.n + PASS_ROWS - 1) // PASS_ROWS
    cdef int team = min(bounded_threads(n_threads), n_blocks, 1 + p.n * model.flops_of_a_row() // FLOPS_OF_A_THREAD)
    p.thread_bytes = line_bytes(p.thread_bytes)
    return run_workers(p, outs, threads_now(team))


cdef cnp.ndarray new_output(Model model, Py_ssize_t l, Py_ssize_t n):
    """[n, units of layer l]; through the C API, for np.empty takes as long as one row of a small network."""
    cdef cnp.npy_intp[2] shape = [n, model.layers[l].n_out]
    return cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT32 if model.dtype_code == FBP_F32 else cnp.NPY_FLOAT64, 0)
