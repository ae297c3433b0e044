"""A training run: shuffle, then many steps in one call; and the gradients of one batch."""

from collections import namedtuple
from time import perf_counter

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from numpy.random cimport bitgen_t

from fastbp.engine.averaging cimport Averaging
from fastbp.engine.backward cimport update_of
from fastbp.engine.costmodel cimport Forced, Partition, forced, partition
from fastbp.engine.forward cimport DENSE, Dropout, Node, is_chain, lowest_trained
from fastbp.engine.given cimport apply_given
from fastbp.engine.guard cimport largest_penalised, state_is_small
from fastbp.engine.limits cimport note_penalty
from fastbp.engine.model cimport Model, form_of, targets_of, weights_or_null
from fastbp.engine.plan cimport BAD_LABEL, SPARSE, STREAM, WIDE, Plan, Slot, slot_of
from fastbp.engine.rows cimport SparseRows, converts, rows_of
from fastbp.engine.runtime cimport (FBP_ADAGRAD, FBP_CROSS_ENTROPY, FBP_GRADIENT, FBP_LINEAR, FBP_SGD, Memory, bounded_threads, code_of, fbp_activation,
                                    fbp_delta_scratch, fbp_loss, fbp_loss_classifies, fbp_loss_from_logits, fbp_put_word,
                                    fbp_rule_has_m, fbp_rule_has_v, fbp_swap, fbp_update, fbp_word, process, threads_now)
from fastbp.engine.signals cimport Interrupts
from fastbp.engine.team cimport run_steps
from fastbp.engine.wide cimport pack_first_layer, place_blocks, unpack_first_layer
from fastbp.engine.workspace cimport clear_slots, make_workspace, reset_phases, slots_of_batch

from fastbp.engine.contention import ContentionMonitor
from fastbp.engine.costmodel import REGIMES
from fastbp.engine.cpus import l2_bytes
from fastbp.engine.runtime import LOSSES
from fastbp.errors import BusyError

cnp.import_array()

cdef enum:
    STEPS_OF_A_SCAN = 16        # in calls of this many steps or more, checking every weight first costs little
    BYTES_OF_A_SPARE_RUN = 1 << 18
    STEPS_OF_A_COPY = 16        # the same for packing the first layer's weight and unpacking it

NO_RATE = np.zeros(1)
NAMES = {code: name for name, code in REGIMES.items()}

# The variant of `Run.steps` that a call has used, for tests: see fastbp.testing.
Cell = namedtuple("Cell", "regime one_layer first_layer_packed snapshot_taken held limited")
seen = set()


cdef class StepCount:
    """Steps done in the life of a trainer. The engine counts them, so no interrupt can come between a step and its count."""

    def __cinit__(self, int64_t n=0):
        self.count = n

    @property
    def n(self):
        return fbp_word(&self.count)

    @n.setter
    def n(self, int64_t value):
        fbp_put_word(&self.count, value)


cdef class OpenEpoch:
    """The single steps since the last epoch of the history. The engine has it, so that steps from C count too.

    `steps`, `seconds` that they took, `rate` of the last one; `sums`, the weighted sums of the losses of the rows and of the right
    ones, and of the weights; `labels`, whether the targets are classes.
    """

    def __init__(self, steps=0, sums=(0.0, 0.0, 0.0), seconds=0.0, rate=0.0, labels=False):
        cdef OpenSteps *o = &self.open
        o.steps, (o.loss, o.correct, o.weight), o.seconds, o.rate, o.labels = steps, sums, seconds, rate, labels

    @property
    def steps(self):
        return self.open.steps

    @property
    def sums(self):
        return self.open.loss, self.open.correct, self.open.weight

    @property
    def seconds(self):
        return self.open.seconds

    @property
    def rate(self):
        return self.open.rate

    @property
    def labels(self):
        return self.open.labels != 0

    def add(self, sums, bint labels, double rate, double seconds, int64_t steps=1):
        """Count a step with its `sums`."""
        add_open(&self.open, sums[0], sums[1], sums[2], labels, rate, seconds, steps)

    def values(self):
        """The arguments of the constructor, by name."""
        return {name: getattr(self, name) for name in ("steps", "sums", "seconds", "rate", "labels")}

    def __reduce__(self):
        return OpenEpoch, tuple(self.values().values())


cdef void add_open(OpenSteps *o, double loss, double correct, double weight, bint labels, double rate, double seconds,
                   int64_t steps) noexcept nogil:
    """Count steps with their sums."""
    o.loss, o.correct, o.weight = o.loss + loss, o.correct + correct, o.weight + weight
    o.labels, o.rate, o.seconds = labels, rate, o.seconds + seconds
    o.steps += steps


cdef class Run:
    """A training run of one model, with its workspace and optimizer state.

    Parameters
    ----------
    model : Model
    loss, rule : str
        Names of the loss and of the update rule.
    updated : Model or None
        What the update writes in the place of the model: a gradient, by the rule "gradient"; or with `adds` the sum of the gradients
        of the parts of a step, by "sgd" with the learning rate -1.
    momentum, l2 : float
    batch_size : int
        Rows of a step.
    n_threads : int
        Most threads a step may use.
    parameter : float
        The loss's parameter (`loss_delta` in fbp.h); the label smoothing of cross-entropy.
    average : str
        What the weighted sum of a step's gradients is divided by: the sum of the "weights", or the number of "rows"; "sum": nothing.
    **hyperparameters
        The others: fields of fbp_update, clip_norm and max_norm (0: none).
    count : StepCount or None
        A counter that the run's steps are added to.

    `state` is the optimizer state, one or two arrays laid out as the parameters; `age` counts the steps that it has seen before
    this run. `snapshot` is None or an array, with zeros in the padding, that takes parameters and state of the start of an epoch
    once its first loss is known to be finite; with `guards` only if the first update is not `proved` to leave all finite. Dropout
    is drawn from `seed` and `step`, the number of the next step in the whole training. `weight` is the sum of the weights of the
    epoch's rows so far, without weights their number. `done` counts the steps, also those of a call that an interrupt ends before
    it can return. `averagings` are Averaging objects that follow the parameters. `fault` is the reason why
    a call did fewer steps than asked: "loss", "label" or "". `reuse_workspace` is None or the workspace of an earlier run, whose
    memory is used again if it has the right size. `stop_request` is None or an object whose `reason` is None until the run is to
    stop: long steps look at it.
    """

    def __init__(self, Model model, loss, rule, double momentum=0, double l2=0, Py_ssize_t batch_size=1,
                 long long n_threads=1, Model updated=None, double parameter=0, StepCount count=None, **hyperparameters):
        cdef Plan *p = &self.plan
        self.model = model
        self.updated = model if updated is None else updated
        self.batch_size = batch_size
        self.n_threads = bounded_threads(n_threads)
        self.contention = ContentionMonitor()
        self.interrupts, self.count = Interrupts(), count or StepCount()
        self.small_state, self.averagings = -1, ()
        p.interrupts = <void *>self.interrupts
        p.adds = hyperparameters.pop("adds", False)
        p.drops = (updated is None or p.adds) and model.drops()
        self.copy_nodes()
        p.kernels, p.nodes, p.n_nodes = model.kernels(), self.nodes, model.n_nodes
        p.loss, p.parameter = <fbp_loss>code_of(LOSSES, loss, "loss"), parameter
        p.to_logits = fbp_loss_from_logits(p.loss, p.nodes[p.n_nodes - 1].activation.code)
        p.clip_norm, p.max_norm = hyperparameters.pop("clip_norm", 0), hyperparameters.pop("max_norm", 0)
        p.l2_weight = hyperparameters.pop("l2_weight", 0)
        average = hyperparameters.pop("average", "weights")
        p.by_rows, p.sums = average == "rows", average == "sum"
        p.update = update_of(rule, {"momentum": momentum, "l2": l2, **hyperparameters})
        p.hold = update_of("gradient", {"clip_value": p.update.clip_value})
        self.make_state()

    cdef int copy_nodes(self) except -1:
        """Copy the model's nodes. Gradients that are not for an update of them are those of all parameters."""
        cdef Py_ssize_t l
        self.table = bytearray(self.model.n_nodes * sizeof(Node))
        self.nodes = <Node *><char *>self.table
        memcpy(self.nodes, self.model.nodes, self.model.n_nodes * sizeof(Node))
        for l in range(self.model.n_nodes):
            if self.updated is not self.model:
                self.nodes[l].frozen = self.nodes[l].frozen and self.plan.adds
                self.nodes[l].rate_factor = self.nodes[l].decay_factor = 1
            if self.nodes[l].rate_factor != 1 or self.nodes[l].decay_factor != 1:
                self.plan.grouped = True
        return 0

    def set_missed(self, Py_ssize_t l, int64_t steps):
        """Say how many of the `age` steps node l was frozen in, so that its state has not seen them."""
        self.nodes[l].missed = steps
        self.plan.grouped = self.plan.grouped or steps > 0

    @property
    def trains(self):
        """Whether any node is trained."""
        return lowest_trained(self.nodes, self.model.n_nodes) < self.model.n_nodes

    cdef int prepare(self, Py_ssize_t rows) except -1:
        """Make workspace and order for single steps of up to so many rows on one thread, which `begin_call` begins without a GIL."""
        cdef Plan *p = &self.plan
        self.make_workspace(rows, None)
        self.rows_in_order = cnp.PyArray_Arange(0, rows, 1, cnp.NPY_INT64)
        p.order = <const int64_t *>cnp.PyArray_DATA(self.rows_in_order)
        p.kernels, p.arena, p.updated = self.model.kernels(), self.model.memory.data, self.updated.memory.data
        p.bytes, p.helps = self.model.memory.bytes, True
        p.interruptible = False  # to look for signals needs the GIL
        return 0

    cdef int make_state(self) except -1:
        """Allocate the optimizer state, all zero."""
        cdef Plan *p = &self.plan
        cdef bint m = fbp_rule_has_m(p.update.rule), v = fbp_rule_has_v(p.update.rule)
        if not (m or v):
            self.state = np.empty(0, self.model.dtype)
            return 0
        self.state_memory = Memory((m + v) * self.model.memory.bytes)
        self.state = np.frombuffer(self.state_memory, self.model.dtype)
        p.state.m = self.state_memory.data if m else NULL
        p.state.v = self.state_memory.data + m * self.model.memory.bytes if v else NULL
        return 0

    def bind(self, x, cnp.ndarray y, weights=None):
        """Train on x [n, n_inputs], of the model's dtype or Rows, and y (float [n, n_outputs] or int64 labels [n]); order becomes 0 .. n-1.

        `weights`, float64 [n], weight the losses of the rows; rows of weight 0 have no influence, whatever their targets. `order` is read-only, because steps use it unchecked.
        """
        take(&self.running)
        try:
            self.bind_rows(x, y, weights)
        finally:
            fbp_put_word(&self.running, 0)

    cdef int bind_rows(self, x, cnp.ndarray y, weights) except -1:
        cdef Plan *p = &self.plan
        cdef Py_ssize_t n = len(x), batch = min(self.batch_size, n)
        cdef bint sparse = self.leaves_sparse(x)
        if batch != p.batch or sparse != self.sparse or (p.regime == SPARSE and x.most(p.rows) > p.room):
            self.make_workspace(batch, x if sparse else None)
            self.sparse = sparse
        self.x, self.y, self.weights = x, y, weights
        if self.order is None or self.shuffled or cnp.PyArray_SIZE(self.rows_in_order) != n:
            self.rows_in_order = cnp.PyArray_Arange(0, n, 1, cnp.NPY_INT64)
            self.order = self.rows_in_order.view()
            cnp.PyArray_CLEARFLAGS(self.order, cnp.NPY_ARRAY_WRITEABLE)
            self.shuffled = False
        p.targets = targets_of(y, p.parameter if p.loss == FBP_CROSS_ENTROPY else 0)
        p.x, p.n, p.weights = rows_of(x), n, weights_or_null(weights)
        p.converts = converts(&p.x, self.model.dtype_code)
        p.counts_correct = p.targets.labels != NULL or fbp_loss_classifies(p.loss)

    cdef bint leaves_sparse(self, x) except -1:
        """Whether to leave the zeros of rows out of the first layer's sums."""
        return isinstance(x, SparseRows) and x.leaves_out_zeros and is_chain(self.nodes, self.model.n_nodes) and not self.wants_inputs

    cdef bint updates_by_row(self) noexcept:
        """Whether an update by a gradient of zero changes nothing, neither weight nor state, so that it can be left out.

        Gradients for the user are written to a model that is zero.
        """
        cdef Plan *p = &self.plan
        cdef fbp_update *u = &p.update
        cdef bint keeps = u.rule == FBP_GRADIENT or u.rule == FBP_SGD or u.rule == FBP_ADAGRAD
        return keeps and u.l1 == 0 and u.l2 == 0 and p.clip_norm == 0 and p.max_norm == 0

    cdef int make_workspace(self, Py_ssize_t batch, SparseRows sparse) except -1:
        """Make the workspace for batches of so many rows, which are left sparse unless that is None."""
        cdef Plan *p = &self.plan
        cdef bint may_stream = self.updated is self.model and p.clip_norm == 0 and p.max_norm == 0
        cdef Partition chosen = partition(p.nodes, p.n_nodes, batch, self.n_threads, self.model.item, may_stream,
                                        sparse is not None, self.updates_by_row(), l2_bytes())
        if chosen.regime == SPARSE:
            p.room = max(p.room, <Py_ssize_t>sparse.most(chosen.rows))
        if self.workspace is None:
            self.workspace, self.reuse_workspace = self.reuse_workspace or Memory(0), None
        try:
            make_workspace(p, batch, chosen, self.model.memory.data + self.model.memory.bytes, self.workspace)
        except BaseException:  # an interrupt as well
            p.batch = 0
            raise

    @property
    def stop_request(self):
        return self.interrupts.request

    @stop_request.setter
    def stop_request(self, value):
        self.interrupts.request = value

    def release(self):
        """Return the workspace and drop it; `bind` makes a new one."""
        take(&self.running)
        memory, self.workspace, self.plan.batch = self.workspace, None, 0
        fbp_put_word(&self.running, 0)
        return memory

    @property
    def done(self):
        """The steps of this run."""
        return fbp_word(&self.steps_done)

    @property
    def weight(self):
        """The sum of the weights of the epoch's rows so far; without weights their number."""
        return self.plan.weight_sum

    @property
    def objective(self):
        """Of the epoch's rows so far the mean of what their steps minimised: loss, penalty on squares; None without `l2_weight`."""
        if self.plan.l2_weight == 0 or self.plan.row_sum == 0:
            return None
        return self.plan.loss_by_rows / self.plan.row_sum, self.plan.penalty_by_rows / self.plan.row_sum

    @property
    def regime(self):
        """The regime that the cost model has chosen."""
        return NAMES[self.plan.regime]

    @property
    def proved(self):
        """Whether the first update of the last call was known to leave all finite, so that no snapshot was taken."""
        return self.plan.proved != 0

    @property
    def fault(self):
        """The reason why the last call did fewer steps than asked for."""
        if self.plan.failed < 0:
            return ""
        return "label" if self.plan.fault == BAD_LABEL else "loss"

    def shuffle(self, bit_generator):
        """Put a new random permutation of the rows into `order`, drawing from a NumPy bit generator."""
        take(&self.running)
        try:
            self.shuffled = True
            shuffle(self.rows_in_order, bit_generator)
        finally:
            fbp_put_word(&self.running, 0)

    def steps(self, Py_ssize_t first, Py_ssize_t count, cnp.ndarray learning_rates):
        """Steps first .. first+count-1 of the epoch: (sum of losses and weight of the correct rows of the epoch so far, steps done).

        The sums go on from call to call and restart at first = 0, so they do not depend on how an epoch is split into calls.
        If fewer steps were done than asked for, the next one has the `fault`, or without one training is to stop; its update was
        not applied.
        """
        take(&self.running)
        try:
            take(&self.updated.busy)
            try:
                return self.follow_steps(first, count, learning_rates) if self.averagings else self.do_steps(first, count, learning_rates)
            finally:
                fbp_put_word(&self.updated.busy, 0)
        finally:
            fbp_put_word(&self.running, 0)

    cdef tuple follow_steps(self, Py_ssize_t first, Py_ssize_t count, cnp.ndarray learning_rates):
        """The same, with the averages brought up to date after each step: a result does not depend on how steps are split into calls."""
        cdef Py_ssize_t i
        for i in range(count):
            loss, correct, done = self.do_steps(first + i, 1, learning_rates[i:i + 1])
            if not done:
                return loss, correct, i
            self.follow()
        return loss, correct, count

    cdef int follow(self) except -1:
        """Bring the averages up to date."""
        cdef Averaging averaging
        for averaging in self.averagings:
            averaging.follow(self.model, self.count.count)
        return 0

    cdef tuple do_steps(self, Py_ssize_t first, Py_ssize_t count, cnp.ndarray learning_rates):
        cdef Plan *p = &self.plan
        cdef Forced force = forced()
        cdef int wanted = p.team, team = 1
        if wanted > 1:
            team = threads_now(wanted if force.active else self.contention.choose(wanted))
        self.begin(first, count, learning_rates, team, force)
        cdef double started = perf_counter() if wanted > 1 else 0
        with nogil:
            run_steps(p, team)
        unpack_first_layer(p)
        cdef Py_ssize_t done = count
        if p.failed >= 0:
            done = p.failed
            clear_slots(p)
        elif p.interrupted:
            done = (p.phase - 1) // p.n_phases
        if not p.proved:
            self.small_state = -1
        fbp_put_word(&self.steps_done, self.steps_done + done)
        self.step += done
        fbp_put_word(&self.count.count, self.count.count + done)
        if self.interrupts.error is not None:
            error, self.interrupts.error = self.interrupts.error, None
            raise error
        if wanted > 1:
            self.contention.record(team, count, perf_counter() - started,
                                   (p.barrier.asleep + p.waited) * 1e-9 if team > 1 else 0)
        return p.loss_sum, p.correct_sum, done

    cdef int let_go(self) except -1:
        """Forget what belongs to a call: the model too, which may have this run."""
        self.x = self.y = self.weights = self.weight_sums = self.stand_ins = None
        self.model = self.updated = None
        return 0

    def apply(self, Model gradient, cnp.ndarray learning_rates, bint snapshot=True, Py_ssize_t batch=1, double scale=1):
        """Do a step by a gradient that comes from outside: update, limits and count are those of `steps`, with the rate [1].

        With `snapshot`, the attribute of that name takes parameters and state from before. The gradient is that of `batch` rows,
        and is multiplied by `scale`.
        """
        cdef Plan *p = &self.plan
        take(&self.running)
        try:
            take(&self.updated.busy)
            try:
                p.kernels, p.arena, p.updated = self.model.kernels(), self.model.memory.data, self.updated.memory.data
                p.snapshot = NULL if self.snapshot is None or not snapshot else <char *>cnp.PyArray_DATA(<cnp.ndarray>self.snapshot)
                p.bytes, p.age, self.small_state, p.proved = self.model.memory.bytes, self.age + self.steps_done, -1, 0
                p.learning_rates = <const double *>cnp.PyArray_DATA(learning_rates)
                apply_given(p, gradient.memory.data, batch, scale)
                fbp_put_word(&self.steps_done, self.steps_done + 1)
                self.step += 1
                fbp_put_word(&self.count.count, self.count.count + 1)
                self.follow()
            finally:
                fbp_put_word(&self.updated.busy, 0)
        finally:
            fbp_put_word(&self.running, 0)

    def part_of(self, Py_ssize_t whole, double weight, Py_ssize_t first_row, Py_ssize_t begin, Py_ssize_t end):
        """Let the next steps be parts of one of `whole` rows, 0 if that is not known, with this weight, from one of its rows on.

        Steps are counted in the rows order[begin:end].
        """
        self.plan.whole, self.plan.whole_weight, self.plan.first_row = whole, weight, first_row
        self.row_begin, self.plan.n = begin, end - begin

    cdef int begin(self, Py_ssize_t first, Py_ssize_t count, cnp.ndarray learning_rates, int team, Forced force) except -1:
        """Set the fields of the plan that belong to one call of `steps`."""
        cdef Plan *p = &self.plan
        p.kernels, p.arena, p.updated = self.model.kernels(), self.model.memory.data, self.updated.memory.data
        p.bytes = self.model.memory.bytes
        p.order = <const int64_t *>cnp.PyArray_DATA(self.rows_in_order) + self.row_begin
        if p.weights != NULL:
            self.sum_weights(first, count)
        begin_call(p, first, count, first == 0 and self.row_begin == 0, <const double *>cnp.PyArray_DATA(learning_rates), self.age + self.steps_done,
                   Dropout(seed=self.seed, step=self.step),
                   NULL if self.snapshot is None or first else <char *>cnp.PyArray_DATA(<cnp.ndarray>self.snapshot), self.guards,
                   &self.small_state)
        p.helps = not force.active or force.helps
        # leaving weight rows out is exact while the weights are finite and nothing decays; the check pays over a few steps
        p.skip_zeros = (p.regime == STREAM and count >= STEPS_OF_A_SCAN and p.update.rule == FBP_SGD and p.update.l2 == 0
                        and p.update.l1 == 0 and p.kernels.all_finite(p.arena, self.model.memory.bytes // p.kernels.item))
        cdef bint longer = count >= STEPS_OF_A_COPY if force.packs < 0 else force.packs
        if longer and team > 1 and p.regime == WIDE and p.updated == p.arena and not p.nodes[0].frozen:
            pack_first_layer(p, force.active)
        lay_blocks(p)
        if force.active:
            seen.add(Cell(NAMES[p.regime], p.n_nodes == 1, p.packed != NULL, p.snapshot != NULL, p.held != NULL, p.max_norm > 0))
        return 0

    cdef int sum_weights(self, Py_ssize_t first, Py_ssize_t count) except -1:
        """Sum the weights of each step's rows, ascending, and find the first row of each step that has one."""
        cdef Plan *p = &self.plan
        cdef Py_ssize_t step
        sums, stand_ins = np.empty(count), np.empty(count, np.int64)
        cdef double *sum_of = <double *>cnp.PyArray_DATA(<cnp.ndarray>sums)
        cdef int64_t *stand_in_of = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>stand_ins)
        with nogil:
            for step in range(count):
                sum_of[step] = weight_of_step(p, first + step, &stand_in_of[step])
        self.weight_sums, self.stand_ins = sums, stand_ins
        p.weight_sums, p.stand_ins = sum_of, stand_in_of
        return 0


cdef double weight_of_step(const Plan *p, Py_ssize_t step, int64_t *stand_in) noexcept nogil:
    """The sum of the weights of a step's rows, ascending; and the first row that has one, or -1."""
    cdef Py_ssize_t i
    cdef double total = 0
    stand_in[0] = -1
    for i in range(step * p.batch, min(p.n, (step + 1) * p.batch)):
        total += p.weights[p.order[i]]
        if stand_in[0] < 0 and p.weights[p.order[i]] != 0:
            stand_in[0] = p.order[i]
    return total


cdef void begin_call(Plan *p, Py_ssize_t first, Py_ssize_t count, bint of_epoch, const double *learning_rates, int64_t age,
                     Dropout dropout, char *snapshot, bint guards, int *small_state) noexcept nogil:
    """Set the fields of a plan that belong to one call, whoever makes it; `Run` says what they are.

    `of_epoch`: whether the sums of the losses begin with this call.
    """
    if guards and small_state[0] < 0:
        small_state[0] = state_is_small(p)
    p.snapshot, p.guards, p.proved = snapshot, guards and small_state[0] > 0, 0
    p.largest_penalised = largest_penalised(p) if p.guards else 0
    p.learning_rates, p.age, p.dropout = learning_rates, age, dropout
    p.first_step, p.n_steps, p.failed, p.fault, p.interrupted = first, count, -1, 0, 0
    if of_epoch:
        p.loss_sum = p.correct_sum = p.weight_sum = 0
        p.loss_by_rows = p.penalty_by_rows = p.row_sum = 0
    p.step_loss = 0
    p.skip_zeros = False
    reset_phases(p)


cdef void lay_blocks(Plan *p) noexcept nogil:
    """Set the addresses of the blocks of weights, and the penalty on the weights that the first step begins with."""
    cdef Py_ssize_t i
    place_blocks(p)
    if p.penalty_squares != NULL:
        for i in range(p.n_blocks):
            note_penalty(p, i, 0)


cdef int take(int64_t *word) except -1:
    """Put this process into a word, at the begin of a call, that is to be 0 again at its end.

    Raise BusyError if another call of this process is in it. A forked child ignores the calls of its parent.
    """
    cdef int64_t holder = fbp_word(word)
    if holder == process() or not fbp_swap(word, holder, process()):
        raise BusyError("network: got a second call that writes it while one is running, wanted one at a time")
    return 0


def gradient_of_form(Model model):
    """A Model of the same parameters, all zero, that is to hold a gradient."""
    return form_of(model)


def gradients(Model model, loss, x, cnp.ndarray y, long long n_threads, bint inputs, double parameter=0,
              weights=None, average="weights"):
    """(mean loss, a Model that holds the gradients, dX [n, n_inputs] or None) of the mean loss over all rows, weighted by `weights`.

    `average` is as for `Run`; with the loss "custom" and "sum", y is dL/dy and L any function of the outputs.

    None if a label is out of range: y was written to after it was checked.

    A run of few rows is left to the next call that wants the same, because to make it takes many times as long as a pass.
    """
    cdef Model gradient = form_of(model)
    cdef Py_ssize_t n = len(x)
    cdef Run run
    wanted = (loss, parameter, average, n, n_threads, inputs)
    spare = model.exchange_spare(None)
    if spare is not None and spare[0] == wanted and not forced().active:
        run = spare[1]
        run.model, run.updated = model, gradient
    else:
        run = Run(model, loss, "gradient", 0, 0, n, n_threads, gradient, parameter, average=average)
        run.wants_inputs = inputs
    run.bind(x, y, weights)
    total, _, done = run.steps(0, 1, NO_RATE)
    if done == 0:
        return None
    dx = input_gradient(run) if inputs else None
    found = total / run.weight, gradient, dx
    if run.workspace.bytes <= BYTES_OF_A_SPARE_RUN and not run.sparse and not forced().active:
        run.let_go()
        model.exchange_spare((wanted, run))
    return found


cdef object input_gradient(Run run):
    """dL/dx of the rows of the last step: the sum of the deltas that the nodes above the data hand down, the last node's first."""
    cdef Plan *p = &run.plan
    cdef Py_ssize_t l
    dx = None
    for l in range(p.n_nodes - 1, -1, -1):
        if p.nodes[l].below < 0:
            part = handed_to_data(run, l)
            dx = part if dx is None else dx + part
    return np.ascontiguousarray(dx[:, : run.model.n_inputs])


cdef object handed_to_data(Run run, Py_ssize_t l):
    """The delta of node l, dense or a sum, handed down to the data."""
    cdef Plan *p = &run.plan
    cdef const Node *node = &p.nodes[l]
    cdef Py_ssize_t i, item = p.kernels.item
    cdef Memory scratch = Memory(bytes_to_hand_down(p))
    part = np.zeros((p.batch, node.ld_in), run.model.dtype)
    cdef char *out = <char *>cnp.PyArray_DATA(part)
    for i in range(slots_of_batch(p)):
        with nogil:
            hand_to_data(out, scratch.data, p, l, i, p.batch)
        PyErr_CheckSignals()
        out += p.rows * node.ld_in * item
    return part


cdef Py_ssize_t bytes_to_hand_down(const Plan *p) noexcept nogil:
    """Scratch of `hand_to_data`."""
    cdef Py_ssize_t l, widest = 0
    for l in range(p.n_nodes):
        widest = max(widest, p.nodes[l].n_out)
    return fbp_delta_scratch(widest, p.rows, p.kernels.item) * p.kernels.item


cdef void hand_to_data(char *out, char *scratch, const Plan *p, Py_ssize_t l, Py_ssize_t i, Py_ssize_t batch) noexcept nogil:
    """Hand the delta of node l for block i of the rows of a step, which has `batch`, down to out [rows][ld_in]."""
    cdef const Node *node = &p.nodes[l]
    cdef const Slot *slot = slot_of(p, i)
    cdef Py_ssize_t rows = min(p.rows, batch - i * p.rows)
    if node.op == DENSE:
        p.kernels.dense_delta(out, slot.deltas[l], p.arena + node.weight, slot.inputs, scratch, batch, rows, node.n_in, node.n_out,
                              node.ld_in, node.ld, node.ld, fbp_activation(FBP_LINEAR, 0))
    else:
        memcpy(out, slot.deltas[l], rows * node.ld * p.kernels.item)


cdef int64_t below(bitgen_t *bits, int64_t n) noexcept nogil:
    """Uniform integer in [0, n): multiply, shift, reject the few that would be biased (Lemire 2019)."""
    cdef uint32_t bound = <uint32_t>n, low
    cdef uint64_t product
    if n > <int64_t>0x7FFFFFFF:
        return <int64_t>(bits.next_uint64(bits.state) % <uint64_t>n)
    while True:
        product = <uint64_t>bits.next_uint32(bits.state) * bound
        low = <uint32_t>product
        if low >= bound or low >= (0 - bound) % bound:
            return <int64_t>(product >> 32)


cdef int shuffle(cnp.ndarray order, bit_generator) except -1:
    """Overwrite `order`, int64 [n], with 0 .. n-1 in random order (Fisher-Yates)."""
    cdef bitgen_t *bits = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
    cdef int64_t *item = <int64_t *>cnp.PyArray_DATA(order)
    cdef int64_t i, j, n = cnp.PyArray_SIZE(order)
    # The generator's lock is not taken: the generator belongs to one trainer, which holds the claim of the network, and a child
    # forked while another thread shuffles would find the lock taken for ever.
    with nogil:
        for i in range(n):
            item[i] = i
        for i in range(n - 1, 0, -1):
            j = below(bits, i + 1)
            item[i], item[j] = item[j], item[i]
    return 0
