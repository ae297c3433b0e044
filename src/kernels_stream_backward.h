/* kernels_stream_backward.h: the dense layer for batches of up to FBP_FOLD_ROWS rows: delta and update in one pass. */
#ifndef FBP_KERNELS_STREAM_BACKWARD_H
#define FBP_KERNELS_STREAM_BACKWARD_H

#include "fbp.h"
#include "kernels_lines.h"
#include "kernels_rules.h"
#include "kernels_set.h"
#include "vec.h"

typedef struct {
    real *dx, *w, *m, *v;
    real *b, *b_m, *b_v; /* NULL: another's business */
    const real *x, *dy;
    ptrdiff_t n_in, n_out, n, ldw, ldx, ldy; /* n: columns, padded */
    rule_vecs constants, of_bias;
    fbp_rule rule;
    int extras;
} stream;

/* One row of weights by its gradient, the chain of x[b] dy[b]. */
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

/* body with `rule` and `extras`: literals if the update is plain, that is without roots and extras; the others would slow it down
 * if they shared its loops. */
#define WITH_STREAM_RULE(s, plain, body)                                                         \
    if (!plain) { const fbp_rule rule = (s)->rule; const int extras = (s)->extras; body; }       \
    else if ((s)->rule == FBP_SGD) { const fbp_rule rule = FBP_SGD; const int extras = 0; body; } \
    else if ((s)->rule == FBP_MOMENTUM) { const fbp_rule rule = FBP_MOMENTUM; const int extras = 0; body; } \
    else { const fbp_rule rule = FBP_NESTEROV; const int extras = 0; body; }

/* `rows` listed weight rows, read and written once: sums[b * LANES + r] takes the unfolded delta of row r from the old weight,
 * then the weight is updated. Several rows at a time, because the lanes of one row are one chain. */
INLINE void stream_block(vec *sums, const stream *s, const int32_t *index, const int rows, const int batch, const int delta,
                         const int plain)
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
                WITH_STREAM_RULE(s, plain, apply_rule(w, s->m + i, s->v + i, g, &s->constants, rule, extras))
            }
        }
    if (delta)
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int b = 0; b < batch; b++)
                sums[b * LANES + r] = halve_line(dot + (r * batch + b) * LINE_VECS);
}

/* Are the deltas of a group of rows one vector of dx, with nothing but padding after them? To read as a vector what was written
 * by elements would wait for the writes to end. */
INLINE int one_vector(const stream *s, const int32_t *index, ptrdiff_t group)
{
    return index[group - 1] - index[0] == group - 1 && index[0] + LANES <= s->ldx &&
           (group == LANES || index[0] + group == s->n_in);
}

/* The listed rows LANES at a time, so that their deltas can be folded together. */
INLINE void stream_rows(const stream *s, const int32_t *index, ptrdiff_t count, const int batch, const int delta,
                        const int plain)
{
    const int together = batch <= 2 ? 4 : batch <= 4 ? 2 : 1; /* at least 4 chains */
    for (ptrdiff_t done = 0; done < count; done += LANES) {
        const ptrdiff_t group = smaller(count - done, LANES);
        vec sums[FBP_FOLD_ROWS * LANES];
        ptrdiff_t i = 0;
        for (; i + together <= group; i += together)
            stream_block(sums + i, s, index + done + i, together, batch, delta, plain);
        for (; together > 1 && i < group; i++)
            stream_block(sums + i, s, index + done + i, 1, batch, delta, plain);
        if (!delta)
            continue;
        for (; i < LANES; i++)
            for (int b = 0; b < batch; b++)
                sums[b * LANES + i] = v_set1(0);
        const int whole = one_vector(s, index + done, group);
        for (int b = 0; b < batch; b++) {
            const vec folded = v_fold_sums(sums + b * LANES);
            if (whole)
                v_store(s->dx + b * s->ldx + index[done], folded);
            else {
                real lane[LANES];
                v_store(lane, folded);
                for (i = 0; i < group; i++)
                    s->dx[b * s->ldx + index[done + i]] = lane[i];
            }
        }
    }
}

/* The same for a layer of one output, where a sum over outputs has one term. */
INLINE void stream_single(const stream *s, const int32_t *index, ptrdiff_t count, const int batch, const int delta,
                          const int plain)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t k = index[i], at = k * s->ldw;
        real *w = s->w + at, *m = s->m + at, *v = s->v + at;
        if (delta)
#pragma GCC unroll 8
            for (int b = 0; b < batch; b++)
                s->dx[b * s->ldx + k] = real_fma(s->dy[b * s->ldy], w[0], 0);
        WITH_STREAM_RULE(s, plain, update_row(w, m, v, s->x + k, s->dy, batch, 1, s->ldx, s->ldy, &s->constants, rule, extras))
    }
}

/* A bias is a weight whose input is always 1. */
INLINE void stream_bias(const stream *s, const int batch, const int plain)
{
    static const real ONE = 1;
    WITH_STREAM_RULE(s, plain, update_row(s->b, s->b_m, s->b_v, &ONE, s->dy, batch, s->n_out, 0, s->ldy, &s->of_bias, rule, extras))
}

INLINE void stream_layer(const stream *s, const int32_t *index, ptrdiff_t count, const int batch, const int plain)
{
    if (s->b)
        stream_bias(s, batch, plain);
    if (s->n_out == 1)
        stream_single(s, index, count, batch, s->dx != NULL, plain);
    else if (s->dx)
        stream_rows(s, index, count, batch, 1, plain);
    else
        stream_rows(s, index, count, batch, 0, plain);
}

#define STREAM_BATCH(B) case B: stream_layer(&s, index, n_index, B, plain); break;

INLINE void stream_any(stream s, const int32_t *index, ptrdiff_t n_index, ptrdiff_t batch, const fbp_update *update,
                       const int plain)
{
    s.constants = rule_constants(update);
    s.of_bias = bias_constants(s.constants, update);
    s.rule = update->rule;
    s.extras = has_extras(update);
    switch (batch) {
        STREAM_BATCH(1) STREAM_BATCH(2) STREAM_BATCH(3) STREAM_BATCH(4)
        STREAM_BATCH(5) STREAM_BATCH(6) STREAM_BATCH(7) STREAM_BATCH(8)
    }
}

void KERNEL(stream_backward)(void *dx, void *w, void *b, fbp_state w_state, fbp_state b_state, const void *x,
                                    const void *dy, const int32_t *index, ptrdiff_t n_index, ptrdiff_t batch,
                                    ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldw, ptrdiff_t ldx, ptrdiff_t ldy, const fbp_update *update)
{
    const stream s = {.dx = dx, .w = w, .m = w_state.m ? w_state.m : w, .v = w_state.v ? w_state.v : w, .b = b,
                      .b_m = b_state.m ? b_state.m : b, .b_v = b_state.v ? b_state.v : b, .x = x, .dy = dy,
                      .n_in = n_in, .n_out = n_out, .n = lines_of(n_out) * LINE, .ldw = ldw, .ldx = ldx, .ldy = ldy};
    if (!fbp_rule_has_v(update->rule) && !has_extras(update))
        stream_any(s, index, n_index, batch, update, 1);
    else
        stream_any(s, index, n_index, batch, update, 0);
}

#endif
