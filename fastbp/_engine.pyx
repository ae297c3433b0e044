"""Training runs: the plan, its workspace and the call that runs steps; the model that needs them."""

from time import perf_counter

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t, uintptr_t
from libc.string cimport memset

from fastbp._forward cimport Layer
from fastbp._parameters cimport Parameters, targets_of
from fastbp._passes cimport Passes
from fastbp._region cimport run_steps
from fastbp._runtime cimport (FBP_BINARY_CROSS_ENTROPY, FBP_CROSS_ENTROPY, FBP_FOLD_ROWS, FBP_LINE_BYTES, FBP_LINEAR,
                              FBP_SGD, Memory, code_of, fbp_delta_scratch, fbp_loss, fbp_loss_from_logits, fbp_rule,
                              fbp_update, fbp_update_scratch, threads_now)
from fastbp._shuffle cimport shuffle
from fastbp._steps cimport Item, Plan

from fastbp._runtime import LOSSES, RULES
from fastbp._pace import Pace
from fastbp.errors import BusyError

cnp.import_array()

cdef enum:
    PAGE = 4096
    PHASE_ROWS = 128            # most rows of a block of phase A: its activations stay in cache
    LEAST_ITEM_ROWS = 24        # weight rows of one item of phase B: few for balance,
    MOST_ITEM_ROWS = 256        # many because each item reads all deltas of its layer
    BYTES_OF_A_STREAM = 1 << 20 # weights below this stream faster through one thread than through barriers
    STEPS_OF_A_SCAN = 16        # from so many steps a call, looking at every weight first costs little
    FLOPS_OF_A_STEP = 800000    # a step below this is faster on one thread than two barriers

cdef class Run:
    """A training run of one model: workspace and optimizer state, then data, then steps.

    Parameters
    ----------
    model : Model
    loss, rule : str
        Names of the loss and of the update rule.
    momentum, l2 : float
    batch_size : int
        Rows of a step.
    n_threads : int
        Most threads a step may use.

    `kept` is None or an array where the parameters and the velocity of the start of an epoch go once its first loss is known
    to be finite. `done` counts the steps, also those of a call that an interrupt ends before it can return.
    """

    cdef Parameters model, updated
    cdef Plan plan
    cdef Memory workspace, velocity_memory, items
    cdef int n_threads
    cdef Py_ssize_t batch_size
    cdef bint running
    cdef object x, y, pace
    cdef readonly object velocity, order
    cdef readonly Py_ssize_t done
    cdef public object kept
    cdef public bint always_share  # for tests: a step too small to be worth a team gets one all the same

    def __init__(self, Parameters model, loss, rule, double momentum, double l2, Py_ssize_t batch_size, int n_threads,
                 Parameters updated=None):
        cdef Plan *p = &self.plan
        self.model = model
        self.updated = model if updated is None else updated
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.pace = Pace()
        p.layers, p.n_layers = model.layers, model.n_layers
        p.loss = <fbp_loss>code_of(LOSSES, loss, "loss")
        p.to_logits = fbp_loss_from_logits(p.loss, p.layers[p.n_layers - 1].activation)
        p.update = fbp_update(rule=<fbp_rule>code_of(RULES, rule, "rule"), learning_rate=0, momentum=momentum, l2=l2)
        if p.update.rule > FBP_SGD:
            self.velocity_memory = Memory(model.memory.bytes)
            p.velocity = self.velocity_memory.data
            self.velocity = np.frombuffer(self.velocity_memory, model.dtype)
        else:
            self.velocity = np.empty(0, model.dtype)
        self.make_items()

    cdef int make_items(self) except -1:
        """Phase B in items of a layer's weight rows: half of what is left shared out, then half of the rest, ..."""
        cdef Plan *p = &self.plan
        cdef Py_ssize_t l, first, rows, i
        items = []
        for l in range(p.n_layers):
            first = 0
            while first < p.layers[l].n_in:
                rows = (p.layers[l].n_in - first) // (2 * self.n_threads) // 8 * 8
                rows = min(max(rows, <Py_ssize_t>LEAST_ITEM_ROWS), <Py_ssize_t>MOST_ITEM_ROWS, p.layers[l].n_in - first)
                items.append((l, first, rows))
                first += rows
        p.n_items = len(items)
        self.items = Memory(p.n_items * sizeof(Item))
        p.items = <Item *>self.items.data
        for i in range(p.n_items):
            p.items[i].layer, p.items[i].first, p.items[i].rows = items[i]
        return 0

    def bind(self, cnp.ndarray x, cnp.ndarray y):
        """Train on x [n, n_inputs] and y (float [n, n_outputs] or int64 labels [n]); order becomes 0 .. n-1."""
        cdef Plan *p = &self.plan
        cdef Py_ssize_t n = x.shape[0], batch = min(self.batch_size, n)
        self.require_idle(self.running)
        if batch != p.batch:
            p.batch = 0
            self.make_workspace(batch)
            p.batch = batch
        self.x, self.y = x, y
        self.order = np.arange(n, dtype=np.int64)
        p.x, p.targets, p.n = <char *>cnp.PyArray_DATA(x), targets_of(y), n
        p.count_hits = p.targets.labels != NULL or p.loss == FBP_CROSS_ENTROPY or p.loss == FBP_BINARY_CROSS_ENTROPY

    cdef int require_idle(self, bint busy) except -1:
        if busy:
            raise BusyError("network: got a second call that writes it while one is running, wanted one at a time")
        return 0

    cdef int team(self) except -1:
        """Threads that this plan's step is worth."""
        cdef Plan *p = &self.plan
        if self.always_share:
            return self.n_threads
        if p.batch <= FBP_FOLD_ROWS:
            return self.n_threads if self.model.memory.bytes >= BYTES_OF_A_STREAM else 1
        cdef Py_ssize_t flops = 3 * p.batch * self.model.flops_of_a_row()
        return min(self.n_threads, max(1, p.batch // 4)) if flops >= FLOPS_OF_A_STEP else 1

    cdef int make_workspace(self, Py_ssize_t batch) except -1:
        """One allocation for everything whose size depends on the batch; 64-byte aligned pieces."""
        cdef Plan *p = &self.plan
        cdef Py_ssize_t l, widest = 0, lists = 0, end = 0, item = self.model.item
        cdef const Layer *last = &p.layers[p.n_layers - 1]
        for l in range(p.n_layers):
            widest = max(widest, p.layers[l].n_out)
            lists += (p.layers[l].n_in + 2) * sizeof(int32_t)  # a count, the list, one to spare
        p.scratch_bytes = line_bytes(max(lists, fbp_update_scratch(batch, item) * item,
                                         fbp_delta_scratch(widest, min(batch, <Py_ssize_t>PHASE_ROWS), item) * item))
        sizes = [batch * p.layers[0].ld_in * item, batch * last.ld * item, batch * sizeof(double), batch,
                 self.n_threads * p.scratch_bytes, p.n_layers * sizeof(char *), p.n_layers * sizeof(char *)]
        sizes += [batch * p.layers[l].ld * item for l in range(p.n_layers)] * 2
        self.workspace = None
        self.workspace = Memory(sum([line_bytes(size) for size in sizes]) + PAGE)
        # The workspace goes on where the parameters end, in terms of offsets in a page: a load that has the offset of a
        # recent store waits for it, and a small network took 1.6 times as long when chance had put the two on top of each other.
        end = (<uintptr_t>self.model.memory.data + self.model.memory.bytes - <uintptr_t>self.workspace.data) % PAGE
        pieces = []
        for size in sizes:
            pieces.append(end)
            end += line_bytes(size)
        cdef char *base = self.workspace.data
        p.inputs, p.target = base + <Py_ssize_t>pieces[0], base + <Py_ssize_t>pieces[1]
        p.row_loss, p.hit = <double *>(base + <Py_ssize_t>pieces[2]), <uint8_t *>(base + <Py_ssize_t>pieces[3])
        p.scratch = base + <Py_ssize_t>pieces[4]
        p.outputs, p.deltas = <char **>(base + <Py_ssize_t>pieces[5]), <char **>(base + <Py_ssize_t>pieces[6])
        for l in range(p.n_layers):
            p.outputs[l] = base + <Py_ssize_t>pieces[7 + l]
            p.deltas[l] = base + <Py_ssize_t>pieces[7 + p.n_layers + l]

    cdef void clear_workspace(self) noexcept:
        """Forget what a failed step left: a NaN in a delta that a later step skips would live on."""
        cdef Plan *p = &self.plan
        cdef Py_ssize_t l, size
        for l in range(p.n_layers):
            size = p.batch * p.layers[l].ld * self.model.item
            memset(p.outputs[l], 0, size)
            memset(p.deltas[l], 0, size)

    def shuffle(self, bit_generator):
        """Put a new random permutation of the rows into `order`, drawing from a NumPy bit generator."""
        self.require_idle(self.running)
        shuffle(self.order, bit_generator)

    def steps(self, Py_ssize_t first, Py_ssize_t count, cnp.ndarray learning_rates):
        """Steps first .. first+count-1 of the epoch: (sum of row losses, hits, steps done).

        Fewer steps than asked for: the loss of the next one was not finite, and its update was not applied.
        """
        cdef Plan *p = &self.plan
        self.require_idle(self.updated.busy)
        cdef int wanted = self.team(), team = threads_now(self.pace.choose(wanted)) if wanted > 1 else 1
        p.kernels, p.arena, p.updated = self.model.kernels(), self.model.memory.data, self.updated.memory.data
        p.kept = NULL if self.kept is None or first else <char *>cnp.PyArray_DATA(<cnp.ndarray>self.kept)
        p.bytes = self.model.memory.bytes
        p.order = <const int64_t *>cnp.PyArray_DATA(self.order)
        p.learning_rates = <const double *>cnp.PyArray_DATA(learning_rates)
        p.first_step, p.n_steps, p.failed = first, count, -1
        p.next_row_block = p.next_item = p.hits = 0
        p.loss_sum = 0
        p.row_block = row_block(p.batch, team)
        # leaving rows out is exact while the weights are finite and nothing decays; scanning them pays over a few steps
        p.skip_zeros = (p.batch <= FBP_FOLD_ROWS and count >= STEPS_OF_A_SCAN and p.update.rule == FBP_SGD
                        and p.update.l2 == 0 and p.kernels.all_finite(p.arena, self.model.memory.bytes // p.kernels.item))
        self.running = self.updated.busy = True
        cdef double started = perf_counter()
        with nogil:
            run_steps(p, team)
        self.running = self.updated.busy = False
        cdef Py_ssize_t done = count if p.failed < 0 else p.failed
        self.done += done
        if p.failed >= 0:
            self.clear_workspace()
        if wanted > 1:
            self.pace.record(team, count, perf_counter() - started, p.barrier.asleep * 1e-9 if team > 1 else 0)
        return p.loss_sum, p.hits, done


cdef Py_ssize_t line_bytes(Py_ssize_t bytes) noexcept:
    return (bytes + FBP_LINE_BYTES - 1) // FBP_LINE_BYTES * FBP_LINE_BYTES


cdef Py_ssize_t row_block(Py_ssize_t batch, int n_threads) noexcept:
    """Rows of a block of phase A: the same number of blocks for every thread, at most PHASE_ROWS, whole half tiles."""
    cdef Py_ssize_t blocks = n_threads * ((batch + n_threads * PHASE_ROWS - 1) // (n_threads * PHASE_ROWS))
    return min(<Py_ssize_t>PHASE_ROWS, ((batch + blocks - 1) // blocks + 3) // 4 * 4)


cdef class Model(Passes):
    """The parameters of a network, with what needs a backward pass."""

    def gradients(self, loss, cnp.ndarray x, cnp.ndarray y, int n_threads, bint inputs):
        """(mean loss, a Model that holds the gradients, dX [n, n_inputs] or None) of the mean loss over all rows."""
        cdef Py_ssize_t n = x.shape[0], l
        gradient = Model(self.n_inputs, [self.layers[l].n_out for l in range(self.n_layers)],
                         ["linear"] * self.n_layers, self.dtype)
        cdef Run run = Run(self, loss, "gradient", 0, 0, n, n_threads, gradient)
        run.bind(x, y)
        total, _, _ = run.steps(0, 1, np.zeros(1))
        return total / n, gradient, input_gradient(run) if inputs else None


cdef object input_gradient(Run run):
    """dL/dx of the rows of the step just done, from the first layer's delta."""
    cdef Plan *p = &run.plan
    cdef const Layer *layer = &p.layers[0]
    cdef Memory scratch = Memory(fbp_delta_scratch(layer.n_out, p.batch, run.model.item) * run.model.item)
    dx = np.zeros((p.batch, layer.ld_in), run.model.dtype)
    p.kernels.dense_delta(cnp.PyArray_DATA(dx), p.deltas[0], p.arena + layer.weight, p.inputs, scratch.data, p.batch,
                          p.batch, layer.n_in, layer.n_out, layer.ld_in, layer.ld, layer.ld, FBP_LINEAR)
    return np.ascontiguousarray(dx[:, : layer.n_in])
