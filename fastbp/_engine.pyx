"""Training runs: the plan, its workspace and the call that runs steps; the model that needs them."""

from time import perf_counter

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from fastbp._backward cimport update_of
from fastbp._forward cimport DENSE, Dropout, Layer, is_chain
from fastbp._parameters cimport Parameters, targets_of, weights_or_null
from fastbp._passes cimport Passes
from fastbp._places cimport bring_back, take_places
from fastbp._regime cimport Cut, cut_of
from fastbp._region cimport run_steps
from fastbp._runtime cimport (FBP_CROSS_ENTROPY, FBP_LINEAR, FBP_SGD, Memory, code_of, fbp_activation, fbp_delta_scratch,
                              fbp_loss, fbp_loss_classifies, fbp_loss_from_logits, fbp_rule_has_m, fbp_rule_has_v,
                              threads_now)
from fastbp._shuffle cimport shuffle
from fastbp._steps cimport THROUGH, Plan, Slot, streams
from fastbp._workspace cimport clear_slots, make_workspace, reset_phases, slots_of_batch

from fastbp._runtime import LOSSES
from fastbp._pace import Pace
from fastbp.errors import BusyError

cnp.import_array()

cdef enum:
    STEPS_OF_A_SCAN = 16        # from so many steps a call, looking at every weight first costs little
    STEPS_OF_A_COPY = 16        # and to copy those of the first layer to and fro

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
    parameter : float
        Of the loss (`loss_delta` in fbp_table.h); of cross-entropy, the label smoothing.
    numbers
        Other fields of fbp_update; clip_norm and max_norm, 0 for none.

    `state` is what the rule remembers, laid out as the parameters, one array after another; `age` counts the steps it has seen
    before this run. `kept` is None or an array where the parameters and the state of the start of an epoch go once its first loss
    is known to be finite. `seed` and `step`, the number of the step that comes next in the whole training, are what dropout is
    drawn from. `done` counts the steps, also those of a call that an interrupt ends before it can return. `spare` is None or the
    workspace of an earlier run, whose memory is used again if it has the right size.
    """

    cdef Parameters model, updated
    cdef Plan plan
    cdef Memory workspace, state_memory
    cdef int n_threads
    cdef Py_ssize_t batch_size
    cdef bint running
    cdef object x, y, weights, pace
    cdef readonly object state, order
    cdef readonly Py_ssize_t done
    cdef public object kept
    cdef public Memory spare
    cdef public uint64_t seed
    cdef public int64_t step, age
    cdef public bint always_share  # for tests: a step too small to be worth a team gets one all the same

    def __init__(self, Parameters model, loss, rule, double momentum=0, double l2=0, Py_ssize_t batch_size=1,
                 int n_threads=1, Parameters updated=None, double parameter=0, **numbers):
        cdef Plan *p = &self.plan
        self.model = model
        self.updated = model if updated is None else updated
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.pace = Pace()
        p.drops = updated is None and model.drops()
        p.kernels, p.layers, p.n_layers = model.kernels(), model.layers, model.n_layers
        p.chain = is_chain(p.layers, p.n_layers)
        p.loss, p.parameter = <fbp_loss>code_of(LOSSES, loss, "loss"), parameter
        p.to_logits = fbp_loss_from_logits(p.loss, p.layers[p.n_layers - 1].activation.code)
        p.clip_norm, p.max_norm = numbers.pop("clip_norm", 0), numbers.pop("max_norm", 0)
        p.update = update_of(rule, {"momentum": momentum, "l2": l2, **numbers})
        if p.clip_norm > 0:
            p.hold = update_of("gradient", {"clip_value": p.update.clip_value})
        self.make_state()

    cdef int make_state(self) except -1:
        """All zero, as if nothing had been seen."""
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

    def bind(self, cnp.ndarray x, cnp.ndarray y, weights=None):
        """Train on x [n, n_inputs] and y (float [n, n_outputs] or int64 labels [n]); order becomes 0 .. n-1.

        `weights`, float64 [n], are those of the rows' losses.
        """
        cdef Plan *p = &self.plan
        cdef Py_ssize_t n = x.shape[0], batch = min(self.batch_size, n)
        self.require_idle(self.running)
        if batch != p.batch:
            self.make_workspace(batch)
        self.x, self.y, self.weights = x, y, weights
        self.order = cnp.PyArray_Arange(0, n, 1, cnp.NPY_INT64)
        p.targets = targets_of(y, p.parameter if p.loss == FBP_CROSS_ENTROPY else 0)
        p.x, p.n, p.weights = <char *>cnp.PyArray_DATA(x), n, weights_or_null(weights)
        p.count_hits = p.targets.labels != NULL or fbp_loss_classifies(p.loss)

    cdef int make_workspace(self, Py_ssize_t batch) except -1:
        cdef Plan *p = &self.plan
        cdef Cut cut = cut_of(p.layers, p.n_layers, batch, self.n_threads, self.model.item, self.always_share)
        if self.workspace is None:
            self.workspace, self.spare = self.spare or Memory(0), None
        try:
            make_workspace(p, batch, cut, self.n_threads, self.model.memory.data + self.model.memory.bytes, self.workspace)
        except MemoryError:
            p.batch = 0
            raise

    def release(self):
        """Give the workspace away; `bind` makes a new one."""
        memory, self.workspace, self.plan.batch = self.workspace, None, 0
        return memory

    cdef int require_idle(self, bint busy) except -1:
        if busy:
            raise BusyError("network: got a second call that writes it while one is running, wanted one at a time")
        return 0

    @property
    def regime(self):
        """How the steps are shared out; the cost model's choice."""
        self.plan.arena, self.plan.updated = self.model.memory.data, self.updated.memory.data
        if streams(&self.plan):
            return "streaming"
        return "batch-split" if self.plan.phases[0].kind == THROUGH else "wide"

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
        cdef int wanted = p.team, team = threads_now(self.pace.choose(wanted)) if wanted > 1 else 1
        p.kernels, p.arena, p.updated = self.model.kernels(), self.model.memory.data, self.updated.memory.data
        p.kept = NULL if self.kept is None or first else <char *>cnp.PyArray_DATA(<cnp.ndarray>self.kept)
        p.bytes = self.model.memory.bytes
        p.order = <const int64_t *>cnp.PyArray_DATA(self.order)
        p.learning_rates = <const double *>cnp.PyArray_DATA(learning_rates)
        p.first_step, p.n_steps, p.failed = first, count, -1
        p.age = self.age + self.done
        p.hits = p.loss_sum = 0
        p.dropout = Dropout(seed=self.seed, step=self.step)
        reset_phases(p)
        # leaving rows out is exact while the weights are finite and nothing decays; scanning them pays over a few steps
        p.skip_zeros = (streams(p) and count >= STEPS_OF_A_SCAN and p.update.rule == FBP_SGD
                        and p.update.l2 == 0 and p.update.l1 == 0 and p.kernels.all_finite(p.arena, self.model.memory.bytes // p.kernels.item))
        self.running = self.updated.busy = True
        cdef double started = perf_counter() if wanted > 1 else 0
        take_places(p, team > 1 and p.room != NULL and p.updated == p.arena and count >= STEPS_OF_A_COPY)
        with nogil:
            run_steps(p, team)
        bring_back(p)
        self.running = self.updated.busy = False
        cdef Py_ssize_t done = count if p.failed < 0 else p.failed
        self.done += done
        self.step += done
        if p.failed >= 0:
            clear_slots(p)
        if wanted > 1:
            self.pace.record(team, count, perf_counter() - started,
                             (p.barrier.asleep + p.waited) * 1e-9 if team > 1 else 0)
        return p.loss_sum, p.hits, done


cdef class Model(Passes):
    """The parameters of a network, with what needs a backward pass."""

    def gradients(self, loss, cnp.ndarray x, cnp.ndarray y, int n_threads, bint inputs, double parameter=0,
                  weights=None):
        """(mean loss, a Model that holds the gradients, dX [n, n_inputs] or None) of the mean loss over all rows."""
        cdef Py_ssize_t n = x.shape[0], l
        gradient = Model(self.n_inputs, [self.layers[l].n_out for l in range(self.n_layers)],
                         ["linear"] * self.n_layers, self.dtype, wiring=self.wiring)
        cdef Run run = Run(self, loss, "gradient", 0, 0, n, n_threads, gradient, parameter)
        run.bind(x, y, weights)
        total, _, _ = run.steps(0, 1, np.zeros(1))
        return total / n, gradient, input_gradient(run) if inputs else None


cdef object input_gradient(Run run):
    """dL/dx of the rows of the step just done: the sum of what the layers above the data hand down, the last one's first."""
    cdef Plan *p = &run.plan
    cdef Py_ssize_t l
    dx = None
    for l in range(p.n_layers - 1, -1, -1):
        if p.layers[l].below < 0:
            part = handed_to_data(run, l)
            dx = part if dx is None else dx + part
    return np.ascontiguousarray(dx[:, : run.model.n_inputs])


cdef object handed_to_data(Run run, Py_ssize_t l):
    """The delta of layer l, dense or a sum, handed down to the data."""
    cdef Plan *p = &run.plan
    cdef const Layer *layer = &p.layers[l]
    cdef const Slot *slot
    cdef Py_ssize_t i, rows, item = p.kernels.item
    cdef Memory scratch = Memory(fbp_delta_scratch(layer.n_out, p.rows, item) * item)
    part = np.zeros((p.batch, layer.ld_in), run.model.dtype)
    cdef char *out = <char *>cnp.PyArray_DATA(part)
    for i in range(slots_of_batch(p)):
        slot, rows = p.taken[i], min(p.rows, p.batch - i * p.rows)
        if layer.op == DENSE:
            p.kernels.dense_delta(out, slot.deltas[l], p.arena + layer.weight, slot.inputs, scratch.data, p.batch, rows,
                                  layer.n_in, layer.n_out, layer.ld_in, layer.ld, layer.ld, fbp_activation(FBP_LINEAR, 0))
        else:
            memcpy(out, slot.deltas[l], rows * layer.ld * item)
        out += p.rows * layer.ld_in * item
    return part
