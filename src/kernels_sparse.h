/* kernels_sparse.h: a dense layer above sparse rows: forward, and the update of those rows of its weight that a batch needs.
 *
 * The sums are those of kernels_dense.h without the terms that are zero: x + 0 is x, but for the sign of a zero. */
#ifndef FBP_KERNELS_SPARSE_H
#define FBP_KERNELS_SPARSE_H

#include "fbp.h"
#include "kernels_activations.h"
#include "kernels_lines.h"
#include "kernels_rules.h"
#include "kernels_set.h"
#include "kernels_tile.h"
#include "vec.h"

#include <assert.h>

/* Rows of a weight, and places of features, are fetched so many numbers ahead: they are scattered in memory. */
enum { PLACES_AHEAD = 16, WEIGHT_ROWS_AHEAD = 12 };

/* y = b + x w for one row of n numbers, in registers; `left` are the numbers from its first one to the end of all rows. */
INLINE void sum_sparse_row(real *y, const real *value, const int32_t *column, ptrdiff_t n, ptrdiff_t left, const real *w,
                           const real *b, ptrdiff_t ldw, const int vecs)
{
    vec sum[WIDE_VECS];
#pragma GCC unroll 8
    for (int v = 0; v < vecs; v++)
        sum[v] = v_load(b + v * LANES);
    for (ptrdiff_t k = 0; k < n; k++) {
        const real *const row = w + column[k] * ldw, *const ahead = w + column[smaller(k + WEIGHT_ROWS_AHEAD, left - 1)] * ldw;
        const vec x = v_set1(value[k]);
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            if (v % LINE_VECS == 0)
                __builtin_prefetch(ahead + v * LANES);
            sum[v] = v_fma(x, v_load(row + v * LANES), sum[v]);
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < vecs; v++)
        v_store(y + v * LANES, sum[v]);
}

static void sum_sparse_panel(real *y, const fbp_sparse *x, const real *w, const real *b, ptrdiff_t rows, ptrdiff_t ldy,
                             ptrdiff_t ldw, ptrdiff_t vecs)
{
#define WIDTH(n)                                                                                                               \
    case n:                                                                                                                    \
        sum_sparse_row(y + r * ldy, (const real *)x->value + at, x->column + at, x->start[r + 1] - at, x->start[rows] - at, w, \
                       b, ldw, n);                                                                                             \
        break;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const ptrdiff_t at = x->start[r];
        switch (vecs) {
            WIDTH(1)
            WIDTH(2)
            WIDTH(3)
            WIDTH(4)
            WIDTH(5)
            WIDTH(6)
            WIDTH(7)
            WIDTH(8)
        default: assert(!"a panel of this width");
        }
    }
#undef WIDTH
}

void KERNEL(sparse_forward)(void *y_, void *slope, const fbp_sparse *x, const void *w_, const void *b_, ptrdiff_t rows,
                            ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldw, fbp_activation activation)
{
    real *y = y_;
    const real *w = w_, *b = b_;
    assert(activation.code <= FBP_SAVED_SLOPE);
    for (ptrdiff_t v = 0, total = vecs_of(n_out), width; v < total; v += width) {
        width = smaller(total - v, WIDE_VECS);
        sum_sparse_panel(y + v * LANES, x, w + v * LANES, b + v * LANES, rows, ldy, ldw, width);
    }
    if (activation.code != FBP_LINEAR || slope)
        activate_panel(y, slope, ldy, rows, vecs_of(n_out), n_out, activation);
    if (activation.code == FBP_SOFTMAX)
        softmax_rows(y, rows, n_out, ldy);
}

/* Numbers are counted by feature, whose place is noted in the place of their columns, then put there. */
void KERNEL(by_feature)(fbp_features *out, const fbp_sparse *parts, ptrdiff_t batch, ptrdiff_t rows)
{
    const ptrdiff_t n_parts = (batch + rows - 1) / rows;
    for (ptrdiff_t f = 0; f < out->n; f++) { /* of the batch before */
        __builtin_prefetch(out->place + out->feature[smaller(f + PLACES_AHEAD, out->n - 1)], 1);
        out->place[out->feature[f]] = 0;
    }
    out->n = 0;
    for (ptrdiff_t p = 0; p < n_parts; p++) {
        const ptrdiff_t count = parts[p].start[smaller(rows, batch - p * rows)];
        for (ptrdiff_t k = 0; k < count; k++) {
            int32_t *const column = parts[p].column + k, *const place = out->place + *column;
            __builtin_prefetch(out->place + parts[p].column[smaller(k + PLACES_AHEAD, count - 1)], 1);
            if (!*place) {
                out->feature[out->n] = *column;
                out->end[out->n] = 0;
                *place = (int32_t)++out->n;
            }
            *column = *place - 1;
            out->end[*column]++;
        }
    }
    for (ptrdiff_t f = 0, total = 0; f < out->n; f++) {
        const ptrdiff_t count = out->end[f];
        out->end[f] = total;
        total += count;
    }
    for (ptrdiff_t p = 0; p < n_parts; p++)
        for (ptrdiff_t r = 0; r < smaller(rows, batch - p * rows); r++)
            for (ptrdiff_t k = parts[p].start[r]; k < parts[p].start[r + 1]; k++) {
                const ptrdiff_t at = out->end[parts[p].column[k]]++;
                ((real *)out->value)[at] = ((const real *)parts[p].value)[k];
                out->row[at] = (int32_t)(p * rows + r);
            }
}

/* Some vectors of the gradient of a weight's row, from the numbers first .. end - 1: a chain for each FBP_UPDATE_ROWS rows of
 * the batch, and their sums in ascending order. */
INLINE void feature_gradient(vec *total, const fbp_features *x, const real *const *dy, ptrdiff_t first, ptrdiff_t end,
                             ptrdiff_t column, const int vecs)
{
    vec sum[2 * LINE_VECS];
#pragma GCC unroll 32
    for (int v = 0; v < vecs; v++)
        total[v] = v_set1(0);
    for (ptrdiff_t i = first; i < end;) {
        const int32_t next_block = (x->row[i] | (FBP_UPDATE_ROWS - 1)) + 1; /* a power of two */
#pragma GCC unroll 32
        for (int v = 0; v < vecs; v++)
            sum[v] = v_set1(0);
        for (; i < end && x->row[i] < next_block; i++) {
            const vec value = v_set1(((const real *)x->value)[i]);
            const real *const d = dy[x->row[i]] + column;
#pragma GCC unroll 32
            for (int v = 0; v < vecs; v++)
                sum[v] = v_fma(value, v_load(d + v * LANES), sum[v]);
        }
#pragma GCC unroll 32
        for (int v = 0; v < vecs; v++)
            total[v] = total[v] + sum[v];
    }
}

void KERNEL(sparse_gradient)(void *g_, const fbp_features *x, const void *const *dy, ptrdiff_t first, ptrdiff_t column,
                             ptrdiff_t rows, ptrdiff_t n)
{
    real *g = g_;
    for (ptrdiff_t r = 0; r < rows; r++, g += n) {
        const ptrdiff_t f = x->place[first + r] - 1, begin = f > 0 ? x->end[f - 1] : 0, end = f < 0 ? 0 : x->end[f];
        for (ptrdiff_t j = 0; j < n; j += LINE) {
            vec sums[LINE_VECS];
            feature_gradient(sums, x, (const real *const *)dy, begin, end, column + j, LINE_VECS);
            for (int v = 0; v < LINE_VECS; v++)
                v_store(g + j + v * LANES, sums[v]);
        }
    }
}

/* Updates some vectors of a row of a weight at `at`, which are at `column` of the deltas. */
INLINE void update_feature(real *w, real *m, real *v, const fbp_features *x, const real *const *dy, ptrdiff_t first,
                           ptrdiff_t end, ptrdiff_t at, ptrdiff_t column, const rule_vecs *c, const fbp_rule rule,
                           const int extras, const int vecs)
{
    vec sums[2 * LINE_VECS];
    feature_gradient(sums, x, dy, first, end, column, vecs);
#pragma GCC unroll 32
    for (int i = 0; i < vecs; i++)
        apply_rule(w + at + i * LANES, m + at + i * LANES, v + at + i * LANES, sums[i], c, rule, extras);
}

INLINE void update_features(real *w, real *m, real *v, const fbp_features *x, const real *const *dy, ptrdiff_t column,
                            ptrdiff_t n, ptrdiff_t ldw, const fbp_update *u, const fbp_rule rule, const int extras)
{
    const rule_vecs c = rule_constants(u);
    assert(n % LINE == 0);
    for (ptrdiff_t f = 0, first = 0, j; f < x->n; first = x->end[f++]) {
        const ptrdiff_t row = x->feature[f] * ldw, ahead = x->feature[smaller(f + WEIGHT_ROWS_AHEAD, x->n - 1)] * ldw;
        for (j = 0; j < n; j += LINE)
            __builtin_prefetch(w + ahead + j, 1);
        for (j = 0; j + 2 * LINE <= n; j += 2 * LINE) /* two lines at once: half the reading of lists */
            update_feature(w, m, v, x, dy, first, x->end[f], row + j, column + j, &c, rule, extras, 2 * LINE_VECS);
        if (j < n)
            update_feature(w, m, v, x, dy, first, x->end[f], row + j, column + j, &c, rule, extras, LINE_VECS);
    }
}

void KERNEL(sparse_update)(void *w, fbp_state state, const fbp_features *x, const void *const *dy, ptrdiff_t column,
                           ptrdiff_t n, ptrdiff_t ldw, const fbp_update *update)
{
    real *m = state.m ? state.m : w, *v = state.v ? state.v : w;
    const real *const *rows = (const real *const *)dy;
    WITH_RULE(update, update_features(w, m, v, x, rows, column, n, ldw, update, rule, extras))
}

#endif
