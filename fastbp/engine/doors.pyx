"""Handles of networks and trainers for C programs: the functions of include/fastbp.h.

A call takes nothing of Python and allocates nothing: what it needs is made when a handle is opened, by a function of
`fastbp.embedding`, for which the handle takes the GIL. It goes through the passes and plans of `model` and `run`.
"""

from libc.math cimport NAN, isfinite, isnan
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

cimport numpy as cnp
from cpython.exc cimport PyErr_SetInterrupt
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject

from fastbp.engine.arrays cimport Domain, domain_of, in_domain
from fastbp.engine.averaging cimport mix_bytes
from fastbp.engine.forward cimport Dropout, Node
from fastbp.engine.model cimport (PASS_ROWS, Model, Pass, Targets, bytes_of_pass, form_of, lay_out_pass, pass_over, pass_worker,
                                  take_claim)
from fastbp.engine.plan cimport BAD_LABEL, Plan, row_blocks
from fastbp.engine.rows cimport converts
from fastbp.engine.run cimport (OpenEpoch, OpenSteps, Run, add_open, begin_call, bytes_to_hand_down, hand_to_data, lay_blocks,
                                weight_of_step)
from fastbp.engine.runtime cimport (FBP_CROSS_ENTROPY, FBP_CUSTOM, FBP_F32, FBP_FLOAT32, FBP_FLOAT64, FBP_LINE_BYTES, Memory,
                                    fbp_count, fbp_counted, fbp_kernels, fbp_loss, fbp_loss_classifies, fbp_loss_from_logits,
                                    fbp_put_word, fbp_rows, fbp_swap, fbp_update_block_rows, fbp_word, pause, process)
from fastbp.engine.team cimport run_steps
from fastbp.engine.workspace cimport clear_slots

from threading import Lock

from fastbp.engine.config import __version__
from fastbp.errors import BusyError, ConfigError, CorruptModelError, DTypeError, FormatVersionError, ShapeError

cnp.import_array()

cdef extern from "fastbp.h":
    enum:
        FASTBP_ABI_MAJOR, FASTBP_ABI_MINOR
    const char *FASTBP_CAPSULE
    enum:
        FASTBP_FLOAT32, FASTBP_FLOAT64
        FASTBP_OK, FASTBP_ERROR_NULL, FASTBP_ERROR_HANDLE, FASTBP_ERROR_SIZE, FASTBP_ERROR_DTYPE, FASTBP_ERROR_INPUT
        FASTBP_ERROR_TARGET, FASTBP_ERROR_WEIGHT, FASTBP_ERROR_VALUE, FASTBP_ERROR_BUSY, FASTBP_ERROR_CHANGED, FASTBP_ERROR_RATES
        FASTBP_ERROR_DIVERGED, FASTBP_ERROR_FORM, FASTBP_ERROR_UNSUPPORTED, FASTBP_ERROR_MEMORY, FASTBP_ERROR_FILE
        FASTBP_ERROR_PYTHON
    ctypedef struct fastbp_network:
        pass
    ctypedef struct fastbp_trainer:
        pass
    ctypedef struct fastbp_sizes:
        ptrdiff_t n_inputs, n_outputs, n_parameters, max_rows
        int dtype, x_dtype
    ctypedef struct fastbp_api:
        int abi_major, abi_minor
        size_t size
        const char *version
        const char *(*message)() noexcept nogil
        int (*open_network)(void *network, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out) noexcept nogil
        int (*load_network)(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out) noexcept nogil
        int (*refresh_network)(fastbp_network *network) noexcept nogil
        int (*close_network)(fastbp_network *network) noexcept nogil
        int (*network_object)(fastbp_network *network, void **out) noexcept nogil
        int (*network_sizes)(fastbp_network *network, fastbp_sizes *out) noexcept nogil
        ptrdiff_t (*scratch_bytes)(fastbp_network *network, ptrdiff_t n) noexcept nogil
        int (*predict)(fastbp_network *network, const void *x, ptrdiff_t n, void *y) noexcept nogil
        int (*predict_with)(fastbp_network *network, const void *x, ptrdiff_t n, void *y, void *scratch,
                            ptrdiff_t n_bytes) noexcept nogil
        int (*backward)(fastbp_network *network, const void *x, const void *dy, ptrdiff_t n, void *dw, void *dx) noexcept nogil
        int (*get_parameters)(fastbp_network *network, void *out, ptrdiff_t n_parameters) noexcept nogil
        int (*set_parameters)(fastbp_network *network, const void *values, ptrdiff_t n_parameters) noexcept nogil
        int (*copy_parameters)(fastbp_network *to, fastbp_network *source) noexcept nogil
        int (*lerp)(fastbp_network *to, fastbp_network *source, double tau) noexcept nogil
        int (*open_trainer)(void *trainer, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out) noexcept nogil
        int (*load_trainer)(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out) noexcept nogil
        int (*refresh_trainer)(fastbp_trainer *trainer) noexcept nogil
        int (*close_trainer)(fastbp_trainer *trainer) noexcept nogil
        int (*trainer_object)(fastbp_trainer *trainer, void **out) noexcept nogil
        int (*trainer_network)(fastbp_trainer *trainer, fastbp_network **out) noexcept nogil
        int (*trainer_sizes)(fastbp_trainer *trainer, fastbp_sizes *out) noexcept nogil
        int (*trainer_steps)(fastbp_trainer *trainer, int64_t *out) noexcept nogil
        int (*gradient)(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels, const double *weights,
                        ptrdiff_t n, double *loss, void *dw, void *dx) noexcept nogil
        int (*step)(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels, const double *weights, ptrdiff_t n,
                    double *loss) noexcept nogil
        int (*step_from)(fastbp_trainer *trainer, const void *x, const void *dy, ptrdiff_t n, double loss) noexcept nogil

cdef extern from *:
    """
    #define FBP_MESSAGE_BYTES 1024
    static _Thread_local char fbp_said[FBP_MESSAGE_BYTES];
    """
    enum:
        FBP_MESSAGE_BYTES
    char *fbp_said

cdef enum:
    MOST_ROWS = 0x7fffffff      # of a call, as of a batch in Python
    NETWORK = 0x6662706e        # what a handle is
    TRAINER = 0x66627074
    CLOSED = -1                 # as its number of users
    HANDLES_OF_A_SLAB = 64

cdef struct Handle:
    # What a fastbp_network * or a fastbp_trainer * points to. It is never freed, so that a closed one can be told.
    int64_t kind                # 0: closed
    int64_t users               # calls that are using it
    int64_t holder              # the process of the call that is using its memory; 0: none
    Door *door
    PyObject *owner             # the Opened that has the door, and all that it points to

cdef struct Door:
    # All that the calls of a handle need.
    Plan *gradient              # a plan that writes gradients, or NULL
    const int64_t *order        # 0 .. max_rows - 1
    const fbp_kernels *kernels
    const Node *nodes
    Py_ssize_t n_nodes
    char *arena
    Py_ssize_t arena_bytes
    const int64_t *revision     # of the model, now and when it was opened
    int64_t opened_revision
    int64_t *claimed            # words of the model
    int64_t *claims
    int64_t *door_claims
    int64_t foreign             # claims by others than handles, when it was opened
    fbp_rows rows               # but for their address
    int dtype_code
    Py_ssize_t n_inputs, n_outputs, n_parameters, max_rows
    int dtype, x_dtype
    const int64_t *pieces       # [n_pieces][2]: place and length in the arena, in numbers, of the flat parameters in their order
    Py_ssize_t n_pieces
    const char *form            # 32 bytes that say what two networks must have in common
    char *scratch               # for a pass over PASS_ROWS rows
    Py_ssize_t scratch_bytes
    char *dx                    # [max_rows][ld_in], twice, and scratch, for gradients by the inputs
    char *dx_part
    char *dx_scratch
    double weight_sum           # of the rows of the running call, which a plan points to
    int64_t stand_in
    double rate
    # of a trainer
    Plan *plan
    fbp_loss loss
    double parameter
    Domain domain
    bint takes_labels
    bint limits                 # whether norms are limited whose sums depend on the rows of a block of weights
    int64_t *steps_done         # words of the run
    int64_t *count
    int64_t *step
    const int64_t *age
    const uint64_t *seed
    int *small_state
    char *snapshot
    char *state
    Py_ssize_t state_bytes
    OpenSteps *open
    const double *rates         # of the next steps; the last one for ever if `constant_rate`
    Py_ssize_t n_rates, next_rate
    bint constant_rate


cdef class Opened:
    """What an opened handle points to: made by `fastbp.embedding`.

    Parameters
    ----------
    owner : Network or Trainer
    model : Model
    x_dtype : str
    mean, scale : ndarray or None
        The map of the rows, as of `Rows`.
    pieces : ndarray
        int64 [n, 2]: place and length in the arena, in numbers, of the flat parameters in their order.
    form : bytes
        32 of them, the same for networks of the same layers.
    max_rows : int
        Of a call that computes gradients; 0 for none.
    """

    cdef readonly object owner
    cdef Model model
    cdef object mean, scale, pieces, form, rates, good
    cdef Run run, gradient
    cdef OpenEpoch open_epoch
    cdef Memory memory, scratch, dx
    cdef Door *door

    def __init__(self, owner, Model model, str x_dtype, mean, scale, cnp.ndarray pieces, bytes form, Py_ssize_t max_rows):
        self.owner, self.model, self.mean, self.scale, self.pieces, self.form = owner, model, mean, scale, pieces, form
        self.memory = Memory(sizeof(Door))
        self.door = <Door *>self.memory.data
        cdef Door *d = self.door
        d.kernels, d.nodes, d.n_nodes = model.kernels(), model.nodes, model.n_nodes
        d.arena, d.arena_bytes = model.memory.data, model.memory.bytes
        d.revision, d.opened_revision = &model.revision, fbp_counted(&model.revision)
        d.claimed, d.claims, d.door_claims = &model.claimed, &model.claims, &model.door_claims
        d.foreign = fbp_counted(d.claims) - fbp_counted(d.door_claims)
        d.dtype_code = model.dtype_code
        d.dtype = FASTBP_FLOAT32 if model.dtype_code == FBP_F32 else FASTBP_FLOAT64
        d.x_dtype = FASTBP_FLOAT32 if x_dtype == "float32" else FASTBP_FLOAT64
        d.rows.type, d.rows.n = FBP_FLOAT32 if x_dtype == "float32" else FBP_FLOAT64, model.n_inputs
        if mean is not None:
            d.rows.mean = <double *>cnp.PyArray_DATA(<cnp.ndarray?>mean)
            d.rows.scale = <double *>cnp.PyArray_DATA(<cnp.ndarray?>scale)
        d.n_inputs, d.n_outputs, d.max_rows = model.n_inputs, model.n_outputs, max_rows
        d.pieces, d.n_pieces = <int64_t *>cnp.PyArray_DATA(pieces), cnp.PyArray_DIM(pieces, 0)
        cdef Py_ssize_t i
        for i in range(d.n_pieces):
            d.n_parameters += d.pieces[2 * i + 1]
        d.form = form
        cdef Pass p = pass_over(d.kernels, d.nodes, d.n_nodes, d.arena, &d.rows, PASS_ROWS, d.dtype_code, -1)
        self.scratch = Memory(bytes_of_pass(&p, 1))
        d.scratch, d.scratch_bytes = self.scratch.data, self.scratch.bytes
        if max_rows:
            self.make_gradient(max_rows)

    cdef int make_gradient(self, Py_ssize_t max_rows) except -1:
        """Make a run that writes gradients into a model of their own."""
        cdef Door *d = self.door
        cdef Py_ssize_t size, line = FBP_LINE_BYTES
        self.gradient = Run(self.model, "custom", "gradient", 0, 0, max_rows, 1, form_of(self.model))
        self.gradient.prepare(max_rows)
        d.gradient = &self.gradient.plan
        d.order = d.gradient.order
        size = (max_rows * d.nodes[0].ld_in * <Py_ssize_t>d.kernels.item + line - 1) // line * line
        self.dx = Memory(2 * size + bytes_to_hand_down(d.gradient))
        d.dx, d.dx_part, d.dx_scratch = self.dx.data, self.dx.data + size, self.dx.data + 2 * size
        return 0

    def trains(self, Run run, good, OpenEpoch open_epoch, cnp.ndarray rates, bint constant_rate, loss, double parameter,
               str domain, bint takes_labels, bint limits):
        """Let its steps be those of a run; `rates` are of the next steps, `good` is what a step goes back to."""
        cdef Door *d = self.door
        cdef Py_ssize_t l
        self.run, self.open_epoch, self.rates, self.good = run, open_epoch, rates, good
        run.prepare(d.max_rows)
        d.plan = &run.plan
        d.loss, d.parameter, d.domain = d.plan.loss, parameter, domain_of(domain)
        d.takes_labels = takes_labels
        for l in range(d.n_nodes):
            d.limits = d.limits or (limits and d.nodes[l].n_in > fbp_update_block_rows(1))
        d.steps_done, d.count, d.step, d.age, d.seed = &run.steps_done, &run.count.count, &run.step, &run.age, &run.seed
        d.small_state, d.open = &run.small_state, &open_epoch.open
        d.snapshot = <char *>cnp.PyArray_DATA(<cnp.ndarray?>run.snapshot)
        if run.state_memory is not None:
            d.state, d.state_bytes = run.state_memory.data, run.state_memory.bytes
        d.rates, d.n_rates, d.constant_rate = <double *>cnp.PyArray_DATA(rates), cnp.PyArray_SIZE(rates), constant_rate


# Opening and closing

cdef dict openers = {}      # functions of fastbp.embedding, by name
cdef list slabs = []        # memory of handles
cdef Py_ssize_t n_handles = 0
cdef object making = Lock()


def use(**functions):
    """Set the functions that open: (object or path, dtype, x_dtype, max_rows) to an `Opened`."""
    openers.update(functions)


cdef Handle *new_handle() except NULL:
    global n_handles
    cdef Memory slab
    with making:
        if n_handles % HANDLES_OF_A_SLAB == 0:
            slabs.append(Memory(HANDLES_OF_A_SLAB * sizeof(Handle)))
        slab = slabs[len(slabs) - 1]
        n_handles += 1
        return <Handle *>slab.data + (n_handles - 1) % HANDLES_OF_A_SLAB


cdef void say(str text):
    """Keep a text for `message`."""
    cdef bytes said = text.encode("utf-8", "replace")[:FBP_MESSAGE_BYTES - 1]
    memcpy(fbp_said, <const char *>said, len(said) + 1)


cdef int code_of_error(error):
    if isinstance(error, KeyboardInterrupt):
        PyErr_SetInterrupt()  # for the program that has the GIL next
    for kinds, code in ((MemoryError, FASTBP_ERROR_MEMORY), (BusyError, FASTBP_ERROR_BUSY), (DTypeError, FASTBP_ERROR_DTYPE),
                        (ShapeError, FASTBP_ERROR_SIZE), (ConfigError, FASTBP_ERROR_UNSUPPORTED),
                        ((OSError, CorruptModelError, FormatVersionError), FASTBP_ERROR_FILE)):
        if isinstance(error, kinds):
            return code
    return FASTBP_ERROR_HANDLE if isinstance(error, TypeError) else FASTBP_ERROR_PYTHON


cdef int open_by(str how, object given, int dtype, int x_dtype, ptrdiff_t max_rows, int64_t kind, Handle **handle):
    """Open an object, into a handle that is new unless one is given."""
    cdef Opened opened
    cdef PyObject *before
    try:
        names = {FASTBP_FLOAT32: "float32", FASTBP_FLOAT64: "float64"}
        if dtype not in names or x_dtype not in names:
            raise DTypeError(f"dtype: got {dtype} and {x_dtype} for x, wanted FASTBP_FLOAT32 or FASTBP_FLOAT64")
        opened = openers[how](given, names[dtype], names[x_dtype], max_rows)
        if handle[0] == NULL:
            handle[0] = new_handle()
        Py_INCREF(opened)
        before = handle[0].owner
        handle[0].owner, handle[0].door = <PyObject *>opened, opened.door
        fbp_put_word(&handle[0].kind, kind)
        if before != NULL:
            Py_DECREF(<object>before)
        return FASTBP_OK
    except BaseException as error:
        say(str(error) or type(error).__name__)
        return code_of_error(error)


cdef int open_object(int64_t kind, void *given, int dtype, int x_dtype, ptrdiff_t max_rows, void **out) noexcept with gil:
    cdef Handle *handle = NULL
    cdef int code
    if given == NULL or out == NULL:
        return FASTBP_ERROR_NULL
    code = open_by("trainer" if kind == TRAINER else "network", <object>given, dtype, x_dtype, max_rows, kind, &handle)
    if code == FASTBP_OK:
        out[0] = handle
    return code


cdef int open_path(int64_t kind, const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, void **out) noexcept with gil:
    cdef Handle *handle = NULL
    cdef int code
    if path == NULL or out == NULL:
        return FASTBP_ERROR_NULL
    code = open_by("trainer_file" if kind == TRAINER else "network_file", <bytes>path, dtype, x_dtype, max_rows, kind, &handle)
    if code == FASTBP_OK:
        out[0] = handle
    return code


cdef int open_again(Handle *handle) noexcept with gil:
    cdef Door *d = handle.door
    return open_by("trainer" if handle.kind == TRAINER else "network", (<Opened>handle.owner).owner, d.dtype, d.x_dtype, d.max_rows,
                   handle.kind, &handle)


cdef int object_of(Handle *handle, void **out) noexcept with gil:
    owner = (<Opened>handle.owner).owner
    Py_INCREF(owner)
    out[0] = <void *>owner
    return FASTBP_OK


cdef int network_of(Handle *handle, void **out) noexcept with gil:
    cdef Door *d = handle.door
    network = (<Opened>handle.owner).owner.network
    return open_object(NETWORK, <void *>network, d.dtype, d.x_dtype, d.max_rows, out)


cdef void let_go(Handle *handle) noexcept with gil:
    Py_DECREF(<object>handle.owner)
    handle.owner, handle.door = NULL, NULL


# Entering and leaving a call

cdef int enter(Handle *handle, int64_t kind, bint changed=False) noexcept nogil:
    """Begin a call; `changed`: even if Python has changed the model since the handle was opened."""
    cdef int64_t users
    if handle == NULL:
        return FASTBP_ERROR_NULL
    if fbp_word(&handle.kind) != kind:
        return FASTBP_ERROR_HANDLE
    while True:
        users = fbp_word(&handle.users)
        if users < 0:  # it is being closed or refreshed
            return FASTBP_ERROR_BUSY
        if fbp_swap(&handle.users, users, users + 1):
            break
    if not changed and fbp_counted(handle.door.revision) != handle.door.opened_revision:
        leave(handle)
        return FASTBP_ERROR_CHANGED
    return FASTBP_OK


cdef void leave(Handle *handle) noexcept nogil:
    cdef int64_t users
    while True:
        users = fbp_word(&handle.users)
        if fbp_swap(&handle.users, users, users - 1):
            return


cdef bint hold(Handle *handle) noexcept nogil:
    """Take the handle's memory for a call; False if another call of this process has it."""
    cdef int64_t holder = fbp_word(&handle.holder)
    return holder != process() and fbp_swap(&handle.holder, holder, process())


cdef void give(Handle *handle) noexcept nogil:
    fbp_put_word(&handle.holder, 0)


cdef int enter_alone(Handle *handle, int64_t kind) noexcept nogil:
    """Begin a call that uses the handle's memory."""
    cdef int code = enter(handle, kind)
    if code == FASTBP_OK and not hold(handle):
        leave(handle)
        return FASTBP_ERROR_BUSY
    return code


cdef int leave_alone(Handle *handle, int code) noexcept nogil:
    give(handle)
    leave(handle)
    return code


cdef bint claim_to_write(Door *d) noexcept nogil:
    """Claim a model for a call that writes it; False if another call has it."""
    if not take_claim(d.claimed):
        return False
    fbp_count(d.claims)
    fbp_count(d.door_claims)
    return True


cdef int refresh(Handle *handle, int64_t kind) noexcept nogil:
    """Open the object of a handle again, which no other call uses meanwhile."""
    cdef int code = enter(handle, kind, True)
    if code != FASTBP_OK:
        return code
    leave(handle)
    if not fbp_swap(&handle.users, 0, CLOSED):
        return FASTBP_ERROR_BUSY if fbp_word(&handle.users) > 0 else FASTBP_ERROR_HANDLE
    code = open_again(handle)
    fbp_put_word(&handle.users, 0)
    return code


cdef int close(Handle *handle, int64_t kind) noexcept nogil:
    cdef int code = enter(handle, kind, True)
    if code != FASTBP_OK:
        return code
    leave(handle)
    if not fbp_swap(&handle.users, 0, CLOSED):
        return FASTBP_ERROR_BUSY if fbp_word(&handle.users) > 0 else FASTBP_ERROR_HANDLE
    fbp_put_word(&handle.kind, 0)
    let_go(handle)
    return FASTBP_OK


# Checks

cdef char *aligned(void *memory) noexcept nogil:
    return <char *>((<uintptr_t>memory + FBP_LINE_BYTES - 1) // FBP_LINE_BYTES * FBP_LINE_BYTES)


cdef bint finite(const Door *d, const void *values, Py_ssize_t n) noexcept nogil:
    """Whether n numbers of the network's dtype are."""
    return d.kernels.all_finite(values, n) != 0


cdef bint rows_are_finite(const Door *d, const void *x, Py_ssize_t n, char *scratch) noexcept nogil:
    """Whether rows are finite as the network sees them; `scratch` has room for PASS_ROWS of them."""
    cdef fbp_rows rows = d.rows
    cdef Py_ssize_t first = 0, some, ld = d.rows.n
    rows.data = x
    if not converts(&rows, d.dtype_code):
        return finite(d, x, n * ld)
    while first < n:
        some = min(n - first, <Py_ssize_t>PASS_ROWS)
        d.kernels.convert_rows(scratch, &rows, NULL, first, some, ld)
        if not finite(d, scratch, some * ld):
            return False
        first += some
    return True


cdef int look_at_weights(const Door *d, const double *weights, Py_ssize_t n, bint whole) noexcept nogil:
    """Whether weights of rows are as `fastbp._check.weights` wants them."""
    cdef double most = 0, largest = 3.4028234663852886e38 if d.dtype == FASTBP_FLOAT32 else 1.7976931348623157e308
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 <= weights[i] <= largest:
            return FASTBP_ERROR_WEIGHT
        most = max(most, weights[i])
    if not isfinite(most * n) or (whole and most == 0):
        return FASTBP_ERROR_WEIGHT
    return FASTBP_OK


cdef int look_at_examples(const Door *d, const void *x, const void *y, const int64_t *labels, const double *weights,
                          Py_ssize_t n, bint whole) noexcept nogil:
    """Look at rows, targets and weights of a call before it changes anything; targets of rows of weight 0 may be anything."""
    cdef Py_ssize_t i
    cdef int code
    if x == NULL or (y == NULL) == (labels == NULL):
        return FASTBP_ERROR_NULL
    if labels != NULL and not d.takes_labels:
        return FASTBP_ERROR_TARGET
    if not 0 < n <= d.max_rows:
        return FASTBP_ERROR_SIZE
    if weights != NULL:
        code = look_at_weights(d, weights, n, whole)
        if code != FASTBP_OK:
            return code
    for i in range(n):
        if weights != NULL and weights[i] == 0:
            continue
        if not (0 <= labels[i] < d.n_outputs if labels != NULL else in_domain(y, i, d.n_outputs, d.dtype_code, d.domain)):
            return FASTBP_ERROR_TARGET
    return FASTBP_OK if rows_are_finite(d, x, n, d.scratch) else FASTBP_ERROR_INPUT


cdef int look_at_deltas(const Door *d, const void *x, const void *dy, Py_ssize_t n) noexcept nogil:
    """Look at rows and dL/dy."""
    if x == NULL or dy == NULL:
        return FASTBP_ERROR_NULL
    if not 0 < n <= d.max_rows:
        return FASTBP_ERROR_SIZE
    if not finite(d, dy, n * d.n_outputs):
        return FASTBP_ERROR_TARGET
    return FASTBP_OK if rows_are_finite(d, x, n, d.scratch) else FASTBP_ERROR_INPUT


# Passes

cdef int predict_rows(Door *d, const void *x, Py_ssize_t n, void *y, char *scratch) noexcept nogil:
    """Predict in aligned scratch of `bytes_of_pass`."""
    cdef Pass p = pass_over(d.kernels, d.nodes, d.n_nodes, d.arena, &d.rows, n, d.dtype_code, -1)
    if n > PASS_ROWS and not rows_are_finite(d, x, n, scratch):
        return FASTBP_ERROR_INPUT
    memset(scratch, 0, bytes_of_pass(&p, 1))
    lay_out_pass(&p, scratch, 1)
    p.x.data, p.check, p.copies[p.n_nodes - 1] = x, True, <char *>y
    p.end_block = (n + PASS_ROWS - 1) // PASS_ROWS
    pass_worker(&p, 0, 1)
    return FASTBP_ERROR_INPUT if p.not_finite else FASTBP_OK


cdef void set_examples(Door *d, Plan *p, const void *x, const void *y, const int64_t *labels, const double *weights,
                       Py_ssize_t n, fbp_loss loss, double parameter) noexcept nogil:
    """Set rows, targets, weights and loss of a plan for a call."""
    p.x, p.n = d.rows, n
    p.x.data = x
    p.converts = converts(&p.x, d.dtype_code)
    p.targets = Targets(values=<const char *>y, labels=labels, smoothing=parameter if loss == FBP_CROSS_ENTROPY else 0)
    p.loss, p.parameter, p.sums = loss, parameter, loss == FBP_CUSTOM
    p.to_logits = fbp_loss_from_logits(loss, p.nodes[p.n_nodes - 1].activation.code)
    p.counts_correct = labels != NULL or fbp_loss_classifies(loss)
    p.weights = weights
    if weights != NULL:
        d.weight_sum = weight_of_step(p, 0, &d.stand_in)
        p.weight_sums, p.stand_ins = &d.weight_sum, &d.stand_in


cdef void run_one(Door *d, Plan *p, int64_t age, Dropout dropout, char *snapshot, bint guards, int *small_state) noexcept nogil:
    """Do one step of a plan, at the rate in `d.rate`."""
    begin_call(p, 0, 1, True, &d.rate, age, dropout, snapshot, guards, small_state)
    lay_blocks(p)
    run_steps(p, 1)


cdef double mean_loss(const Plan *p) noexcept nogil:
    return p.loss_sum / p.weight_sum if p.weight_sum != 0 else NAN


cdef int gradient_rows(Door *d, const void *x, const void *y, const int64_t *labels, const double *weights, Py_ssize_t n,
                       fbp_loss loss, double parameter, double *value, void *dw, void *dx) noexcept nogil:
    """Loss and gradients of examples that have been looked at."""
    cdef Plan *p = d.gradient
    cdef int small = -1
    set_examples(d, p, x, y, labels, weights, n, loss, parameter)
    d.rate = 0
    run_one(d, p, 0, Dropout(seed=0, step=0), NULL, False, &small)
    if p.failed >= 0:  # a label that another thread has changed meanwhile
        clear_slots(p)
        return FASTBP_ERROR_TARGET
    if value != NULL:
        value[0] = mean_loss(p)
    if dw != NULL:
        copy_out(d, p.updated, <char *>dw)
    if dx != NULL:
        input_gradient(d, n, <char *>dx)
    return FASTBP_OK


cdef void input_gradient(Door *d, Py_ssize_t n, char *out) noexcept nogil:
    """dL/dx of the last gradient: the sum of what the nodes above the data hand down, the last node's first; by the raw rows."""
    cdef Plan *p = d.gradient
    cdef Py_ssize_t l, i, j, item = d.kernels.item, ld = d.nodes[0].ld_in
    cdef char *part = d.dx
    cdef float *of_float
    cdef double *of_double
    for l in range(p.n_nodes - 1, -1, -1):
        if p.nodes[l].below >= 0:
            continue
        for i in range(row_blocks(p, 0)):
            hand_to_data(part + i * p.rows * ld * item, d.dx_scratch, p, l, i, n)
        if part != d.dx:
            d.kernels.add_rows(d.dx, d.dx, part, n, d.n_inputs, ld, ld, ld)
        part = d.dx_part
    for i in range(n):
        memcpy(out + i * d.n_inputs * item, d.dx + i * ld * item, d.n_inputs * item)
    if d.rows.scale == NULL:
        return
    of_float, of_double = <float *>out, <double *>out
    for i in range(n):
        for j in range(d.n_inputs):
            if d.dtype == FASTBP_FLOAT32:
                of_float[i * d.n_inputs + j] = <float>(of_float[i * d.n_inputs + j] * d.rows.scale[j])
            else:
                of_double[i * d.n_inputs + j] *= d.rows.scale[j]


cdef void copy_out(const Door *d, const char *arena, char *out) noexcept nogil:
    """Copy parameters, or what is laid out like them, to flat ones."""
    cdef Py_ssize_t i, item = d.kernels.item
    for i in range(d.n_pieces):
        memcpy(out, arena + d.pieces[2 * i] * item, d.pieces[2 * i + 1] * item)
        out += d.pieces[2 * i + 1] * item


cdef void copy_in(const Door *d, char *arena, const char *values) noexcept nogil:
    cdef Py_ssize_t i, item = d.kernels.item
    for i in range(d.n_pieces):
        memcpy(arena + d.pieces[2 * i] * item, values, d.pieces[2 * i + 1] * item)
        values += d.pieces[2 * i + 1] * item


cdef bint is_finite(const Door *d) noexcept nogil:
    """Whether parameters and optimizer state are."""
    cdef Py_ssize_t item = d.kernels.item
    return finite(d, d.arena, d.arena_bytes // item) and (d.state_bytes == 0 or finite(d, d.state, d.state_bytes // item))


cdef int step_rows(Door *d, const void *x, const void *y, const int64_t *labels, const double *weights, Py_ssize_t n,
                   fbp_loss loss, double parameter, double given, double *value) noexcept nogil:
    """A step on examples that have been looked at; `given` is the mean loss of a custom one, or NaN."""
    cdef Plan *p = d.plan
    cdef int64_t began = pause(0)
    cdef Py_ssize_t at = d.next_rate
    if fbp_counted(d.claims) - fbp_counted(d.door_claims) != d.foreign:
        return FASTBP_ERROR_CHANGED
    if d.limits and fbp_update_block_rows(n) != fbp_update_block_rows(p.batch):
        return FASTBP_ERROR_SIZE
    if d.constant_rate:
        at = 0
    elif at >= d.n_rates:
        return FASTBP_ERROR_RATES
    set_examples(d, p, x, y, labels, weights, n, loss, parameter)
    d.rate = d.rates[at]
    # The first step of an epoch takes a snapshot, as in Trainer.step: it may be the only one.
    run_one(d, p, d.age[0] + fbp_word(d.steps_done), Dropout(seed=d.seed[0], step=d.step[0]), d.snapshot, d.open.steps > 0, d.small_state)
    if p.failed >= 0:
        clear_slots(p)
        return FASTBP_ERROR_TARGET if p.fault == BAD_LABEL else FASTBP_ERROR_DIVERGED
    if not p.proved:
        d.small_state[0] = -1
        if not is_finite(d):
            clear_slots(p)
            memcpy(d.arena, d.snapshot, d.arena_bytes)
            if d.state_bytes:
                memcpy(d.state, d.snapshot + d.arena_bytes, d.state_bytes)
            return FASTBP_ERROR_DIVERGED
    fbp_put_word(d.steps_done, d.steps_done[0] + 1)
    fbp_put_word(d.count, d.count[0] + 1)
    d.step[0] += 1
    d.next_rate += 1
    cdef double seconds = (pause(0) - began) * 1e-9
    if loss != FBP_CUSTOM:
        add_open(d.open, p.loss_sum, p.correct_sum, p.weight_sum, labels != NULL, d.rate, seconds, 1)
    elif isnan(given):
        add_open(d.open, 0, 0, 0, d.open.labels, d.rate, seconds, 1)
    else:
        add_open(d.open, given * n, 0, n, d.open.labels, d.rate, seconds, 1)
    if value != NULL:
        value[0] = mean_loss(p)
    return FASTBP_OK


# The functions of the header

cdef const char *c_message() noexcept nogil:
    return fbp_said


cdef int c_open_network(void *network, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out) noexcept nogil:
    return open_object(NETWORK, network, dtype, x_dtype, max_rows, <void **>out)


cdef int c_load_network(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out) noexcept nogil:
    return open_path(NETWORK, path, dtype, x_dtype, max_rows, <void **>out)


cdef int c_refresh_network(fastbp_network *network) noexcept nogil:
    return refresh(<Handle *>network, NETWORK)


cdef int c_close_network(fastbp_network *network) noexcept nogil:
    return close(<Handle *>network, NETWORK)


cdef int c_network_object(fastbp_network *network, void **out) noexcept nogil:
    return object_by(<Handle *>network, NETWORK, out)


cdef int object_by(Handle *handle, int64_t kind, void **out) noexcept nogil:
    cdef int code = enter(handle, kind, True)
    if code == FASTBP_OK:
        code = FASTBP_ERROR_NULL if out == NULL else object_of(handle, out)
        leave(handle)
    return code


cdef int c_network_sizes(fastbp_network *network, fastbp_sizes *out) noexcept nogil:
    return sizes_by(<Handle *>network, NETWORK, out)


cdef int sizes_by(Handle *handle, int64_t kind, fastbp_sizes *out) noexcept nogil:
    cdef int code = enter(handle, kind, True)
    cdef Door *d
    if code != FASTBP_OK:
        return code
    if out == NULL:
        code = FASTBP_ERROR_NULL
    else:
        d = handle.door
        out.n_inputs, out.n_outputs, out.n_parameters, out.max_rows = d.n_inputs, d.n_outputs, d.n_parameters, d.max_rows
        out.dtype, out.x_dtype = d.dtype, d.x_dtype
    leave(handle)
    return code


cdef ptrdiff_t scratch_of(const Door *d, ptrdiff_t n) noexcept nogil:
    cdef Pass p = pass_over(d.kernels, d.nodes, d.n_nodes, d.arena, &d.rows, n, d.dtype_code, -1)
    return bytes_of_pass(&p, 1) + FBP_LINE_BYTES


cdef ptrdiff_t c_scratch_bytes(fastbp_network *network, ptrdiff_t n) noexcept nogil:
    cdef Handle *handle = <Handle *>network
    cdef ptrdiff_t found = enter(handle, NETWORK)
    if found == FASTBP_OK:
        found = scratch_of(handle.door, n) if 0 < n <= MOST_ROWS else FASTBP_ERROR_SIZE
        leave(handle)
    return found


cdef int c_predict(fastbp_network *network, const void *x, ptrdiff_t n, void *y) noexcept nogil:
    """Lots of PASS_ROWS rows, for which the handle has scratch, once all rows are known to be finite."""
    cdef Handle *handle = <Handle *>network
    cdef int code = enter_alone(handle, NETWORK)
    cdef Door *d
    cdef ptrdiff_t first = 0, some
    if code != FASTBP_OK:
        return code
    d = handle.door
    if x == NULL or y == NULL:
        return leave_alone(handle, FASTBP_ERROR_NULL)
    if not 0 < n <= MOST_ROWS:
        return leave_alone(handle, FASTBP_ERROR_SIZE)
    if n > PASS_ROWS and not rows_are_finite(d, x, n, d.scratch):
        return leave_alone(handle, FASTBP_ERROR_INPUT)
    while first < n and code == FASTBP_OK:
        some = min(n - first, <ptrdiff_t>PASS_ROWS)
        code = predict_rows(d, <const char *>x + first * d.n_inputs * (4 if d.x_dtype == FASTBP_FLOAT32 else 8), some,
                            <char *>y + first * d.n_outputs * <Py_ssize_t>d.kernels.item, d.scratch)
        first += some
    return leave_alone(handle, code)


cdef int c_predict_with(fastbp_network *network, const void *x, ptrdiff_t n, void *y, void *scratch, ptrdiff_t n_bytes) noexcept nogil:
    cdef Handle *handle = <Handle *>network
    cdef int code = enter(handle, NETWORK)
    if code != FASTBP_OK:
        return code
    if x == NULL or y == NULL or scratch == NULL:
        code = FASTBP_ERROR_NULL
    elif not 0 < n <= MOST_ROWS or n_bytes < scratch_of(handle.door, n):
        code = FASTBP_ERROR_SIZE
    else:
        code = predict_rows(handle.door, x, n, y, aligned(scratch))
    leave(handle)
    return code


cdef int c_backward(fastbp_network *network, const void *x, const void *dy, ptrdiff_t n, void *dw, void *dx) noexcept nogil:
    cdef Handle *handle = <Handle *>network
    cdef int code = enter_alone(handle, NETWORK)
    if code != FASTBP_OK:
        return code
    if handle.door.gradient == NULL:
        return leave_alone(handle, FASTBP_ERROR_UNSUPPORTED)
    code = look_at_deltas(handle.door, x, dy, n)
    if code == FASTBP_OK:
        code = gradient_rows(handle.door, x, dy, NULL, NULL, n, FBP_CUSTOM, 0, NULL, dw, dx)
    return leave_alone(handle, code)


cdef int c_get_parameters(fastbp_network *network, void *out, ptrdiff_t n_parameters) noexcept nogil:
    """Copy while no other call writes them."""
    cdef Handle *handle = <Handle *>network
    cdef int code = enter(handle, NETWORK)
    cdef Door *d
    if code != FASTBP_OK:
        return code
    d = handle.door
    if out == NULL:
        code = FASTBP_ERROR_NULL
    elif n_parameters != d.n_parameters:
        code = FASTBP_ERROR_SIZE
    elif not take_claim(d.claimed):
        code = FASTBP_ERROR_BUSY
    else:
        copy_out(d, d.arena, <char *>out)
        fbp_put_word(d.claimed, 0)
    leave(handle)
    return code


cdef int c_set_parameters(fastbp_network *network, const void *values, ptrdiff_t n_parameters) noexcept nogil:
    cdef Handle *handle = <Handle *>network
    cdef int code = enter(handle, NETWORK)
    cdef Door *d
    if code != FASTBP_OK:
        return code
    d = handle.door
    if values == NULL:
        code = FASTBP_ERROR_NULL
    elif n_parameters != d.n_parameters:
        code = FASTBP_ERROR_SIZE
    elif not finite(d, values, n_parameters):
        code = FASTBP_ERROR_VALUE
    elif not claim_to_write(d):
        code = FASTBP_ERROR_BUSY
    else:
        copy_in(d, d.arena, <const char *>values)
        fbp_put_word(d.claimed, 0)
    leave(handle)
    return code


cdef int c_copy_parameters(fastbp_network *to, fastbp_network *source) noexcept nogil:
    return mix(<Handle *>to, <Handle *>source, 1, True)


cdef int c_lerp(fastbp_network *to, fastbp_network *source, double tau) noexcept nogil:
    return mix(<Handle *>to, <Handle *>source, tau, False)


cdef int mix(Handle *to, Handle *source, double tau, bint copies) noexcept nogil:
    """Copy the parameters of a network, or move towards them, while no other call writes either of the two."""
    cdef int code = enter(to, NETWORK)
    if code != FASTBP_OK:
        return code
    code = enter(source, NETWORK)
    if code == FASTBP_OK:
        code = mix_doors(to.door, source.door, tau, copies)
        leave(source)
    leave(to)
    return code


cdef int mix_doors(Door *to, Door *source, double tau, bint copies) noexcept nogil:
    cdef Py_ssize_t i
    if not 0 <= tau <= 1:
        return FASTBP_ERROR_VALUE
    for i in range(32):
        if to.form[i] != source.form[i]:
            return FASTBP_ERROR_FORM
    if not claim_to_write(to):
        return FASTBP_ERROR_BUSY
    if source.claimed != to.claimed and not take_claim(source.claimed):
        fbp_put_word(to.claimed, 0)
        return FASTBP_ERROR_BUSY
    if not copies:
        mix_bytes(to.arena, source.arena, to.arena_bytes, to.kernels.item, 1 - tau, tau)
    elif source.arena != to.arena:
        memcpy(to.arena, source.arena, to.arena_bytes)
    fbp_put_word(source.claimed, 0)
    fbp_put_word(to.claimed, 0)
    return FASTBP_OK


cdef int c_open_trainer(void *trainer, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out) noexcept nogil:
    return open_object(TRAINER, trainer, dtype, x_dtype, max_rows, <void **>out)


cdef int c_load_trainer(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out) noexcept nogil:
    return open_path(TRAINER, path, dtype, x_dtype, max_rows, <void **>out)


cdef int c_refresh_trainer(fastbp_trainer *trainer) noexcept nogil:
    return refresh(<Handle *>trainer, TRAINER)


cdef int c_close_trainer(fastbp_trainer *trainer) noexcept nogil:
    return close(<Handle *>trainer, TRAINER)


cdef int c_trainer_object(fastbp_trainer *trainer, void **out) noexcept nogil:
    return object_by(<Handle *>trainer, TRAINER, out)


cdef int c_trainer_network(fastbp_trainer *trainer, fastbp_network **out) noexcept nogil:
    cdef Handle *handle = <Handle *>trainer
    cdef int code = enter(handle, TRAINER, True)
    if code == FASTBP_OK:
        code = network_of(handle, <void **>out)
        leave(handle)
    return code


cdef int c_trainer_sizes(fastbp_trainer *trainer, fastbp_sizes *out) noexcept nogil:
    return sizes_by(<Handle *>trainer, TRAINER, out)


cdef int c_trainer_steps(fastbp_trainer *trainer, int64_t *out) noexcept nogil:
    cdef Handle *handle = <Handle *>trainer
    cdef int code = enter(handle, TRAINER, True)
    if code == FASTBP_OK:
        if out == NULL:
            code = FASTBP_ERROR_NULL
        else:
            out[0] = fbp_word(handle.door.count)
        leave(handle)
    return code


cdef int c_gradient(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels, const double *weights,
                    ptrdiff_t n, double *loss, void *dw, void *dx) noexcept nogil:
    cdef Handle *handle = <Handle *>trainer
    cdef int code = enter_alone(handle, TRAINER)
    cdef Door *d
    if code != FASTBP_OK:
        return code
    d = handle.door
    code = look_at_examples(d, x, y, labels, weights, n, True)
    if code == FASTBP_OK:
        code = gradient_rows(d, x, y, labels, weights, n, d.loss, d.parameter, loss, dw, dx)
    return leave_alone(handle, code)


cdef int c_step(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels, const double *weights, ptrdiff_t n,
                double *loss) noexcept nogil:
    cdef Handle *handle = <Handle *>trainer
    cdef int code = enter_alone(handle, TRAINER)
    cdef Door *d
    if code != FASTBP_OK:
        return code
    d = handle.door
    code = look_at_examples(d, x, y, labels, weights, n, False)
    if code == FASTBP_OK:
        code = claimed_step(d, x, y, labels, weights, n, d.loss, d.parameter, 0, loss)
    return leave_alone(handle, code)


cdef int c_step_from(fastbp_trainer *trainer, const void *x, const void *dy, ptrdiff_t n, double loss) noexcept nogil:
    cdef Handle *handle = <Handle *>trainer
    cdef int code = enter_alone(handle, TRAINER)
    if code != FASTBP_OK:
        return code
    code = look_at_deltas(handle.door, x, dy, n)
    if code == FASTBP_OK:
        code = claimed_step(handle.door, x, dy, NULL, NULL, n, FBP_CUSTOM, 0, loss, NULL)
    return leave_alone(handle, code)


cdef int claimed_step(Door *d, const void *x, const void *y, const int64_t *labels, const double *weights, Py_ssize_t n,
                      fbp_loss loss, double parameter, double given, double *value) noexcept nogil:
    """`step_rows` while no other call writes the network."""
    cdef int code
    if not claim_to_write(d):
        return FASTBP_ERROR_BUSY
    code = step_rows(d, x, y, labels, weights, n, loss, parameter, given, value)
    fbp_put_word(d.claimed, 0)
    return code


cdef bytes version = __version__.encode()
cdef fastbp_api table
table.abi_major, table.abi_minor, table.size = FASTBP_ABI_MAJOR, FASTBP_ABI_MINOR, sizeof(fastbp_api)
table.version, table.message = version, c_message
table.open_network, table.load_network, table.refresh_network = c_open_network, c_load_network, c_refresh_network
table.close_network, table.network_object, table.network_sizes = c_close_network, c_network_object, c_network_sizes
table.scratch_bytes, table.predict, table.predict_with = c_scratch_bytes, c_predict, c_predict_with
table.backward, table.get_parameters, table.set_parameters = c_backward, c_get_parameters, c_set_parameters
table.copy_parameters, table.lerp = c_copy_parameters, c_lerp
table.open_trainer, table.load_trainer, table.refresh_trainer = c_open_trainer, c_load_trainer, c_refresh_trainer
table.close_trainer, table.trainer_object, table.trainer_network = c_close_trainer, c_trainer_object, c_trainer_network
table.trainer_sizes, table.trainer_steps = c_trainer_sizes, c_trainer_steps
table.gradient, table.step, table.step_from = c_gradient, c_step, c_step_from

CAPSULE = PyCapsule_New(&table, FASTBP_CAPSULE, NULL)
