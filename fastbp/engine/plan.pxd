"""The plan of a training run, and the operations on it that every regime needs."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from fastbp.engine.backward cimport Block, Place
from fastbp.engine.forward cimport Dropout, Node
from fastbp.engine.model cimport Targets
from fastbp.engine.runtime cimport (FBP_ADAM, fbp_activation, fbp_barrier, fbp_features, fbp_prefetch, fbp_kernels, fbp_look, fbp_loss,
                                    fbp_rows, fbp_sparse, fbp_state, fbp_update)

cdef struct Slot:
    # Buffers for a block of rows of a batch: inputs, targets, outputs, deltas, losses.
    char *inputs                # [rows][ld_in]: the gathered rows; of sparse ones the numbers
    char *target                # [rows][ld of the last layer]
    double *row_loss
    double *weights             # of the rows, if the plan has row weights,
    int64_t *order              # and the rows that were gathered: another one in the place of a row of weight 0
    uint8_t *correct
    char **outputs              # [n_nodes] of [rows][ld]
    char **slopes               # the array that each node's slope is computed from: its outputs, or its saved slopes
    char **deltas               # laid out as the outputs

cdef enum Regime:
    SPLIT                       # blocks of rows, then blocks of weights
    WIDE                        # threads own columns
    SPARSE                      # batch-split on one thread, where the first layer leaves out the zeros of sparse rows
    STREAM                      # the weights are read twice a step, once forward and once backward

cdef enum Fault:
    FINE
    NOT_FINITE                  # a loss
    BAD_LABEL                   # a label is out of range: the array was written to after it was checked

cdef enum Kind:
    THROUGH                     # a block of rows forward and backward through all nodes
    FORWARD                     # columns of one layer's output
    LAST                        # rows of the last layer's output, and their losses
    DELTA                       # input units of one layer
    UPDATE                      # the gradient of a block of a node's weight, and its update unless gradients are held
    APPLY                       # the update of a block by its held gradient
    LIMIT                       # max_norm applied to a block

cdef struct Phase:
    # One part of a step of a team; its items do not depend on each other.
    Kind kind
    Py_ssize_t node
    Py_ssize_t n                # items
    int64_t *states

cdef struct Plan:
    # Everything that a worker reads. Written before the parallel region, except for the progress fields at the end.
    const fbp_kernels *kernels
    const Node *nodes
    Py_ssize_t n_nodes, n_phases, n_blocks
    Regime regime
    Phase *phases               # of a step, for a team
    const Block *blocks         # of all weights
    Place *places               # of the blocks
    char *packed                # the first layer's weight and its state, packed by owner; NULL while they are in the arena
    char *packing_room          # memory for them, in the wide regime
    char *arena                 # parameters that the forward pass reads
    char *updated               # memory that the update writes: the arena, or gradients
    fbp_state state             # of the optimizer, laid out as the parameters
    int64_t age                 # steps that the optimizer state has seen before the first one
    char *snapshot              # NULL, or the copy of parameters and state from before the first step
    bint guards                 # whether no copy is made if the update is known to be finite
    int64_t proved              # whether it was
    double largest_penalised    # the largest parameter at the begin of a call, if a penalty on squares and `guards` want it
    Py_ssize_t bytes            # of the parameters, and of each array of the state
    fbp_rows x
    bint converts               # whether a batch is to be converted from the rows, not copied
    Targets targets
    const double *weights       # [n] of the rows, or NULL
    const double *weight_sums   # with weights: of each step's rows,
    const int64_t *stand_ins    # and the first of them with a weight, -1 if none has one
    bint by_rows                # whether a step's gradient is divided by its rows, not by their weights,
    bint sums                   # or not at all: it is that of the sum
    bint adds                   # whether the update adds to the gradients of earlier parts of a step
    Py_ssize_t whole            # rows of the step that the batch is a part of, 0 for all of them,
    double whole_weight         # their weight, and
    Py_ssize_t first_row        # the place of the part's first row among them
    const int64_t *order
    Py_ssize_t n, batch
    Py_ssize_t rows             # of a slot: a batch is split into blocks of this many
    int team                    # threads that the plan was made for
    const double *learning_rates
    Py_ssize_t first_step, n_steps
    Dropout dropout             # of the first of these steps
    bint drops                  # whether there is dropout at all
    Slot *slots                 # one for each block of rows of a batch, and a spare one for each thread of a team
    Py_ssize_t n_slots
    fbp_sparse *sparse          # of the SPARSE regime: the rows of each slot, with room for so many numbers,
    Py_ssize_t room
    bint by_row                 # whether only those rows of the first weight are updated that have a gradient
    fbp_features features       # the numbers of a step by feature,
    const void **delta_rows     # and its rows of the first node's deltas
    char *scratch               # per thread
    Py_ssize_t scratch_bytes
    fbp_loss loss
    double parameter            # of the loss
    bint to_logits, counts_correct
    bint grouped                # whether the update of any node differs from `update`: see update_of_node
    bint skip_zeros             # streaming may leave out weight rows whose input is zero
    fbp_update update
    fbp_update hold             # writes a gradient that is held
    double clip_norm, max_norm  # 0: none
    double l2_weight            # 0, or the weight of rows that `update.l2` is for: that of a step is in proportion to its own
    char *held                  # the gradients of all blocks, if they are held
    double *gradient_squares    # sums, see engine/limits.pyx
    double *weight_squares
    double *penalty_squares     # the same of the weights that a step begins with, in turn for two steps; NULL: not needed
    fbp_barrier barrier
    int64_t waited              # nanoseconds that the calling thread waited at the end of the region
    int *cpus                   # [threads]: the CPU that each last ran on
    bint helps                  # whether a waiting thread computes items again that others have claimed
    int64_t phase               # the team's current phase, counted from 1 over all steps
    void **taken                # the slot that holds each block of rows
    bint interruptible          # whether steps are so long that they look for signals themselves
    uint64_t caller_mode        # how the calling thread does its arithmetic outside of the engine
    void *interrupts            # an Interrupts
    int64_t interrupted         # whether a signal handler has raised or the run is to stop: the step is dropped
    int64_t failed              # the first step (counted from first_step) with a fault
    int64_t fault
    double loss_sum             # of the epoch so far: weighted losses, weights of the correct rows, weights of all rows;
    double correct_sum          # without weights each row counts 1
    double weight_sum
    double step_loss            # with l2_weight: of the step whose losses are added,
    double loss_by_rows         # and sums over the rows of the epoch so far: the mean loss of their step, its penalty, 1
    double penalty_by_rows
    double row_sum

cdef struct Streamed:
    # One node with the pointers and shares of a thread of the streaming regime, which are the same in every step.
    const Node *node
    Py_ssize_t l
    int32_t *list               # the number of weight rows that take part, then their indices
    bint scans                  # whether the list changes from step to step
    Py_ssize_t first, columns   # this thread's columns in the forward pass
    fbp_activation activation
    const char *x
    char *y                     # y, slope and saved_slope begin at the first of these columns
    char *slope
    char *saved_slope           # where the forward pass saves f', or NULL
    char *weight
    char *bias
    fbp_state weight_state, bias_state
    char *dx                    # the delta of the node below, NULL above the data
    char *dy

cdef struct Worker:
    # One thread of a team.
    Plan *plan
    int thread, n_threads
    char *scratch
    Slot *slot                  # the thread's own, which others do not see until it is published
    Py_ssize_t gathered         # the step whose inputs it holds
    bint labels_in_range        # of that step
    int64_t looked_for_signals
    fbp_prefetch prefetch
    fbp_update update
    Py_ssize_t scaled           # the step whose gradient scale is in `update`
    int proved                  # whether the first update is known to be finite; -1: not looked at

cdef inline fbp_sparse *sparse_of(const Plan *p, const Slot *slot) noexcept nogil:
    # The sparse rows of a slot; NULL if they are dense.
    return p.sparse + (slot - p.slots) if p.regime == SPARSE else NULL

cdef inline Slot *slot_of(const Plan *p, Py_ssize_t block) noexcept nogil:
    # The slot that holds a block of rows.
    return <Slot *>fbp_look(p.taken + block)

cdef Py_ssize_t batch_of(const Plan *p, Py_ssize_t step) noexcept nogil

cdef inline Py_ssize_t whole_of(const Plan *p, Py_ssize_t step) noexcept nogil:
    # Rows of a step, also where the batch is a part of them.
    return p.whole if p.whole else batch_of(p, step)

cdef void correct_means(fbp_update *update, int64_t t) noexcept nogil
cdef void set_group(fbp_update *update, const Plan *p, const Node *node, Py_ssize_t step) noexcept nogil

cdef inline double l2_of(const Plan *p, Py_ssize_t step) noexcept nogil:
    # The penalty of a step; 0 if its rows have no weight.
    cdef double weight
    if p.l2_weight == 0:
        return p.update.l2
    weight = batch_of(p, step) if p.weights == NULL else p.weight_sums[step]
    return p.update.l2 * p.l2_weight / weight if weight > 0 else 0

cdef inline void begin_update(fbp_update *update, const Plan *p, Py_ssize_t step) noexcept nogil:
    # Set the hyperparameters that change from step to step.
    update.learning_rate = p.learning_rates[step]
    update.l2 = l2_of(p, step)
    if update.rule == FBP_ADAM:
        correct_means(update, p.age + step + 1)

cdef inline const fbp_update *update_of_node(fbp_update *room, const fbp_update *update, const Plan *p, const Node *node,
                                             Py_ssize_t step) noexcept nogil:
    # The update of a step as the group of a node has it, in `room` if it differs from that of the others.
    if not p.grouped:
        return update
    room[0] = update[0]
    set_group(room, p, node, step)
    return room

cdef Dropout dropout_of(const Plan *p, Py_ssize_t step) noexcept nogil
cdef Py_ssize_t row_blocks(const Plan *p, Py_ssize_t step) noexcept nogil
cdef bint gather(const Plan *p, const Slot *slot, Py_ssize_t step, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
cdef bint losses(const Plan *p, const Slot *slot, Py_ssize_t step, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
cdef void add_losses(Plan *p, const Slot *slot, Py_ssize_t rows) noexcept nogil
cdef void add_weights(Plan *p, Py_ssize_t step) noexcept nogil
cdef void take_snapshot(Plan *p, int thread, int n_threads) noexcept nogil
cdef void snapshot_bytes(Plan *p, Py_ssize_t at, const char *weight, fbp_state state, Py_ssize_t size) noexcept nogil
