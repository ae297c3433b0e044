"""C declarations of the core, and the functions that the other extensions call through the only one that links it."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "fbp.h" nogil:
    ctypedef enum fbp_dtype:
        FBP_F32, FBP_F64, FBP_N_DTYPES
    ctypedef enum fbp_activation_code:
        FBP_LINEAR, FBP_RELU, FBP_SOFTMAX, FBP_N_ACTIVATIONS, FBP_SAVED_SLOPE
    ctypedef struct fbp_activation:
        fbp_activation_code code
        double parameter
    ctypedef enum fbp_loss:
        FBP_CROSS_ENTROPY, FBP_CUSTOM, FBP_N_LOSSES
    ctypedef enum fbp_rule:
        FBP_GRADIENT, FBP_SGD, FBP_MOMENTUM, FBP_NESTEROV, FBP_ADAGRAD, FBP_RMSPROP, FBP_ADAM, FBP_N_RULES
    ctypedef enum fbp_gate:
        FBP_N_GATES
    ctypedef enum fbp_function:
        FBP_N_FUNCTIONS
    enum:
        FBP_LINE_BYTES, FBP_FOLD_ROWS, FBP_LEAST_PART
    ctypedef struct fbp_update:
        fbp_rule rule
        int penalize_bias, decay_bias
        double learning_rate, momentum, square_decay, eps
        double step_correction, root_correction, weight_decay
        double l1, l2, clip_value, gradient_scale
    ctypedef struct fbp_state:
        void *m
        void *v
    ctypedef struct fbp_part:
        const void *x
        const void *dy
        Py_ssize_t rows
    ctypedef struct fbp_prefetch:
        const void *x
        const int64_t *order
        Py_ssize_t row, end, n, done
    ctypedef enum fbp_number:
        FBP_FLOAT32, FBP_FLOAT64, FBP_INT32, FBP_INT64, FBP_N_NUMBERS
    ctypedef struct fbp_rows:
        const void *data
        fbp_number type
        Py_ssize_t n
        const double *mean
        const double *scale
        const void *starts
        const void *columns
        fbp_number index
        Py_ssize_t n_values
    ctypedef struct fbp_sparse:
        void *value
        int32_t *column
        Py_ssize_t *start
        Py_ssize_t room
    ctypedef struct fbp_features:
        Py_ssize_t n
        int32_t *place
    ctypedef struct fbp_dropout:
        uint64_t key
        Py_ssize_t row, unit
        double rate
    ctypedef struct fbp_kernels:
        const char *isa
        fbp_dtype dtype
        size_t item
        void (*dense_forward)(void *y, void *slope, const void *x, const void *w, const void *b, Py_ssize_t batch,
                              Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t ldy, Py_ssize_t ldx, Py_ssize_t ldw,
                              fbp_activation activation) noexcept nogil
        void (*dense_delta)(void *dx, const void *dy, const void *w, const void *x, void *scratch, Py_ssize_t batch,
                            Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t ldx, Py_ssize_t ldy,
                            Py_ssize_t ldw, fbp_activation activation) noexcept nogil
        void (*dense_gradient)(void *g, void *scratch, const fbp_part *parts, Py_ssize_t n_parts, const void *w,
                               Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ldx, Py_ssize_t ldy, Py_ssize_t ldw,
                               fbp_prefetch *prefetch) noexcept nogil
        void (*bias_gradient)(void *g, void *scratch, const fbp_part *parts, Py_ssize_t n_parts, Py_ssize_t n,
                              Py_ssize_t ldy) noexcept nogil
        void (*apply_gradient)(void *w, fbp_state state, const void *g, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ldw,
                               const fbp_update *update) noexcept nogil
        void (*column_squares)(double *out, const void *a, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld) noexcept nogil
        void (*limit_columns)(void *w, const double *squares, Py_ssize_t n_sums, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ldw,
                              Py_ssize_t ld_sums, double max_norm) noexcept nogil
        Py_ssize_t (*active_rows)(int32_t *index, const void *x, Py_ssize_t batch, Py_ssize_t n_in,
                                  Py_ssize_t ldx) noexcept nogil
        void (*stream_forward)(void *y, void *slope, const void *x, const void *w, const void *b, const int32_t *index,
                               Py_ssize_t n_index, Py_ssize_t batch, Py_ssize_t n_out, Py_ssize_t ldy, Py_ssize_t ldx,
                               Py_ssize_t ldw, fbp_activation activation) noexcept nogil
        void (*stream_backward)(void *dx, void *w, void *b, fbp_state w_state, fbp_state b_state, const void *x, const void *dy,
                                const int32_t *index, Py_ssize_t n_index, Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out,
                                Py_ssize_t ldw, Py_ssize_t ldx, Py_ssize_t ldy, const fbp_update *update) noexcept nogil
        void (*activation_delta)(void *dx, const void *x, Py_ssize_t batch, Py_ssize_t n, Py_ssize_t ld,
                                 fbp_activation activation) noexcept nogil
        void (*gate_forward)(void *y, const void *z, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t pieces, Py_ssize_t ldy,
                             Py_ssize_t ldz, fbp_gate gate, fbp_activation activation) noexcept nogil
        void (*gate_delta)(void *dz, const void *dy, const void *z, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t pieces,
                           Py_ssize_t ldy, Py_ssize_t ldz, fbp_gate gate, fbp_activation activation) noexcept nogil
        void (*add_rows)(void *out, const void *a, const void *b, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ldo,
                         Py_ssize_t lda, Py_ssize_t ldb) noexcept nogil
        void (*gather_rows)(void *out, const void *x, const int64_t *order, Py_ssize_t first, Py_ssize_t rows,
                            Py_ssize_t n, Py_ssize_t ld) noexcept nogil
        void (*convert_rows)(void *out, const fbp_rows *x, const int64_t *order, Py_ssize_t first, Py_ssize_t rows,
                             Py_ssize_t ld) noexcept nogil
        void (*sparse_rows)(const fbp_sparse *out, const fbp_rows *x, const int64_t *order, Py_ssize_t first,
                            Py_ssize_t rows) noexcept nogil
        void (*sparse_forward)(void *y, void *slope, const fbp_sparse *x, const void *w, const void *b, Py_ssize_t rows,
                               Py_ssize_t n_out, Py_ssize_t ldy, Py_ssize_t ldw, fbp_activation activation) noexcept nogil
        void (*by_feature)(fbp_features *out, const fbp_sparse *parts, Py_ssize_t batch, Py_ssize_t rows) noexcept nogil
        void (*sparse_gradient)(void *g, const fbp_features *x, const void *const *dy, Py_ssize_t first, Py_ssize_t column,
                                Py_ssize_t rows, Py_ssize_t n) noexcept nogil
        void (*sparse_update)(void *w, fbp_state state, const fbp_features *x, const void *const *dy, Py_ssize_t column,
                              Py_ssize_t n, Py_ssize_t ldw, const fbp_update *update) noexcept nogil
        int (*one_hot_rows)(void *out, const int64_t *labels, const int64_t *order, Py_ssize_t first,
                            Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld) noexcept nogil
        void (*smooth_rows)(void *target, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                            double smoothing) noexcept nogil
        void (*loss_delta)(void *delta, double *row_loss, uint8_t *correct, const void *output, const void *slope,
                           const void *target, Py_ssize_t batch, Py_ssize_t n_out, Py_ssize_t ld, fbp_loss loss,
                           fbp_activation activation, double scale, double parameter, int classes) noexcept nogil
        void (*weigh_rows)(void *delta, double *row_loss, const double *weights, Py_ssize_t rows, Py_ssize_t n,
                           Py_ssize_t ld, double count, double total) noexcept nogil
        void (*drop_units)(void *y, void *slope, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                           const fbp_dropout *dropout) noexcept nogil
        void (*activate)(void *z, Py_ssize_t n, fbp_activation activation) noexcept nogil
        void (*elementary)(void *y, const void *x, Py_ssize_t n, fbp_function function) noexcept nogil
        int (*all_finite)(const void *x, Py_ssize_t n) noexcept nogil
        double (*largest)(const void *x, Py_ssize_t n) noexcept nogil
        double (*fma_probe)(void *sink, Py_ssize_t rounds) noexcept nogil
    ctypedef struct fbp_barrier:
        int64_t asleep
    ctypedef void fbp_work(void *data, int thread, int n_threads) noexcept nogil
    # inline in the header: these need no linking
    fbp_update fbp_update_of(fbp_rule rule)
    fbp_update fbp_bias_update(const fbp_update *update)
    int fbp_rule_has_m(fbp_rule rule)
    int fbp_rule_has_v(fbp_rule rule)
    fbp_state fbp_state_at(fbp_state state, Py_ssize_t bytes)
    Py_ssize_t fbp_leading_dimension(Py_ssize_t n, size_t item)
    Py_ssize_t fbp_sparse_bytes(Py_ssize_t rows, Py_ssize_t room, size_t item)
    fbp_sparse fbp_sparse_at(char *memory, Py_ssize_t room, size_t item)
    Py_ssize_t fbp_features_bytes(Py_ssize_t columns, Py_ssize_t room, size_t item)
    fbp_features fbp_features_at(char *memory, Py_ssize_t columns, Py_ssize_t room, size_t item)
    Py_ssize_t fbp_delta_scratch(Py_ssize_t n_out, Py_ssize_t rows, size_t item)
    Py_ssize_t fbp_update_block_rows(Py_ssize_t batch)
    Py_ssize_t fbp_update_block_lines(Py_ssize_t batch)
    Py_ssize_t fbp_update_block(Py_ssize_t batch, size_t item)
    Py_ssize_t fbp_update_scratch(Py_ssize_t batch, size_t item)
    double fbp_limit_ratio(double limit, const double *sums, Py_ssize_t n, Py_ssize_t stride)
    int fbp_loss_from_logits(fbp_loss loss, fbp_activation_code activation)
    int fbp_loss_classifies(fbp_loss loss)
    uint64_t fbp_dropout_key(uint64_t seed, int64_t step, Py_ssize_t layer)
    int fbp_needs_slope(fbp_activation_code activation)

cdef extern from "phases.h" nogil:
    int fbp_item_claim(int64_t *state, int64_t phase)
    int fbp_item_pending(const int64_t *state, int64_t phase)
    const bint FBP_COMPUTES_AGAIN
    void fbp_begin_attempt()
    void fbp_end_attempt()
    int fbp_item_apply(int64_t *state, int64_t phase)
    void fbp_item_done(int64_t *state, int64_t phase)
    Py_ssize_t fbp_items_done(const int64_t *states, Py_ssize_t first, Py_ssize_t n, int64_t phase)
    void fbp_put(void **place, void *value)
    void *fbp_look(void **place)
    void fbp_put_word(int64_t *word, int64_t value)
    int64_t fbp_word(const int64_t *word)
    int fbp_swap(int64_t *word, int64_t before, int64_t value)
    void fbp_count(int64_t *begun)
    int64_t fbp_counted(const int64_t *begun)
    void fbp_end_phase(int64_t *current, int64_t phase)

cdef class Memory:
    """Aligned, zeroed memory of the engine; gives NumPy its bytes through the buffer protocol."""
    cdef char *data
    cdef size_t bytes
    cdef int renew(self, size_t bytes) except -1

cdef const fbp_kernels *kernels_of(str isa, int dtype) except NULL
cdef int code_of(dict names, str name, str what) except -1
cdef int bounded_threads(long long n_threads) noexcept
cdef int threads_now(int n_threads) except -1
cdef int offer_limits() except -1
cdef int64_t process() noexcept nogil

cdef void team_run(fbp_work *work, void *data, int n_threads) noexcept nogil
cdef void barrier_init(fbp_barrier *barrier) noexcept nogil
cdef void barrier_wait(fbp_barrier *barrier, int n_threads) noexcept nogil
cdef Py_ssize_t claim(Py_ssize_t *counter, Py_ssize_t count) noexcept nogil
cdef int64_t pause(int turn) noexcept nogil
cdef void spread(int *cpus, int thread, int n_threads) noexcept nogil
cdef uint64_t flush_denormals() noexcept nogil
cdef void restore_denormals(uint64_t mode) noexcept nogil
