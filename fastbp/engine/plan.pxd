"""The plan of a training run, and what a step of any regime does with it."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from fastbp.engine.backward cimport Block, Place
from fastbp.engine.forward cimport Dropout, Layer
from fastbp.engine.model cimport Targets
from fastbp.engine.runtime cimport (FBP_ADAM, fbp_activation, fbp_barrier, fbp_coming, fbp_kernels, fbp_look, fbp_loss, fbp_state,
                                    fbp_update)

cdef struct Slot:
    # Room for some rows of a batch and all that becomes of them in a step.
    char *inputs                # [rows][ld_in]: the gathered rows
    char *target                # [rows][ld of the last layer]
    double *row_loss
    double *weights             # of the rows, if the plan has any
    uint8_t *hit
    char **outputs              # [n_layers] of [rows][ld]
    char **slopes               # what each layer's slope is computed from: its outputs, or what is kept for it
    char **deltas               # like the outputs

cdef enum Regime:
    SPLIT                       # blocks of rows, then blocks of weights
    WIDE                        # threads own columns
    STREAM                      # weights are read twice a step, once forward and once backward

cdef enum Fault:
    FINE
    NOT_FINITE                  # a loss
    BAD_LABEL                   # not a class: the array has been written to since it was checked

cdef enum Kind:
    THROUGH                     # a block of rows through all layers and back
    FORWARD                     # columns of one layer's output
    LAST                        # rows of the last layer's output, and their losses
    DELTA                       # input units of one layer
    UPDATE                      # the gradient of a block of one layer's weight, and its update if nothing else is to be known
    APPLY                       # the update of a block by the gradient that is held
    LIMIT                       # max_norm in a block

cdef struct Phase:
    # One part of a step of a team, made of items that need nothing of each other.
    Kind kind
    Py_ssize_t layer
    Py_ssize_t n                # items
    int64_t *states

cdef struct Plan:
    # Everything a worker needs; written before the region, but for the states at the end.
    const fbp_kernels *kernels
    const Layer *layers
    Py_ssize_t n_layers, n_phases, n_blocks
    Regime regime
    Phase *phases               # of a step, for a team
    const Block *blocks         # of all weights
    Place *places               # of the blocks
    char *apart                 # the first layer's weight, then its state, in the parts that threads own, or NULL: in the arena
    char *room                  # for that, in the wide regime
    char *arena                 # what the forward pass reads
    char *updated               # what an update writes: the arena, or gradients
    fbp_state state             # of the optimizer, laid out as the parameters
    int64_t age                 # steps that the state has seen before the first one
    char *kept                  # NULL, or where everything before the first step goes: parameters, then state
    Py_ssize_t bytes            # of the parameters, and of each array of the state
    const char *x
    Targets targets
    const double *weights       # [n] of the rows, or NULL
    const int64_t *order
    Py_ssize_t n, batch
    Py_ssize_t rows             # of a slot: a batch is cut in so many at a time
    int team                    # threads that the plan was made for
    const double *learning_rates
    Py_ssize_t first_step, n_steps
    Dropout dropout             # of the first of these steps
    bint drops                  # whether there is dropout at all
    Slot *slots                 # one for each block of rows of a batch, and one more for each thread of a team
    Py_ssize_t n_slots
    char *scratch               # per thread
    Py_ssize_t scratch_bytes
    fbp_loss loss
    double parameter            # of the loss
    bint to_logits, count_hits
    bint skip_zeros             # streaming may leave out weight rows whose input is zero
    fbp_update update
    fbp_update hold             # of a gradient that is held
    double clip_norm, max_norm  # 0: none
    char *held                  # the gradients of all blocks, if there is a clip_norm
    double *gradient_squares    # sums, see engine/limits.pyx
    double *weight_squares
    fbp_barrier barrier
    int64_t waited              # nanoseconds at the end of the region, until the last thread was there
    int *cpus                   # [threads]: where each was last
    bint helps                  # whether a waiting thread computes again what another has claimed
    int64_t phase               # of the team, counted from 1 over all steps
    void **taken                # the slot that holds each block of rows
    bint interruptible          # whether a step is so long that signals are looked for in its midst
    void *owner                 # what `interrupted` asks
    int64_t interrupted         # whether one has raised an error: the step that has not begun its updates is dropped
    int64_t failed              # first step (counted from first_step) that has a fault, and which
    int64_t fault
    double loss_sum             # of the epoch so far
    Py_ssize_t hits

cdef struct Streamed:
    # One layer as a thread of the streaming regime has it in every step.
    const Layer *layer
    Py_ssize_t l
    int32_t *list               # how many weight rows take part, then which
    bint scans                  # whether that differs from step to step
    Py_ssize_t first, columns   # of the thread, forward
    fbp_activation activation
    const char *x
    char *y                     # from the first of these columns on, like the next two
    char *slope
    char *kept                  # where the forward pass keeps f', or NULL
    char *weight
    char *bias
    fbp_state weight_state, bias_state
    char *dx                    # the delta below, NULL for the data
    char *dy

cdef struct Worker:
    # One thread of a team.
    Plan *plan
    int thread, n_threads
    char *scratch
    Slot *slot                  # of its own: for a block of rows that others do not see yet
    Py_ssize_t gathered         # the step whose inputs are in it
    bint labels_in_range        # of that step
    int64_t looked_for_signals
    fbp_coming coming
    fbp_update update
    Py_ssize_t scaled           # the step whose gradient scale is in the update

cdef inline Slot *slot_of(const Plan *p, Py_ssize_t block) noexcept nogil:
    # Where the rows of a block are.
    return <Slot *>fbp_look(p.taken + block)

cdef void correct_means(fbp_update *update, int64_t t) noexcept nogil

cdef inline void begin_update(fbp_update *update, const Plan *p, Py_ssize_t step) noexcept nogil:
    # The numbers of the update that belong to a step.
    update.learning_rate = p.learning_rates[step]
    if update.rule == FBP_ADAM:
        correct_means(update, p.age + step + 1)

cdef Py_ssize_t batch_of(const Plan *p, Py_ssize_t step) noexcept nogil
cdef Dropout dropout_of(const Plan *p, Py_ssize_t step) noexcept nogil
cdef Py_ssize_t row_blocks(const Plan *p, Py_ssize_t step) noexcept nogil
cdef bint gather(const Plan *p, const Slot *slot, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
cdef bint losses(const Plan *p, const Slot *slot, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t batch) noexcept nogil
cdef void add_losses(Plan *p, const Slot *slot, Py_ssize_t rows) noexcept nogil
cdef void keep(Plan *p, int thread, int n_threads) noexcept nogil
cdef void keep_bytes(Plan *p, Py_ssize_t at, const char *weight, fbp_state state, Py_ssize_t size) noexcept nogil
