/* kernels_stream_backward.h: the dense layer for batches of up to FBP_FOLD_ROWS rows: delta and update in one pass. */
#ifndef FBP_KERNELS_STREAM_BACKWARD_H
#define FBP_KERNELS_STREAM_BACKWARD_H

#include "fbp.h"
#include "kernels_lines.h"
#include "kernels_rules.h"
#include "kernels_set.h"
#include "vec.h"

#include <assert.h>

/* The layer of a call. */
typedef struct {
    real *dx, *w, *m, *v;
    real *b, *b_m, *b_v; /* NULL if another thread updates the bias */
    const real *x, *dy;
    const int32_t *index;                           /* [count]: the input units whose weight rows are updated, ascending */
    ptrdiff_t count, n_in, n_out, n, ldw, ldx, ldy; /* n: n_out padded to whole lines */
} stream;

/* The constants of the layer's update. */
typedef struct {
    rule_vecs weight, bias;
    fbp_rule rule;
    int extras;
} stream_rule;

/* Updates one row of weights by its gradient, the chain of x[b] dy[b]. */
INLINE void update_row(real *w, real *m, real *v, const real *x, const real *dy, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ldx,
                       ptrdiff_t ldy, const rule_vecs *c, const fbp_rule rule, const int extras)
{
    for (ptrdiff_t j = 0; j < lines_of(n) * LINE; j += LANES) {
        vec g = v_set1(0);
        for (ptrdiff_t b = 0; b < batch; b++)
            g = v_fma(v_set1(x[b * ldx]), v_load(dy + b * ldy + j), g);
        apply_rule(w + j, m + j, v + j, g, c, rule, extras);
    }
}

/* Plain updates are SGD, momentum and Nesterov without extras. */
INLINE int is_plain(const fbp_update *u)
{
    return (u->rule == FBP_SGD || u->rule == FBP_MOMENTUM || u->rule == FBP_NESTEROV) && !has_extras(u);
}

/* Runs `body` with `rule` and `extras`, which are constants if the update is plain: it would be slower if it shared a loop with
 * the others. */
#define WITH_STREAM_RULE(u, plain, body)    \
    if (!plain) {                           \
        const fbp_rule rule = (u)->rule;    \
        const int extras = (u)->extras;     \
        body;                               \
    } else if ((u)->rule == FBP_SGD) {      \
        const fbp_rule rule = FBP_SGD;      \
        const int extras = 0;               \
        body;                               \
    } else if ((u)->rule == FBP_MOMENTUM) { \
        const fbp_rule rule = FBP_MOMENTUM; \
        const int extras = 0;               \
        body;                               \
    } else {                                \
        assert((u)->rule == FBP_NESTEROV);  \
        const fbp_rule rule = FBP_NESTEROV; \
        const int extras = 0;               \
        body;                               \
    }

/* Reads and writes `rows` listed weight rows once: sums[b * LANES + r] = the delta of row r from the old weight, its lanes
 * still to be folded; then the weight is updated. Several rows at a time, because one row is a single chain of FMAs. */
INLINE void stream_block(vec *sums, const stream *s, const stream_rule *u, const int32_t *index, const int rows,
                         const int batch, const int delta, const int plain)
{
    vec x[FBP_FOLD_ROWS * 4], dot[FBP_FOLD_ROWS * 4 * LINE_VECS];
    ptrdiff_t at[4];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        at[r] = index[r] * s->ldw;
#pragma GCC unroll 8
        for (int b = 0; b < batch; b++) {
            x[r * batch + b] = v_set1(s->x[b * s->ldx + index[r]]);
#pragma GCC unroll 16
            for (int l = 0; l < LINE_VECS; l++)
                dot[(r * batch + b) * LINE_VECS + l] = v_set1(0);
        }
    }
#pragma GCC unroll 2
    for (ptrdiff_t j = 0; j < s->n;)
        for (int l = 0; l < LINE_VECS; l++, j += LANES) {
            vec d[FBP_FOLD_ROWS];
#pragma GCC unroll 8
            for (int b = 0; b < batch; b++)
                d[b] = v_load(s->dy + b * s->ldy + j);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) {
                real *w = s->w + at[r] + j;
                vec g = v_set1(0);
                if (delta) {
                    const vec weight = v_load(w);
#pragma GCC unroll 8
                    for (int b = 0; b < batch; b++)
                        dot[(r * batch + b) * LINE_VECS + l] = v_fma(d[b], weight, dot[(r * batch + b) * LINE_VECS + l]);
                }
#pragma GCC unroll 8
                for (int b = 0; b < batch; b++)
                    g = v_fma(x[r * batch + b], d[b], g);
                const ptrdiff_t i = at[r] + j;
                WITH_STREAM_RULE(u, plain, apply_rule(w, s->m + i, s->v + i, g, &u->weight, rule, extras))
            }
        }
    if (delta)
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int b = 0; b < batch; b++)
                sums[b * LANES + r] = halve_line(dot + (r * batch + b) * LINE_VECS);
}

/* Can the deltas of a group of rows be stored as one vector of dx, because the rows are consecutive and only padding follows
 * them? If they are written as elements, a later read of the vector has to wait for the writes. */
INLINE int one_vector(const stream *s, const int32_t *index, ptrdiff_t group)
{
    return index[group - 1] - index[0] == group - 1 && index[0] + LANES <= s->ldx &&
           (group == LANES || index[0] + group == s->n_in);
}

/* The listed rows, LANES at a time, so that their deltas are folded together. */
INLINE void stream_rows(const stream *s, const stream_rule *u, const int batch, const int delta, const int plain)
{
    const int together = batch <= 2 ? 4 : batch <= 4 ? 2 : 1; /* rows in a block: at least 4 chains */
    for (ptrdiff_t done = 0; done < s->count; done += LANES) {
        const ptrdiff_t group = smaller(s->count - done, LANES);
        vec sums[FBP_FOLD_ROWS * LANES];
        ptrdiff_t i = 0;
        for (; i + together <= group; i += together)
            stream_block(sums + i, s, u, s->index + done + i, together, batch, delta, plain);
        for (; together > 1 && i < group; i++)
            stream_block(sums + i, s, u, s->index + done + i, 1, batch, delta, plain);
        if (!delta)
            continue;
        for (; i < LANES; i++)
            for (int b = 0; b < batch; b++)
                sums[b * LANES + i] = v_set1(0);
        const int whole = one_vector(s, s->index + done, group);
        for (int b = 0; b < batch; b++) {
            const vec folded = v_fold_sums(sums + b * LANES);
            if (whole)
                v_store(s->dx + b * s->ldx + s->index[done], folded);
            else {
                real lane[LANES];
                v_store(lane, folded);
                for (i = 0; i < group; i++)
                    s->dx[b * s->ldx + s->index[done + i]] = lane[i];
            }
        }
    }
}

/* The same for a layer of one output, whose deltas are sums of one term. */
INLINE void stream_single(const stream *s, const stream_rule *u, const int batch, const int delta, const int plain)
{
    for (ptrdiff_t i = 0; i < s->count; i++) {
        const ptrdiff_t k = s->index[i], at = k * s->ldw;
        real *w = s->w + at, *m = s->m + at, *v = s->v + at;
        if (delta)
#pragma GCC unroll 8
            for (int b = 0; b < batch; b++)
                s->dx[b * s->ldx + k] = real_fma(s->dy[b * s->ldy], w[0], 0);
        WITH_STREAM_RULE(u, plain, update_row(w, m, v, s->x + k, s->dy, batch, 1, s->ldx, s->ldy, &u->weight, rule, extras))
    }
}

/* The bias, a weight whose input is always 1. */
INLINE void stream_bias(const stream *s, const stream_rule *u, const int batch, const int plain)
{
    static const real ONE = 1;
    WITH_STREAM_RULE(u, plain,
                     update_row(s->b, s->b_m, s->b_v, &ONE, s->dy, batch, s->n_out, 0, s->ldy, &u->bias, rule, extras))
}

INLINE void stream_layer(const stream *s, const fbp_update *update, const int batch, const int plain)
{
    stream_rule u = {.weight = rule_constants(update), .rule = update->rule, .extras = has_extras(update)};
    u.bias = bias_constants(u.weight, update);
    if (s->b)
        stream_bias(s, &u, batch, plain);
    if (s->n_out == 1)
        stream_single(s, &u, batch, s->dx != NULL, plain);
    else if (s->dx)
        stream_rows(s, &u, batch, 1, plain);
    else
        stream_rows(s, &u, batch, 0, plain);
}

#define STREAM_PARAMETERS                                                                                                  \
    void *dx, void *w, void *b, fbp_state w_state, fbp_state b_state, const void *x, const void *dy, const int32_t *index, \
        ptrdiff_t n_index, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldw, ptrdiff_t ldx, ptrdiff_t ldy,  \
        const fbp_update *update
#define STREAM_ARGUMENTS dx, w, b, w_state, b_state, x, dy, index, n_index, batch, n_in, n_out, ldw, ldx, ldy, update

/* The kernel for a constant batch size. */
INLINE void stream_batch(STREAM_PARAMETERS, const int size, const int plain)
{
    const stream s = {.dx = dx,
                      .w = w,
                      .m = w_state.m ? w_state.m : w,
                      .v = w_state.v ? w_state.v : w,
                      .b = b,
                      .b_m = b_state.m ? b_state.m : b,
                      .b_v = b_state.v ? b_state.v : b,
                      .x = x,
                      .dy = dy,
                      .index = index,
                      .count = n_index,
                      .n_in = n_in,
                      .n_out = n_out,
                      .n = lines_of(n_out) * LINE,
                      .ldw = ldw,
                      .ldx = ldx,
                      .ldy = ldy};
    assert(batch == size), (void)batch;
    stream_layer(&s, update, size, plain);
}

/* A function for each batch size, for plain and for any updates: all of them in one function took the compiler three times as
 * long. Each has the parameters of the kernel, which only jumps to it. */
#define STREAM_OF(B)                                                                          \
    static void stream_plain_##B(STREAM_PARAMETERS) { stream_batch(STREAM_ARGUMENTS, B, 1); } \
    static void stream_any_##B(STREAM_PARAMETERS) { stream_batch(STREAM_ARGUMENTS, B, 0); }
STREAM_OF(1)
STREAM_OF(2)
STREAM_OF(3)
STREAM_OF(4)
STREAM_OF(5)
STREAM_OF(6)
STREAM_OF(7)
STREAM_OF(8)
#undef STREAM_OF

typedef __typeof__(KERNEL(stream_backward)) stream_kernel;
static stream_kernel *const STREAM_PLAIN[FBP_FOLD_ROWS] = {stream_plain_1, stream_plain_2, stream_plain_3, stream_plain_4,
                                                           stream_plain_5, stream_plain_6, stream_plain_7, stream_plain_8};
static stream_kernel *const STREAM_ANY[FBP_FOLD_ROWS] = {stream_any_1, stream_any_2, stream_any_3, stream_any_4,
                                                         stream_any_5, stream_any_6, stream_any_7, stream_any_8};

void KERNEL(stream_backward)(STREAM_PARAMETERS)
{
    assert(0 < batch && batch <= FBP_FOLD_ROWS);
    if (is_plain(update))
        STREAM_PLAIN[batch - 1](STREAM_ARGUMENTS);
    else
        STREAM_ANY[batch - 1](STREAM_ARGUMENTS);
}

#endif
