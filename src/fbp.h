/* fbp.h: the C core of fastbp as its callers see it.
 *
 * Pure functions on pointers: no Python, NumPy, OpenMP, stdio or hidden allocation. A kernel set is one table of functions
 * for one dtype and one ISA; dispatch.c finds it by name. Kernels return nothing and check nothing: sizes, ranges and
 * finiteness are the business of the floors above.
 *
 * Argument order: outputs, inputs, sizes, leading dimensions, scalars. `real` stands for the table's dtype, behind void *
 * because a caller is the same code for both. Every padded array has rows of `ld` elements, ld a multiple of 64 bytes, with
 * zeros from n_out (or n_in) up to the end of the last used 64-byte line; the kernels keep those zeros.
 */
#ifndef FBP_H
#define FBP_H

#include <stddef.h>
#include <stdint.h>

#include "fbp_rows.h"

typedef enum { FBP_F32, FBP_F64, FBP_N_DTYPES } fbp_dtype;

/* The public names. Each list makes an enum here and a table of names in dispatch.c. */
#define FBP_ACTIVATIONS(NAME) \
    NAME(LINEAR, "linear") NAME(SIGMOID, "sigmoid") NAME(TANH, "tanh") NAME(RELU, "relu") NAME(SOFTMAX, "softmax")  \
    NAME(LEAKY_RELU, "leaky_relu") NAME(ELU, "elu") NAME(SELU, "selu") NAME(SOFTPLUS, "softplus")                   \
    NAME(GELU, "gelu") NAME(SILU, "silu") NAME(SIGN, "sign") NAME(STEP, "step")
/* From cross-entropy on they classify: see fbp_loss_classifies. */
#define FBP_LOSSES(NAME)                                                                                \
    NAME(SQUARED_ERROR, "squared_error") NAME(MSE, "mse") NAME(MAE, "mae") NAME(HUBER, "huber")          \
    NAME(QUANTILE, "quantile") NAME(POISSON, "poisson") NAME(GIVEN, "given")                             \
    NAME(CROSS_ENTROPY, "cross_entropy") NAME(BINARY_CROSS_ENTROPY, "binary_cross_entropy")             \
    NAME(HINGE, "hinge") NAME(MULTICLASS_HINGE, "multiclass_hinge") NAME(PERCEPTRON, "perceptron")
/* The elementary functions of activations.h, for tests and measurements. */
#define FBP_FUNCTIONS(NAME)                                                                             \
    NAME(EXP, "exp") NAME(LOG, "log") NAME(LOG1P, "log1p") NAME(TANH, "tanh") NAME(SIGMOID, "sigmoid")   \
    NAME(SOFTPLUS, "softplus") NAME(ERF, "erf") NAME(EXPM1, "expm1")
/* What becomes of a finished gradient: kept as it is, or applied to the weight in the same pass. */
#define FBP_RULES(NAME)                                                                                       \
    NAME(GRADIENT, "gradient") NAME(SGD, "sgd") NAME(MOMENTUM, "momentum") NAME(NESTEROV, "nesterov")         \
    NAME(ADAGRAD, "adagrad") NAME(RMSPROP, "rmsprop") NAME(ADAM, "adam")

#define FBP_GATES(NAME) NAME(MAXOUT, "maxout") NAME(PRODUCT, "product")

#define FBP_ENUM(name, text) FBP_##name,
typedef enum {
    FBP_ACTIVATIONS(FBP_ENUM) FBP_N_ACTIVATIONS,
    FBP_KEPT = FBP_N_ACTIVATIONS /* backward only: f' itself was kept by the forward pass, and is given in place of y */
} fbp_activation_code;
typedef enum { FBP_LOSSES(FBP_ENUM) FBP_N_LOSSES } fbp_loss;
typedef enum { FBP_RULES(FBP_ENUM) FBP_N_RULES } fbp_rule;
typedef enum { FBP_GATES(FBP_ENUM) FBP_N_GATES } fbp_gate; /* the largest of the pieces, or a f(b) of two */

/* Some activations have the names of functions. */
#define FBP_FUNCTION_ENUM(name, text) FBP_FUNCTION_##name,
typedef enum { FBP_FUNCTIONS(FBP_FUNCTION_ENUM) FBP_N_FUNCTIONS } fbp_function;

typedef struct {
    fbp_activation_code code;
    double parameter; /* the slope of a leaky ReLU, alpha of ELU */
} fbp_activation;

/* One update, g being the gradient; fbp_update_of gives one that does nothing but its rule. In this order:
 * clipping g = scale * (g between -clip_value and clip_value), the penalties g += 2 * l2 * w + l1 * sign(w), then
 *
 * sgd       w -= lr * g
 * momentum  m = mu * m + g, w -= lr * m             nesterov  the same m, w -= lr * (g + mu * m)
 * adagrad   v += g^2, w -= lr * g / (sqrt(v) + eps)
 * rmsprop   v = a * v + (1 - a) * g^2, w -= lr * g / (sqrt(v) + eps)
 * adam      m = mu * m + (1 - mu) * g, v as in rmsprop, w *= 1 - lr * weight_decay,
 *           w -= lr * step_correction * m / (sqrt(v) * root_correction + eps) */
typedef struct {
    fbp_rule rule;
    int penalize_bias, decay_bias; /* does a bias have l1 and l2, has it the weight decay? */
    double learning_rate, momentum, square_decay, eps; /* lr, mu, a; eps > 0 keeps the padding zero */
    double step_correction, root_correction, weight_decay;
    double l1, l2, clip_value, gradient_scale; /* clip_value 0: none */
} fbp_update;

static inline fbp_update fbp_update_of(fbp_rule rule)
{
    return (fbp_update){.rule = rule, .step_correction = 1, .root_correction = 1, .gradient_scale = 1};
}

/* The same for a bias. */
static inline fbp_update fbp_bias_update(const fbp_update *update)
{
    fbp_update bias = *update;
    if (!bias.penalize_bias)
        bias.l1 = bias.l2 = 0;
    if (!bias.decay_bias)
        bias.weight_decay = 0;
    return bias;
}

/* What a rule remembers of a weight or a bias, each of its shape; NULL where the rule has none. */
typedef struct {
    void *m, *v;
} fbp_state;

static inline int fbp_rule_has_m(fbp_rule rule) { return rule == FBP_MOMENTUM || rule == FBP_NESTEROV || rule == FBP_ADAM; }
static inline int fbp_rule_has_v(fbp_rule rule) { return rule == FBP_ADAGRAD || rule == FBP_RMSPROP || rule == FBP_ADAM; }

/* The state so many bytes further on. */
static inline fbp_state fbp_state_at(fbp_state s, ptrdiff_t bytes)
{
    return (fbp_state){s.m ? (char *)s.m + bytes : NULL, s.v ? (char *)s.v + bytes : NULL};
}

/* Indexed by the enums. */
extern const char *const fbp_activation_names[FBP_N_ACTIVATIONS];
extern const char *const fbp_loss_names[FBP_N_LOSSES];
extern const char *const fbp_rule_names[FBP_N_RULES];
extern const char *const fbp_gate_names[FBP_N_GATES];
extern const char *const fbp_function_names[FBP_N_FUNCTIONS];

enum {
    FBP_LINE_BYTES = 64,
    FBP_UPDATE_ROWS = 256, /* rows of one gradient block: part of the arithmetic contract */
    FBP_DELTA_UNITS = 64,  /* input units of one delta block, in L1 as a panel */
    FBP_LEAST_PART = 4,    /* fewest rows of a part of a batch, but for the last */
    FBP_UPDATE_PARTS = FBP_UPDATE_ROWS / FBP_LEAST_PART + 2, /* most parts that share FBP_UPDATE_ROWS rows */
    FBP_FOLD_ROWS = 8      /* up to this batch size a delta is a folded sum: part of the arithmetic contract */
};

/* Consecutive rows of a batch: inputs and deltas of one layer. */
typedef struct {
    const void *x, *dy;
    ptrdiff_t rows;
} fbp_part;

/* Rows x[order[row]][n] (x[row] without an order), row .. end - 1, that will be gathered next: a kernel with loads to spare
 * fetches them from memory and moves on `row` and `done`, the elements fetched of that row. */
typedef struct {
    const void *x;
    const int64_t *order;
    ptrdiff_t row, end, n, done;
} fbp_coming;

/* Dropout of some rows and units of one layer in one step: whether a unit is left out depends on these alone. */
typedef struct {
    uint64_t key;        /* fbp_dropout_key of the layer and the step */
    ptrdiff_t row, unit; /* the first ones, within the batch and the layer */
    double rate;         /* chance to be left out, in [0, 1) */
} fbp_dropout;

/* One dtype on one ISA. */
typedef struct {
    const char *isa;
    fbp_dtype dtype;
    size_t item; /* sizeof(real) */

    /* y[batch][ldy] = f(x[batch][ldx] . w[n_in][ldw] + b[n_out]); x needs neither alignment nor padding.
     * slope[batch][ldy] = f' of the same (NULL: not wanted), for the activations that are element-wise. */
    void (*dense_forward)(void *y, void *slope, const void *x, const void *w, const void *b, ptrdiff_t batch,
                          ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx, ptrdiff_t ldw,
                          fbp_activation activation);

    /* dx[batch][ldx] = (dy[batch][ldy] . w^T) * f'(x[batch][ldx]): x is the lower layer's output and f its activation, or
     * FBP_KEPT and x its slope.
     * batch alone (against FBP_FOLD_ROWS) chooses the order of the sum; `rows` <= batch of them are computed here.
     * scratch: fbp_delta_scratch(n_out, rows) elements of real. */
    void (*dense_delta)(void *dx, const void *dy, const void *w, const void *x, void *scratch, ptrdiff_t batch,
                        ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw,
                        fbp_activation activation);

    /* g[rows][n] = x^T . dy, the gradient of a block of a weight: `parts` are the batch in pieces, ascending, x and dy
     * pointing at the block's first input unit and column; n whole 64-byte lines. w[rows][ldw], the block itself, and the
     * `coming` rows (NULL: none) are only fetched. scratch: fbp_update_scratch(batch) elements of real. */
    void (*dense_gradient)(void *g, void *scratch, const fbp_part *parts, ptrdiff_t n_parts, const void *w,
                           ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw, fbp_coming *coming);

    /* g[n] = column sums of dy, in the order of dense_gradient. */
    void (*bias_gradient)(void *g, void *scratch, const fbp_part *parts, ptrdiff_t n_parts, ptrdiff_t n, ptrdiff_t ldy);

    /* w[rows][ldw] and its state of the same shape, updated by g[rows][n]. */
    void (*apply_gradient)(void *w, fbp_state state, const void *g, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                           const fbp_update *update);

    /* out[n] = sums of the squares of the columns of a[rows][ld], rows ascending. */
    void (*column_squares)(double *out, const void *a, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld);

    /* Columns of w[rows][ldw] whose norm is above the limit, scaled down to it; squares[n_sums][ld_sums] add up to the square
     * of the norms of the whole columns. */
    void (*limit_columns)(void *w, const double *squares, ptrdiff_t n_sums, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                          ptrdiff_t ld_sums, double max_norm);

    /* Streaming, for batches of up to FBP_FOLD_ROWS rows: each weight is read, used for the delta, updated and written in one
     * pass, and weight rows whose input is zero in the whole batch are left out.
     *
     * index[n_in + 1]: the k with x[b][k] != 0 for some b, ascending; returns how many. Leaving the others out of a forward sum
     * is exact while their weights are finite, out of an update if the rule is SGD without penalties. */
    ptrdiff_t (*active_rows)(int32_t *index, const void *x, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t ldx);

    /* dense_forward over the listed inputs only; without an index, over the first n_index, which is faster. */
    void (*stream_forward)(void *y, void *slope, const void *x, const void *w, const void *b, const int32_t *index,
                           ptrdiff_t n_index, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx,
                           ptrdiff_t ldw, fbp_activation activation);

    /* dL/dx before any f' at the listed inputs (dx NULL: not wanted), then the listed rows of w, b (NULL: not wanted) and their
     * states updated. */
    void (*stream_backward)(void *dx, void *w, void *b, fbp_state w_state, fbp_state b_state, const void *x, const void *dy,
                            const int32_t *index, ptrdiff_t n_index, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t n_out,
                            ptrdiff_t ldw, ptrdiff_t ldx, ptrdiff_t ldy, const fbp_update *update);

    /* dx[batch][ld] from dL/dy to dL/dz of the layer whose output is x: what dense_delta does last. */
    void (*activation_delta)(void *dx, const void *x, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld,
                             fbp_activation activation);

    /* y[rows][ldy] from z[rows][ldz], `pieces` of n units side by side, each in whole 64-byte lines. A product has two pieces, a
     * and b, and gives a * f(b), f element-wise. */
    void (*gate_forward)(void *y, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces, ptrdiff_t ldy,
                         ptrdiff_t ldz, fbp_gate gate, fbp_activation activation);

    /* dz = dL/dz from dy = dL/dy and z; of equal pieces of a maxout the first has the gradient. */
    void (*gate_delta)(void *dz, const void *dy, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces,
                       ptrdiff_t ldy, ptrdiff_t ldz, fbp_gate gate, fbp_activation activation);

    /* out[rows][n] = a + b; none of them needs alignment or padding, out may be a or b. */
    void (*add_rows)(void *out, const void *a, const void *b, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldo, ptrdiff_t lda,
                     ptrdiff_t ldb);

    /* out[rows][ld] = x[order[i]][n], or x[first + i] without an order; x needs neither alignment nor padding. */
    void (*gather_rows)(void *out, const void *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t n,
                        ptrdiff_t ld);

    /* The same from rows of any type of number, centred and scaled in double and rounded once. */
    void (*convert_rows)(void *out, const fbp_rows *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t ld);

    /* out[rows][ld] = 1 at labels[order[i]], 0 elsewhere; 0 if a label is not in 0 .. n-1, whose row is then all zero. */
    int (*one_hot_rows)(void *out, const int64_t *labels, const int64_t *order, ptrdiff_t first, ptrdiff_t rows,
                        ptrdiff_t n, ptrdiff_t ld);

    /* target[rows][ld] = (1 - smoothing) target + smoothing / n in the first n columns: labels smoothed. */
    void (*smooth_rows)(void *target, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, double smoothing);

    /* delta[batch][ld] = scale * dL/dz, row_loss[batch] = L of each row, hit[batch] = predicted class is the target's.
     * output[batch][ld] is the output layer's y, or its z where fbp_loss_from_logits says so; target[batch][ld];
     * slope[batch][ld] is f' of the output layer where fbp_needs_slope says so, else NULL; without it only the delta is of no
     * use. hit may be NULL. parameter: delta of huber, q of quantile, margin of the hinges; of perceptron 0 for targets -1 and 1,
     * 1 for targets 0 and 1; the others have none. The targets of `given` are dL/dy, and its row losses are 0. */
    void (*loss_delta)(void *delta, double *row_loss, uint8_t *hit, const void *output, const void *slope,
                       const void *target, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ld, fbp_loss loss, fbp_activation activation,
                       double scale, double parameter);

    /* delta[rows][ld] and row_loss[rows] times weights[rows] of the rows. */
    void (*weigh_rows)(void *delta, double *row_loss, const double *weights, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld);

    /* y[rows][ld] and slope[rows][ld], its f', each times 0 with the chance `rate`, else times 1 / (1 - rate). */
    void (*drop_units)(void *y, void *slope, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fbp_dropout *dropout);

    /* z[n] = f(z[n]) in place, element-wise activations only; n a whole number of 64-byte lines. */
    void (*activate)(void *z, ptrdiff_t n, fbp_activation activation);

    /* y[n] = f(x[n]); n a whole number of 64-byte lines; y may be x. */
    void (*elementary)(void *y, const void *x, ptrdiff_t n, fbp_function function);

    /* 1 if every one of x[n] is finite, else 0; x needs no alignment. */
    int (*all_finite)(const void *x, ptrdiff_t n);

    /* Independent FMA chains in registers, `rounds` times over: returns the floating point operations done. */
    double (*fma_probe)(void *sink, ptrdiff_t rounds);
} fbp_kernels;

/* Kernel sets: fbp_isa_name(0) is the best; NULL past the last one. A set that this machine cannot run has no kernels. */
const char *fbp_isa_name(int index);
const fbp_kernels *fbp_find_kernels(const char *isa, fbp_dtype dtype);

/* Does the pair take the logits z, because its delta has a closed form in them: p - t, or that of a loss defined on z? */
static inline int fbp_loss_from_logits(fbp_loss loss, fbp_activation_code activation)
{
    switch (loss) {
    case FBP_CROSS_ENTROPY: return activation == FBP_SOFTMAX;
    case FBP_BINARY_CROSS_ENTROPY: return activation == FBP_SIGMOID;
    case FBP_POISSON: case FBP_HINGE: case FBP_MULTICLASS_HINGE: case FBP_PERCEPTRON: return 1;
    default: return 0;
    }
}

/* Are hits counted whatever the form of the targets? */
static inline int fbp_loss_classifies(fbp_loss loss) { return loss >= FBP_CROSS_ENTROPY; }

/* Is f' not a function of f? Then the forward pass keeps f' for the backward pass. */
static inline int fbp_needs_slope(fbp_activation_code activation)
{
    return activation == FBP_GELU || activation == FBP_SILU;
}

/* A strong mix of 64 bits, and numbered random words that rest on it (SplitMix64, Steele et al., 2014). */
static inline uint64_t fbp_random(uint64_t key, uint64_t index)
{
    uint64_t z = key + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t fbp_dropout_key(uint64_t seed, int64_t step, ptrdiff_t layer)
{
    return fbp_random(fbp_random(seed, (uint64_t)layer), (uint64_t)step);
}

/* Elements between rows of n: whole 64-byte lines, and from 8 lines on an odd number of them, because rows a multiple of
 * 4 KiB apart all fall into the same cache sets. */
static inline ptrdiff_t fbp_leading_dimension(ptrdiff_t n, size_t item)
{
    const ptrdiff_t line = FBP_LINE_BYTES / (ptrdiff_t)item;
    ptrdiff_t lines = (n + line - 1) / line;
    if (lines >= 8)
        lines |= 1;
    return lines * line;
}

/* Rows and 64-byte lines of columns of the blocks of a weight whose gradients are computed one by one: 24 KB, in L1, for small
 * batches; the larger the batch, the larger the block, so that x and dy are read less often. */
static inline ptrdiff_t fbp_update_block_rows(ptrdiff_t batch) { return batch <= FBP_UPDATE_ROWS / 2 ? 128 : 256; }
static inline ptrdiff_t fbp_update_block_lines(ptrdiff_t batch) { return batch <= FBP_UPDATE_ROWS ? 3 : 12; }

/* Elements of a gradient block, a row for the bias and a line for an uneven end included. */
static inline ptrdiff_t fbp_update_block(ptrdiff_t batch, size_t item)
{
    return (fbp_update_block_rows(batch) + 1) * (fbp_update_block_lines(batch) + 1) * (FBP_LINE_BYTES / (ptrdiff_t)item);
}

/* Elements of scratch for dense_gradient: a panel (at most 4 lines wide) of a block. */
static inline ptrdiff_t fbp_update_scratch(ptrdiff_t batch, size_t item)
{
    return fbp_update_block_rows(batch) * 4 * (FBP_LINE_BYTES / (ptrdiff_t)item);
}

/* Elements of scratch for dense_delta: dy transposed, and one block of dx before it is turned back. */
static inline ptrdiff_t fbp_delta_scratch(ptrdiff_t n_out, ptrdiff_t rows, size_t item)
{
    const ptrdiff_t line = FBP_LINE_BYTES / (ptrdiff_t)item;
    return (n_out + FBP_DELTA_UNITS) * ((rows + line - 1) / line * line);
}

/* memory.c: 64-byte aligned and zeroed; NULL when memory runs out. */
void *fbp_alloc(size_t bytes);
void fbp_free(void *memory, size_t bytes);
size_t fbp_live_bytes(void);
void fbp_fail_allocation(long n); /* for tests: the n-th request from now fails; 0 = none */

/* threads.c: what a worker thread needs besides its work. */
typedef struct {
    _Alignas(64) int arrived;
    _Alignas(64) int generation;
    int n_threads;
    int sleepers;
    int64_t asleep; /* nanoseconds that threads have slept here, added up */
} fbp_barrier;

void fbp_barrier_init(fbp_barrier *barrier, int n_threads);
void fbp_barrier_wait(fbp_barrier *barrier);
ptrdiff_t fbp_claim(ptrdiff_t *next, ptrdiff_t count); /* atomically: *next, then *next += count */

int64_t fbp_pause(int turn); /* spins at first, later yields; returns the time in nanoseconds */

/* Moves the calling thread if it shares its core with one of a lower number while the process has another: beside a busy
 * neighbour the scheduler may leave two threads of a team on one core for good. cpus[n_threads]: where each was last. */
void fbp_spread(int *cpus, int thread, int n_threads);

/* How many threads more this process may start, at most `wanted`: that many are started, all at a time, and ended. A library
 * that starts a team and cannot may end the process. */
int fbp_startable_threads(int wanted);

/* From the call of fbp_watch_forks on: a number that each fork changes in the child, from 1 on, and whether any fork has been
 * from a process with more than one thread. In a child of such a process nothing can be said of the threads of any library. */
void fbp_watch_forks(void);
int64_t fbp_process(void);
int fbp_forked_beside_threads(void);

uint64_t fbp_flush_denormals(void); /* denormals count as zero on this thread; returns the mode to restore */
void fbp_restore_denormals(uint64_t mode);

#endif
