"""A network's parameters in one block of memory, and the forward passes over many rows: predict, activations, evaluate."""

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from fastbp.engine.forward cimport ADD, BRANCH, DENSE, GATE, Op, activation_of, forward_rows, is_chain
from fastbp.engine.rows cimport SparseRows, converts, rows_of
from fastbp.engine.runtime cimport (FBP_CROSS_ENTROPY, FBP_F32, FBP_F64, FBP_SAVED_SLOPE, FBP_LINE_BYTES, bounded_threads, claim,
                                    code_of, fbp_count, fbp_counted, fbp_gate, fbp_leading_dimension, fbp_loss,
                                    fbp_loss_from_logits, fbp_needs_slope, fbp_put_word, fbp_rows, fbp_sparse, fbp_sparse_at, fbp_sparse_bytes,
                                    fbp_swap, fbp_word,
                                    flush_denormals, kernels_of, offer_limits, pause, process, restore_denormals, team_run,
                                    threads_now)

from fastbp.engine.runtime import GATES, LOSSES
from fastbp.errors import BusyError

cnp.import_array()

cdef extern from *:
    """
    /* The number of the calling thread, from 1 on. Unlike its ident it is never that of a later thread. */
    static int64_t fbp_thread_number(void)
    {
        static int64_t last;
        static _Thread_local int64_t number;
        if (!number)
            number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
        return number;
    }
    """
    int64_t fbp_thread_number() noexcept nogil

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(PyTypeObject *kind, cnp.dtype dtype, int axes, cnp.npy_intp *shape, cnp.npy_intp *strides, void *data,
                                int flags, void *owner)

cdef enum:
    FLOPS_OF_A_THREAD = 400000  # less work than this does not pay for waking another thread
    FIRST_LOT = 16              # most blocks between two checks for signals, at first,
    FLOPS_OF_A_LOT = 1 << 30    # and about so many operations a thread
    SHORT_LOT = 10000000        # nanoseconds; the next lot is larger if one took less,
    LONG_LOT = 40000000         # and smaller if it took more
    LOT_GROWTH = 4
    BITS_OF_A_THREAD = 32       # of a claim; the others are the process
    STACK_BYTES = 8192          # smaller buffers are on the stack: malloc would show in the time of one row of a small network

OPS = {"dense": DENSE, "gate": GATE, "branch": BRANCH, "add": ADD}

cdef double MOST_BYTES = 2.0 ** 62  # beyond it the sizes would overflow


@cython.no_gc
cdef class Claim:
    """The right to write the parameters of a model, as a context manager.

    It is released at the end of the block, or when it is deallocated, so an interrupt between claim() and the block does not
    leave the model claimed for ever.
    """

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.give_back()

    def __dealloc__(self):
        self.give_back()

    cdef void give_back(self):
        if self.model is not None:
            fbp_put_word(&self.model.claimed, 0)
            self.model = None


cdef int64_t claim_of_thread() noexcept nogil:
    """What `Model.claimed` is while the calling thread holds the claim: one word, so that nobody sees half of it."""
    return process() << BITS_OF_A_THREAD | fbp_thread_number()


cdef bint take_claim(int64_t *claimed) noexcept nogil:
    """Take the claim of a model; False if another call of this process holds it."""
    cdef int64_t holder = fbp_word(claimed)
    return holder >> BITS_OF_A_THREAD != process() and fbp_swap(claimed, holder, claim_of_thread())


cdef class Quiet:
    """A time in which no other thread trains a model, as a context manager: see `Model.quiet`."""

    def __enter__(self):
        # Counted first: a claim that is taken afterwards is either refused here or counted until the end.
        self.claims = fbp_counted(&self.model.claims)
        self.model.refuse_others()
        if self.writes and fbp_word(&self.model.claimed) != claim_of_thread():
            self.claim = self.model.claim()
        return self

    def __exit__(self, kind, error, trace):
        if self.claim is not None:
            self.claim.give_back()
        elif kind is None and fbp_counted(&self.model.claims) != self.claims:
            raise BusyError("network: got a call that trains it while another copied all of it, wanted one at a time")


cdef class Model:
    """The nodes of a network, and all weights and biases in one 64-byte aligned arena, zero at first.

    A weight is [n_in][ld], a bias [ld]; users see views of shape [n_in, n_out] and [n_out] of the same memory. An activation is
    a name, or a pair of name and parameter; `dropout` has a rate for each node. Without a `wiring` each node is dense and above
    the one before. A wiring is (nodes, tops): the arguments of `wire` for each node, and the nodes that `activations` returns.

    The buffers of a forward pass belong to the call, so any number of passes may run at once.
    """

    def __init__(self, Py_ssize_t n_inputs, units, activations, dtype, dropout=None, wiring=None):
        cdef Py_ssize_t end = 0, l
        cdef Node *node
        offer_limits()
        self.dtype = np.dtype(dtype)
        self.dtype_code = FBP_F32 if self.dtype == np.float32 else FBP_F64
        self.item = self.dtype.itemsize
        self.n_inputs = n_inputs
        self.n_nodes = len(units)
        self.n_outputs = units[self.n_nodes - 1]
        self.table = Memory(self.n_nodes * sizeof(Node))
        self.nodes = <Node *>self.table.data
        self.wiring = wiring
        for l in range(self.n_nodes):
            node = &self.nodes[l]
            node.n_out = units[l]
            node.activation = node.slope = activation_of(activations[l])
            node.dropout = 0 if dropout is None else dropout[l]
            node.rate_factor = node.decay_factor = 1
            if fbp_needs_slope(node.activation.code) or node.dropout > 0:
                node.slope.code = FBP_SAVED_SLOPE
            node.ld = fbp_leading_dimension(node.n_out, self.item)
            if wiring is None:
                self.wire(l, "dense", l - 1)
            else:
                self.wire(l, *wiring[0][l])
            if node.op != DENSE:
                continue
            node.bias = end
            node.weight = end + node.ld * self.item
            if <double>node.n_in * node.ld * self.item > MOST_BYTES - end:
                raise MemoryError(f"layer {l}: no memory for a weight of {node.n_in} x {node.n_out}")
            end = node.weight + node.n_in * node.ld * self.item
        self.memory = Memory(end)
        self.arena = np.frombuffer(self.memory, self.dtype)

    def wire(self, Py_ssize_t l, op, Py_ssize_t below, Py_ssize_t other=-1, Py_ssize_t pieces=0, gate="maxout", f="linear"):
        """Set the operation of node l and the nodes that it reads (-1: the data); f is the activation of a gate that has one."""
        cdef Node *node = &self.nodes[l]
        cdef Py_ssize_t n_below = self.nodes[below].n_out if below >= 0 else self.n_inputs
        node.op, node.below, node.other = <Op><int>OPS[op], below, other
        node.source = self.nodes[below].source if below >= 0 and self.nodes[below].op == BRANCH else below
        node.n_in = n_below if node.op == DENSE else 0
        node.ld_in = fbp_leading_dimension(n_below, self.item)
        node.pieces, node.gate, node.gate_activation = pieces, <fbp_gate>code_of(GATES, gate, "gate"), activation_of(f)
        node.below_slope = self.nodes[below].slope if below >= 0 else activation_of("linear")
        if node.op != BRANCH and is_branched(self.nodes, below, l):
            node.below_slope = activation_of("linear")

    def set_group(self, Py_ssize_t l, bint trainable, double rate_factor, double decay_factor):
        """Set how the steps of later runs treat node l's weight and bias: whether at all, and the factors of rate and decay."""
        cdef Node *node = &self.nodes[l]
        node.frozen, node.rate_factor, node.decay_factor = not trainable, rate_factor, decay_factor
        self.revise()

    def revise(self):
        """Note that something has changed that runs and handles take once, when they are made."""
        fbp_count(&self.revision)

    def apart(self, cnp.ndarray array):
        """A C-contiguous array, or a copy of it if it shares memory with the parameters, which training writes to."""
        cdef char *begin = <char *>cnp.PyArray_DATA(array)
        if begin < self.memory.data + self.memory.bytes and begin + cnp.PyArray_NBYTES(array) > self.memory.data:
            return np.array(array)
        return array

    def claim(self):
        """Return the `Claim` of the only call that may write the parameters.

        Raises
        ------
        BusyError
            Another call of this process holds it. A claim of the parent of a forked process does not count in the child.
        """
        cdef Claim claim = Claim.__new__(Claim)  # before it is needed: it may not fit into memory
        if not take_claim(&self.claimed):
            raise BusyError("network: got a second call that trains or writes it, wanted one at a time")
        claim.model = self
        fbp_count(&self.claims)
        return claim

    @property
    def claims_so_far(self):
        """How often the right to write was given: what only its holder changes is as it was while this is the same."""
        return fbp_counted(&self.claims)

    cdef object exchange_spare(self, object spare):
        """Leave a run for the next call and take the one that is there; None if another thread is at it."""
        found = None
        if fbp_swap(&self.at_spare, 0, 1):
            found, self.spare = self.spare, spare
            fbp_put_word(&self.at_spare, 0)
        return found

    cdef int refuse_others(self) except -1:
        """Raise BusyError if a call of another thread holds the claim; in a callback the thread itself holds it."""
        cdef int64_t holder = fbp_word(&self.claimed)
        if holder >> BITS_OF_A_THREAD == process() and holder != claim_of_thread():
            raise BusyError("network: got a call that copies or writes all of it while another thread trains it, wanted it between "
                            "two calls, or in a callback")
        return 0

    def quiet(self, bint writes=False):
        """Return a context manager for a block that copies the parameters, or that `writes` all of them.

        A block that writes holds the claim, unless this thread does so already, in a callback.

        Raises
        ------
        BusyError
            A call of another thread holds the claim; or has held it before the end of a block that copies.
        """
        cdef Quiet quiet = Quiet.__new__(Quiet)
        quiet.model, quiet.writes = self, writes
        return quiet

    cdef const fbp_kernels *kernels(self) except NULL:
        return kernels_of(None, self.dtype_code)

    cdef Py_ssize_t flops_of_a_row(self) noexcept:
        """Floating point operations of the forward pass of one row."""
        cdef Py_ssize_t l, total = 0
        for l in range(self.n_nodes):
            total += 2 * self.nodes[l].n_in * self.nodes[l].n_out
        return total

    cdef bint drops(self) noexcept:
        """Whether any node has dropout."""
        cdef Py_ssize_t l
        for l in range(self.n_nodes):
            if self.nodes[l].dropout > 0:
                return True
        return False

    cdef object view(self, Py_ssize_t at, int axes, cnp.npy_intp *shape, cnp.npy_intp *strides):
        """A writable array in the memory of the parameters, which it keeps, from byte `at` on.

        By the C API: np.frombuffer and the slices of a weight took as long as a step of a small network.
        """
        cdef cnp.dtype dtype = self.dtype
        Py_INCREF(dtype)  # the array takes it over
        array = PyArray_NewFromDescr(<PyTypeObject *>cnp.ndarray, dtype, axes, shape, strides, self.memory.data + at,
                                     cnp.NPY_ARRAY_WRITEABLE, NULL)
        cnp.set_array_base(array, self.memory)
        return array

    def weight(self, Py_ssize_t i):
        """View [n_in, n_out] of node i's weight."""
        cdef Node *node = &self.nodes[i]
        cdef cnp.npy_intp[2] shape = [node.n_in, node.n_out], strides = [node.ld * <Py_ssize_t>self.item, self.item]
        return self.view(node.weight, 2, shape, strides)

    def bias(self, Py_ssize_t i):
        """View [n_out] of node i's bias."""
        cdef cnp.npy_intp[1] shape = [self.nodes[i].n_out], strides = [self.item]
        return self.view(self.nodes[i].bias, 1, shape, strides)

    def predict(self, x, long long n_threads):
        """[n, n_outputs] from x [n, n_inputs], or None if x is not finite."""
        cdef Pass p = new_pass(self, x)
        out = new_output(self, p.n_nodes - 1, p.n)
        p.check = True
        run_pass(self, &p, [out], n_threads)
        return None if p.not_finite else out

    def activations(self, x, long long n_threads):
        """The outputs [n, units] of all nodes from x [n, n_inputs]; with a wiring, of its tops."""
        cdef Pass p = new_pass(self, x)
        cdef Py_ssize_t l
        tops = range(p.n_nodes) if self.wiring is None else self.wiring[1]
        cdef list outs = []
        for l in range(p.n_nodes):  # see `make_workspace` for list comprehensions
            outs.append(new_output(self, l, p.n) if l in tops else None)
        run_pass(self, &p, outs, n_threads)
        return [out for out in outs if out is not None]

    def evaluate(self, loss, x, cnp.ndarray y, long long n_threads, double parameter=0, weights=None,
                 double total=0, cnp.ndarray outputs=None):
        """(`total` and the row losses summed, number of correct rows) over x [n, n_inputs] and y: float [n, n_outputs] or int64 labels [n].

        `weights`, float64 [n], weight both; rows of weight 0 have no influence, whatever their targets. `outputs` [n, n_outputs]
        takes what `predict` returns. None if a label is out of range: y was written to after it was checked.
        """
        cdef Pass p = new_pass(self, x)
        cdef const Node *last = &p.nodes[p.n_nodes - 1]
        p.with_loss = True
        p.loss = <fbp_loss>code_of(LOSSES, loss, "loss")
        p.to_logits = fbp_loss_from_logits(p.loss, last.activation.code)
        p.parameter, p.weights, p.loss_sum = parameter, weights_or_null(weights), total
        p.targets = targets_of(y, parameter if p.loss == FBP_CROSS_ENTROPY else 0)
        p.thread_bytes += 2 * min(p.n, <Py_ssize_t>PASS_ROWS) * last.ld * self.item
        run_pass(self, &p, [] if outputs is None else [outputs], n_threads)
        return None if p.bad_label else (p.loss_sum, p.correct_sum)


cdef Model form_of(Model model):
    """A model of the same nodes with all parameters zero, for numbers of their form, such as a gradient."""
    cdef Model form = Model.__new__(Model)
    cdef cnp.npy_intp[1] shape = [model.memory.bytes // model.item], strides = [model.item]
    form.n_inputs, form.n_outputs, form.n_nodes = model.n_inputs, model.n_outputs, model.n_nodes
    form.dtype, form.dtype_code, form.item, form.wiring = model.dtype, model.dtype_code, model.item, model.wiring
    form.table = Memory(model.n_nodes * sizeof(Node))
    form.nodes = <Node *>form.table.data
    memcpy(form.nodes, model.nodes, model.n_nodes * sizeof(Node))
    form.memory = Memory(model.memory.bytes)
    form.arena = form.view(0, 1, shape, strides)
    return form


cdef bint is_branched(const Node *nodes, Py_ssize_t source, Py_ssize_t end) noexcept:
    """Whether a branch of node `source` is among the nodes before `end`."""
    cdef Py_ssize_t l
    for l in range(end):
        if nodes[l].op == BRANCH and nodes[l].below == source:
            return True
    return False


cdef Targets targets_of(cnp.ndarray y, double smoothing):
    """Targets from y: int64 is class labels, any other dtype values."""
    cdef Targets targets = Targets(values=NULL, labels=NULL, smoothing=smoothing)
    if cnp.PyArray_TYPE(y) == cnp.NPY_INT64:
        targets.labels = <const int64_t *>cnp.PyArray_DATA(y)
    else:
        targets.values = <const char *>cnp.PyArray_DATA(y)
    return targets


cdef double *weights_or_null(weights) except? NULL:
    """The data of a float64 array [n]; NULL for None."""
    return NULL if weights is None else <double *>cnp.PyArray_DATA(<cnp.ndarray?>weights)


cdef bint gather_targets(char *target, const fbp_kernels *kernels, const Targets *targets, const int64_t *order,
                         Py_ssize_t first, Py_ssize_t rows, Py_ssize_t n_out, Py_ssize_t ld) noexcept nogil:
    """Copy rows order[first:] of the targets (first, first + 1, ... without an order) to target [rows][ld]; labels become one-hot.

    False if a label is not in 0 .. n_out - 1; its row is then all zero.
    """
    cdef bint in_range = True
    if targets.labels != NULL:
        in_range = kernels.one_hot_rows(target, targets.labels, order, first, rows, n_out, ld)
    else:
        kernels.gather_rows(target, targets.values, order, first, rows, n_out, ld)
    if targets.smoothing:
        kernels.smooth_rows(target, rows, n_out, ld, targets.smoothing)
    return in_range


cdef void copy_rows(char *out, const char *padded, const Node *node, Py_ssize_t rows, size_t item) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        memcpy(out + i * node.n_out * item, padded + i * node.ld * item, node.n_out * item)


cdef void block_loss(Pass *p, char *output, char *target, char *delta, Py_ssize_t block, Py_ssize_t rows) noexcept nogil:
    cdef const Node *last = &p.nodes[p.n_nodes - 1]
    cdef double row_loss[PASS_ROWS]
    cdef uint8_t correct[PASS_ROWS]
    cdef int64_t order[PASS_ROWS]
    cdef Py_ssize_t i, first = block * PASS_ROWS
    cdef double weight
    if p.weights != NULL:
        if not order_of_weighted(order, p.weights, first, rows):
            return
        first = 0
    if not gather_targets(target, p.kernels, &p.targets, NULL if p.weights == NULL else order, first, rows, last.n_out, last.ld):
        fbp_put_word(&p.bad_label, 1)
    p.kernels.loss_delta(delta, row_loss, correct, output, NULL, target, rows, last.n_out, last.ld, p.loss, last.activation, 1,
                         p.parameter, p.targets.labels != NULL)
    for i in range(rows):
        weight = 1 if p.weights == NULL else p.weights[block * PASS_ROWS + i]
        if weight != 0:  # 0 * inf would be NaN
            p.block_loss[block] += row_loss[i] * weight
            p.block_correct[block] += correct[i] * weight


cdef bint order_of_weighted(int64_t *order, const double *weights, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Set the rows whose targets a block reads: another one's for a row of weight 0. False if none has a weight."""
    cdef Py_ssize_t i, stand_in = -1
    for i in range(rows):
        if stand_in < 0 and weights[first + i] != 0:
            stand_in = first + i
    for i in range(rows):
        order[i] = first + i if weights[first + i] != 0 else stand_in
    return stand_in >= 0


cdef void pass_worker(void *data, int thread, int n_threads) noexcept nogil:
    cdef Pass *p = <Pass *>data
    cdef Py_ssize_t l, block, rows, first, n_in = p.nodes[0].n_in
    cdef size_t item = p.kernels.item
    cdef const char *x
    cdef Py_ssize_t ldx = p.nodes[0].ld_in if p.converts else n_in
    cdef char **outputs = <char **>(p.buffers + thread * p.thread_bytes)
    cdef char *end = <char *>outputs + line_bytes(p.n_nodes * sizeof(char *))
    cdef const Node *last = &p.nodes[p.n_nodes - 1]
    cdef uint64_t mode = flush_denormals()
    rows = min(p.n, <Py_ssize_t>PASS_ROWS)
    cdef char *converted = end
    cdef fbp_sparse sparse = fbp_sparse_at(converted, p.room, item)
    cdef const fbp_sparse *of_block = &sparse if p.sparse else NULL
    cdef Py_ssize_t n_numbers
    if p.converts:
        end += bytes_of_block(p, rows)
    for l in range(p.n_nodes):
        outputs[l] = end
        end += rows * p.nodes[l].ld * item
    while True:
        block = claim(&p.next_block, 1)
        first = block * PASS_ROWS
        if block >= p.end_block:
            break
        rows = min(p.n - first, <Py_ssize_t>PASS_ROWS)
        x, n_numbers = converted, rows * ldx
        if p.sparse:
            p.kernels.sparse_rows(&sparse, &p.x, NULL, first, rows)
            n_numbers = sparse.start[rows]
        elif p.converts:
            p.kernels.convert_rows(converted, &p.x, NULL, first, rows, ldx)
        else:
            x = <const char *>p.x.data + first * n_in * item
        if p.check and not p.kernels.all_finite(x, n_numbers):
            fbp_put_word(&p.not_finite, 1)
            break
        # outputs that are wanted stop the pass at y; the last node then goes to z once more
        forward_rows(outputs, NULL, x, of_block, p.arena, p.kernels, p.nodes, 0, p.n_nodes, rows, ldx,
                     p.to_logits and p.copies[p.n_nodes - 1] == NULL, NULL, 0)
        for l in range(p.n_nodes):
            if p.copies[l] != NULL:
                copy_rows(p.copies[l] + first * p.nodes[l].n_out * item, outputs[l], &p.nodes[l], rows, item)
        if p.with_loss:
            if p.to_logits and p.copies[p.n_nodes - 1] != NULL:
                forward_rows(outputs, NULL, x, of_block, p.arena, p.kernels, p.nodes, p.n_nodes - 1, p.n_nodes, rows, ldx, True, NULL,
                             0)
            block_loss(p, outputs[p.n_nodes - 1], end, end + rows * last.ld * item, block, rows)
    restore_denormals(mode)


cdef Py_ssize_t bytes_of_block(const Pass *p, Py_ssize_t rows) noexcept nogil:
    """Bytes of the converted rows of a block."""
    if p.sparse:
        return fbp_sparse_bytes(rows, p.room, p.kernels.item)
    return rows * p.nodes[0].ld_in * <Py_ssize_t>p.kernels.item


cdef Py_ssize_t line_bytes(Py_ssize_t bytes) noexcept nogil:
    return (bytes + FBP_LINE_BYTES - 1) // FBP_LINE_BYTES * FBP_LINE_BYTES


cdef Py_ssize_t blocks_of_pass(const Pass *p) noexcept nogil:
    return (p.n + PASS_ROWS - 1) // PASS_ROWS


cdef Py_ssize_t bytes_of_pass(const Pass *p, int team) noexcept nogil:
    """Bytes of the buffers of a team and of the sums of the blocks."""
    return team * p.thread_bytes + blocks_of_pass(p) * 16 + p.n_nodes * sizeof(char *)


cdef void lay_out_pass(Pass *p, char *buffers, int team) noexcept nogil:
    """Set the pointers into `bytes_of_pass` zeroed bytes that begin at a line."""
    p.buffers = buffers
    p.block_loss = <double *>(buffers + team * p.thread_bytes)
    p.block_correct = p.block_loss + blocks_of_pass(p)
    p.copies = <char **>(p.block_correct + blocks_of_pass(p))


cdef int do_blocks(Pass *p, int team, Py_ssize_t n_blocks, Py_ssize_t flops_of_a_row) except -1:
    """Run all blocks in lots of some tens of milliseconds, and handle pending signals between two lots."""
    cdef Py_ssize_t lot = team * max(1, min(FIRST_LOT // team, FLOPS_OF_A_LOT // (1 + PASS_ROWS * flops_of_a_row)))
    cdef int64_t started, took
    while p.end_block < n_blocks and not p.not_finite and not p.bad_label:
        if p.end_block:
            PyErr_CheckSignals()
        started, p.next_block, p.end_block = pause(0), p.end_block, min(n_blocks, p.end_block + lot)
        with nogil:
            if team == 1:
                pass_worker(p, 0, 1)
            else:
                team_run(pass_worker, p, team)
        took = pause(0) - started
        if took < SHORT_LOT:
            lot *= LOT_GROWTH
        elif took > LONG_LOT:
            lot = team * max(1, lot // (2 * team))
    return 0


cdef int run_workers(Pass *p, list outs, int team, Py_ssize_t flops_of_a_row) except -1:
    """Allocate the buffers, fill outs, the outputs of the last len(outs) nodes (None: not wanted), and add up the losses."""
    cdef char stack[STACK_BYTES]
    cdef char *buffers
    cdef Memory heap
    cdef Py_ssize_t i, n_blocks = blocks_of_pass(p), size = bytes_of_pass(p, team)
    if size + FBP_LINE_BYTES <= STACK_BYTES:
        buffers = <char *>line_bytes(<Py_ssize_t>stack)
        memset(buffers, 0, size)
    else:
        heap = Memory(size)
        buffers = heap.data
    lay_out_pass(p, buffers, team)
    for i in range(len(outs)):
        if outs[i] is not None:
            p.copies[p.n_nodes - len(outs) + i] = <char *>cnp.PyArray_DATA(<cnp.ndarray>outs[i])
    do_blocks(p, team, n_blocks, flops_of_a_row)
    for i in range(n_blocks):
        p.loss_sum += p.block_loss[i]
        p.correct_sum += p.block_correct[i]
    return 0


cdef Pass pass_over(const fbp_kernels *kernels, const Node *nodes, Py_ssize_t n_nodes, const char *arena, const fbp_rows *x,
                    Py_ssize_t n, int dtype_code, Py_ssize_t room) noexcept nogil:
    """A pass over n rows; with `room` for the numbers of a block, if that is not negative, it leaves out the zeros."""
    cdef Pass p
    cdef Py_ssize_t l
    memset(&p, 0, sizeof(Pass))
    p.kernels, p.nodes, p.n_nodes, p.arena = kernels, nodes, n_nodes, arena
    p.x, p.n, p.converts = x[0], n, converts(x, dtype_code)
    p.sparse, p.room = room >= 0, max(room, 0)
    p.thread_bytes = n_nodes * sizeof(char *) + FBP_LINE_BYTES
    if p.converts:
        p.thread_bytes += bytes_of_block(&p, min(n, <Py_ssize_t>PASS_ROWS))
    for l in range(n_nodes):
        p.thread_bytes += min(n, <Py_ssize_t>PASS_ROWS) * nodes[l].ld * <Py_ssize_t>kernels.item
    p.thread_bytes = line_bytes(p.thread_bytes)
    return p


cdef Pass new_pass(Model model, x) except *:
    cdef fbp_rows rows = rows_of(x)
    cdef Py_ssize_t room = -1
    if isinstance(x, SparseRows) and (<SparseRows>x).leaves_out_zeros and is_chain(model.nodes, model.n_nodes):
        room = x.most(PASS_ROWS)
    return pass_over(model.kernels(), model.nodes, model.n_nodes, model.memory.data, &rows, len(x), model.dtype_code, room)


cdef int run_pass(Model model, Pass *p, list outs, long long n_threads) except -1:
    cdef Py_ssize_t n_blocks = (p.n + PASS_ROWS - 1) // PASS_ROWS
    cdef Py_ssize_t flops_of_a_row = model.flops_of_a_row()
    # In double: the product of rows and operations may leave 64 bits.
    cdef double worth = 1 + <double>p.n * flops_of_a_row / FLOPS_OF_A_THREAD
    cdef int team = <int>min(<double>min(bounded_threads(n_threads), n_blocks), worth)
    p.thread_bytes = line_bytes(p.thread_bytes)
    return run_workers(p, outs, threads_now(team), flops_of_a_row)


cdef cnp.ndarray new_output(Model model, Py_ssize_t l, Py_ssize_t n):
    """An empty array [n, units of node l]; by the C API, because np.empty takes as long as one row of a small network."""
    cdef cnp.npy_intp[2] shape = [n, model.nodes[l].n_out]
    return cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT32 if model.dtype_code == FBP_F32 else cnp.NPY_FLOAT64, 0)
