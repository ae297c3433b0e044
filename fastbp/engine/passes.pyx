"""Forward passes over many rows: predict, activations, evaluate."""

cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

from fastbp.engine.forward cimport Layer, forward_rows
from fastbp.engine.parameters cimport Parameters, Targets, gather_targets, targets_of, weights_or_null
from fastbp.engine.runtime cimport (FBP_CROSS_ENTROPY, FBP_F32, FBP_LINE_BYTES, Memory, claim, code_of, fbp_kernels, fbp_loss,
                                    fbp_loss_from_logits, flush_denormals, kernels_of, restore_denormals, threads_now)

from fastbp.engine.runtime import LOSSES

cnp.import_array()

cdef enum:
    PASS_ROWS = 128             # rows of one block of a forward pass: its activations stay in cache
    FLOPS_OF_A_THREAD = 400000  # work below this is not worth waking another thread
    STACK_BYTES = 8192          # buffers of this size are on the stack: for one row of a small network malloc would show


cdef struct Pass:
    # One forward pass over n rows in blocks of PASS_ROWS. Each thread claims blocks and has buffers of its own.
    const fbp_kernels *kernels
    const Layer *layers
    const char *arena
    const char *x
    Py_ssize_t n_layers, n, next_block
    bint check, not_finite          # whether to look at x first, and what was found
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
    gather_targets(target, p.kernels, &p.targets, NULL, block * PASS_ROWS, rows, last.n_out, last.ld)
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
        if first >= p.n:
            break
        rows = min(p.n - first, <Py_ssize_t>PASS_ROWS)
        if p.check and not p.kernels.all_finite(p.x + first * n_in * item, rows * n_in):
            p.not_finite = True
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
    if team == 1:
        with nogil:
            pass_worker(p, 0)
    else:
        with nogil, parallel(num_threads=team):
            pass_worker(p, threadid())
    for i in range(n_blocks):
        p.loss_sum += p.block_loss[i]
        p.hits += p.block_hits[i]
    return 0


cdef Pass new_pass(Parameters model, cnp.ndarray x):
    cdef Pass p
    cdef Py_ssize_t l
    memset(&p, 0, sizeof(Pass))
    p.kernels, p.layers, p.arena = kernels_of(None, model.dtype_code), model.layers, model.memory.data
    p.x, p.n_layers, p.n = <char *>cnp.PyArray_DATA(x), model.n_layers, x.shape[0]
    p.thread_bytes = p.n_layers * sizeof(char *) + FBP_LINE_BYTES
    for l in range(p.n_layers):
        p.thread_bytes += min(p.n, <Py_ssize_t>PASS_ROWS) * p.layers[l].ld * model.item
    return p


cdef int run_pass(Parameters model, Pass *p, list outs, int n_threads) except -1:
    cdef Py_ssize_t n_blocks = (p.n + PASS_ROWS - 1) // PASS_ROWS
    cdef int team = min(n_threads, n_blocks, 1 + p.n * model.flops_of_a_row() // FLOPS_OF_A_THREAD)
    p.thread_bytes = line_bytes(p.thread_bytes)
    return run_workers(p, outs, threads_now(team))


cdef cnp.ndarray new_output(Parameters model, Py_ssize_t l, Py_ssize_t n):
    """[n, units of layer l]; through the C API, for np.empty takes as long as one row of a small network."""
    cdef cnp.npy_intp[2] shape = [n, model.layers[l].n_out]
    return cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT32 if model.dtype_code == FBP_F32 else cnp.NPY_FLOAT64, 0)


cdef class Passes(Parameters):
    """Parameters with forward passes. All that a pass needs belongs to the call: any number of them may run at once."""

    def predict(self, cnp.ndarray x, int n_threads):
        """[n, n_outputs] from x [n, n_inputs], or None if x is not finite."""
        cdef Pass p = new_pass(self, x)
        out = new_output(self, p.n_layers - 1, p.n)
        p.check = True
        run_pass(self, &p, [out], n_threads)
        return None if p.not_finite else out

    def activations(self, cnp.ndarray x, int n_threads):
        """Every layer's output [n, units] from x [n, n_inputs]; with a wiring, those of its tops."""
        cdef Pass p = new_pass(self, x)
        cdef Py_ssize_t l
        tops = range(p.n_layers) if self.wiring is None else self.wiring[1]
        outs = [new_output(self, l, p.n) if l in tops else None for l in range(p.n_layers)]
        run_pass(self, &p, outs, n_threads)
        return [out for out in outs if out is not None]

    def evaluate(self, loss, cnp.ndarray x, cnp.ndarray y, int n_threads, double parameter=0, weights=None):
        """(sum of row losses, hits) over x [n, n_inputs] and y: float [n, n_outputs] or int64 labels [n].

        Losses, not hits, are weighted by `weights`, float64 [n].
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
        return p.loss_sum, p.hits
