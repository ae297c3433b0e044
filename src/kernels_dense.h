/* kernels_dense.h: the dense layer: forward, delta, gradient, and applying the gradient. */
#ifndef FBP_KERNELS_DENSE_H
#define FBP_KERNELS_DENSE_H

#include "fbp.h"
#include "kernels_activations.h"
#include "kernels_lines.h"
#include "kernels_rules.h"
#include "kernels_set.h"
#include "kernels_tile.h"
#include "vec.h"

#include <assert.h>

/* y = f(x w + b): panels of columns, and in a panel blocks of depth over all rows, so that a block of w is read from L1. */
void KERNEL(dense_forward)(void *y_, void *slope_, const void *x, const void *w_, const void *b_, ptrdiff_t batch,
                           ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx, ptrdiff_t ldw,
                           fbp_activation activation)
{
    real *y = y_, *slope = slope_;
    const real *w = w_, *b = b_;
    assert(activation.code <= FBP_SAVED_SLOPE);
    for (ptrdiff_t v = 0, total = vecs_of(n_out), width; v < total; v += width) {
        const ptrdiff_t j = v * LANES;
        width = panel_vecs(batch, total - v);
        const tile t = {.out = y + j, .init = b + j, .ld_out = ldy, .ld_init = 0, .a_row = ldx, .a_depth = 1, .ldb = ldw};
        run_deep_panel(t, x, w + j, batch, width, n_in, v + width < total ? width * LANES : 0);
        if (activation.code != FBP_LINEAR || slope)
            activate_panel(y + j, slope ? slope + j : NULL, ldy, batch, width, n_out - j, activation);
    }
    if (activation.code == FBP_SOFTMAX)
        softmax_rows(y, batch, n_out, ldy);
}

/* out[n][ld] = in[rows][ldin] transposed; the columns from `rows` to ld are zero. */
static void transpose(real *out, const real *in, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t ldin)
{
    for (ptrdiff_t j = 0; j < n; j += LANES)
        for (ptrdiff_t b = 0; b < ld; b += LANES) {
            vec t[LANES];
            for (int i = 0; i < LANES; i++)
                t[i] = b + i < rows ? v_load(in + (b + i) * ldin + j) : v_set1(0);
            v_transpose(t);
            for (int i = 0; i < LANES && j + i < n; i++)
                v_store(out + (j + i) * ld + b, t[i]);
        }
}

/* n (padded) columns of dx[rows][ldx] = a block dxt[n][ld] of transposed deltas, transposed back and multiplied by f'(x). */
INLINE void transpose_back_times(real *dx, const real *dxt, const real *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldx,
                                 ptrdiff_t ld, vec a, const fbp_activation_code code)
{
    for (ptrdiff_t b = 0; b < rows; b += LANES)
        for (ptrdiff_t k = 0; k < n; k += LANES) {
            vec t[LANES];
            for (int i = 0; i < LANES; i++)
                t[i] = v_load(dxt + (k + i) * ld + b);
            v_transpose(t);
            for (int i = 0; i < LANES && b + i < rows; i++) {
                const ptrdiff_t at = (b + i) * ldx + k;
                const vec y = v_load(x + at);
                v_store(dx + at, t[i] * v_slope(y, y, a, code));
            }
        }
}

static void transpose_back(real *dx, const real *dxt, const real *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldx, ptrdiff_t ld,
                           fbp_activation activation)
{
    const vec a = v_set1((real)activation.parameter);
    WITH_ACTIVATION(activation, transpose_back_times(dx, dxt, x, rows, n, ldx, ld, a, code))
}

/* dx^T = w dy^T, chains over j ascending. The lanes are rows of the batch, so w is read as it lies in memory; transposing dy
 * and dx costs 1 / n_in and 1 / n_out of the product. The loop over depth is outside that over panels, so that a block of w is
 * read once. scratch: dy^T[n_out][ld], then a block dx^T[FBP_DELTA_UNITS][ld]. */
static void delta_chained(real *dx, const real *dy, const real *w, const real *x, real *scratch, ptrdiff_t rows, ptrdiff_t n_in,
                          ptrdiff_t n_out, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw, fbp_activation activation)
{
    const ptrdiff_t total = vecs_of(rows), ld = total * LANES;
    real *const dyt = scratch, *const dxt = scratch + n_out * ld;
    transpose(dyt, dy, rows, n_out, ld, ldy);
    for (ptrdiff_t k = 0; k < n_in; k += FBP_DELTA_UNITS) {
        const ptrdiff_t units = smaller(n_in - k, FBP_DELTA_UNITS), padded = lines_of(units) * LINE;
        for (ptrdiff_t j = 0; j < n_out; j += DEPTH_BLOCK)
            for (ptrdiff_t v = 0, width; v < total; v += width) {
                width = panel_vecs(units, total - v);
                real *const out = dxt + v * LANES;
                const fbp_part part = {w + k * ldw + j, dyt + j * ld + v * LANES, smaller(n_out - j, DEPTH_BLOCK)};
                const tile t = {.out = out,
                                .init = j ? out : ZEROS,
                                .parts = &part,
                                .n_parts = 1,
                                .ld_out = ld,
                                .ld_init = j ? ld : 0,
                                .a_row = ldw,
                                .a_depth = 1,
                                .ldb = ld};
                run_panel(t, units, width, (prefetches){.next_b = part.rows * ld}, BY_ROW);
            }
        memset(dxt + units * ld, 0, (size_t)((padded - units) * ld) * sizeof(real));
        transpose_back(dx + k, dxt, x + k, rows, padded, ldx, ld, activation);
    }
}

/* dx = dy w^T as folded sums over j, LANES input units at a time, for batches too small to fill the lanes with rows. */
static void delta_folded(real *dx, const real *dy, const real *w, ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
                         ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw)
{
    for (ptrdiff_t k = 0; k < lines_of(n_in) * LINE; k += LANES)
        for (ptrdiff_t b = 0; b < rows; b++) {
            vec sums[LANES];
            for (int i = 0; i < LANES; i++)
                sums[i] = k + i < n_in ? line_dot(dy + b * ldy, w + (k + i) * ldw, n_out) : v_set1(0);
            v_store(dx + b * ldx + k, v_fold_sums(sums));
        }
}

void KERNEL(dense_delta)(void *dx, const void *dy, const void *w, const void *x, void *scratch, ptrdiff_t batch, ptrdiff_t rows,
                         ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw,
                         fbp_activation activation)
{
    fbp_activation in_block = activation;
    assert(rows <= batch);
    if (activation.code == FBP_SOFTMAX) /* softmax needs whole rows */
        in_block.code = FBP_LINEAR;
    if (batch > FBP_FOLD_ROWS)
        delta_chained(dx, dy, w, x, scratch, rows, n_in, n_out, ldx, ldy, ldw, in_block);
    else
        delta_folded(dx, dy, w, rows, n_in, n_out, ldx, ldy, ldw);
    if (batch <= FBP_FOLD_ROWS || activation.code == FBP_SOFTMAX)
        KERNEL(activation_delta)(dx, x, rows, n_in, ldx, activation);
}

/* The parts of the rows from *done on, at most FBP_UPDATE_ROWS rows, which are added to *done; returns their number. */
static ptrdiff_t next_rows(fbp_part *out, const fbp_part *parts, ptrdiff_t n_parts, ptrdiff_t *done, ptrdiff_t ldx,
                           ptrdiff_t ldy)
{
    ptrdiff_t count = 0, left = FBP_UPDATE_ROWS, first = 0;
    for (ptrdiff_t p = 0; p < n_parts && left > 0; first += parts[p++].rows) {
        const ptrdiff_t skip = *done > first ? *done - first : 0, rows = smaller(parts[p].rows - skip, left);
        if (rows <= 0)
            continue;
        assert(count < FBP_UPDATE_PARTS);
        out[count++] = (fbp_part){(const real *)parts[p].x + skip * ldx, (const real *)parts[p].dy + skip * ldy, rows};
        left -= rows;
    }
    *done += FBP_UPDATE_ROWS - left;
    return count;
}

/* g[rows][n] = the gradient of a block of weights over the whole batch: each FBP_UPDATE_ROWS rows of the batch are a chain from
 * zero, and these sums are added in ascending order. The loop over them is outside that over panels, so that x, dy and g stay
 * in L2 for any batch size. block[rows][panel] is scratch; w and `prefetch` as in dense_gradient. a_row is 0 for the gradient
 * of a bias, which is a weight whose input is always 1. */
static void gradient_block(real *g, real *block, const fbp_part *parts, ptrdiff_t n_parts, ptrdiff_t rows, ptrdiff_t n,
                           ptrdiff_t a_row, ptrdiff_t ldx, ptrdiff_t ldy, const real *w, ptrdiff_t ldw, fbp_prefetch *prefetch)
{
    static const real ONE = 1;
    const ptrdiff_t batch = depth_of(parts, n_parts);
    fbp_part some[FBP_UPDATE_PARTS];
    assert(rows > 0 && n % LINE == 0);
    for (ptrdiff_t done = 0; done == 0 || done < batch;) {
        const int later = done > 0;
        const ptrdiff_t n_some = next_rows(some, parts, n_parts, &done, ldx, ldy);
        for (ptrdiff_t p = 0; p < n_some && a_row == 0; p++)
            some[p].x = &ONE;
        for (ptrdiff_t v = 0, total = n / LANES, width; v < total; v += width) {
            const ptrdiff_t j = v * LANES;
            width = panel_vecs(TILE_ROWS, total - v);
            const tile t = {.out = later ? block : g + j,
                            .init = ZEROS,
                            .parts = some,
                            .n_parts = n_some,
                            .b_at = j,
                            .a_row = a_row,
                            .a_depth = ldx,
                            .ldb = ldy,
                            .ld_out = later ? width * LANES : n};
            /* the first panel of the next block follows the last panel; the weights are needed after the last rows */
            run_panel(t, rows, width, (prefetches){width * LANES, w && done == batch ? w + j : NULL, ldw, prefetch}, BY_COLUMN);
            for (ptrdiff_t r = 0; later && r < rows; r++)
                for (ptrdiff_t i = 0; i < width * LANES; i += LANES)
                    v_store(g + r * n + j + i, v_load(g + r * n + j + i) + v_load(block + r * width * LANES + i));
        }
        if (batch == 0)
            break;
    }
}

void KERNEL(dense_gradient)(void *g, void *scratch, const fbp_part *parts, ptrdiff_t n_parts, const void *w, ptrdiff_t rows,
                            ptrdiff_t n, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw, fbp_prefetch *prefetch)
{
    gradient_block(g, scratch, parts, n_parts, rows, n, 1, ldx, ldy, w, ldw, prefetch);
}

void KERNEL(bias_gradient)(void *g, void *scratch, const fbp_part *parts, ptrdiff_t n_parts, ptrdiff_t n, ptrdiff_t ldy)
{
    gradient_block(g, scratch, parts, n_parts, 1, n, 0, 0, ldy, NULL, 0, NULL);
}

/* Updates w[rows][ld] and its state by the finished gradient g[rows][n]; n is whole vectors. */
INLINE void apply_to_rows(real *w, real *m, real *v, const real *g, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,
                          const fbp_update *u, const fbp_rule rule, const int extras)
{
    const rule_vecs c = rule_constants(u);
    assert(n % LANES == 0);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j += LANES)
            apply_rule(w + r * ld + j, m + r * ld + j, v + r * ld + j, v_load(g + r * n + j), &c, rule, extras);
}

void KERNEL(apply_gradient)(void *w, fbp_state state, const void *g, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                            const fbp_update *update)
{
    real *m = state.m ? state.m : w, *v = state.v ? state.v : w;
    WITH_RULE(update, apply_to_rows(w, m, v, g, rows, n, ldw, update, rule, extras))
}

#endif
