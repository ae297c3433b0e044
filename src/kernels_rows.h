/* kernels_rows.h: operations on whole rows that need exponentials: softmax, and the losses that are fused with their output
 * activation. Sums over a row are folded sums over the lanes of a line.
 *
 * Rows are processed in blocks of LANES, so that a number of a row (its maximum, sum or logarithm) is a lane of one vector of
 * the block. The vectors of a block lie ALONG its rows, each with LANES outputs of one row, or, if the rows are short, ACROSS
 * them, each with one output of every row (the block is transposed). The arithmetic of a row is the same: the virtual lanes of
 * a line are lanes of vectors along the rows, and vectors across them. Cross-entropy of 64 rows of 10: 31 to 7 ns a row. */
#ifndef FBP_KERNELS_ROWS_H
#define FBP_KERNELS_ROWS_H

#include "activations.h"
#include "kernels_lines.h"
#include "vec.h"

#include <assert.h>

enum layout { ALONG, ACROSS };

/* A block: `rows` rows of `width` elements, ld apart, of which n are no padding; across, one row of n vectors. */
typedef struct {
    ptrdiff_t rows, n, width, ld;
} block;

/* Vectors in a line of the block, for the constant `layout` of the function. */
#define PARTS (layout == ACROSS ? LINE : LINE_VECS)

/* Loops over the vectors of a row of block b; j is the element, l the place of the vector in its line. */
#define FOR_PARTS(j, l)                  \
    for (ptrdiff_t j = 0; j < b->width;) \
        for (int l = 0; l < PARTS && (layout == ALONG || j < b->width); l++, j += LANES)

/* The number of row r, or of all rows across them, from an array with a number for each row. */
INLINE vec row_value(const real *per_row, ptrdiff_t r, const enum layout layout)
{
    return layout == ACROSS ? v_load(per_row) : v_set1(per_row[r]);
}

/* a with zeros in the padding. */
INLINE vec without_padding(vec a, ptrdiff_t j, const block *b, const enum layout layout)
{
    return layout == ACROSS ? a : v_keep(a, lanes_before(j, b->n));
}

INLINE void clear(vec *line, const enum layout layout)
{
    for (int l = 0; l < PARTS; l++)
        line[l] = v_set1(0);
}

/* Completes the vectors of fewer than LANES rows for a fold. A single row is repeated: then the compiler sees that each round
 * of the fold needs only one of its shuffles. */
INLINE void fill_rows(vec *row, const block *b)
{
    for (ptrdiff_t r = b->rows; r < LANES; r++)
        row[r] = b->rows == 1 ? row[0] : v_set1(0);
}

/* Lane r = the folded sum of row r, given the halved lines. */
INLINE vec sum_rows(vec *halved, const block *b, const enum layout layout)
{
    if (layout == ACROSS)
        return halved[0];
    fill_rows(halved, b);
    return v_fold_sums(halved);
}

/* Lane r = the largest element of row r. NaN is ignored, for it makes every sum NaN anyway. */
INLINE vec max_rows(const real *z, const block *b, const enum layout layout)
{
    const vec lowest = v_set1(-INF);
    vec most[LANES];
    for (ptrdiff_t r = 0; r < b->rows; r++, z += b->ld) {
        most[r] = lowest;
        for (ptrdiff_t j = 0; j < b->width; j += LANES) {
            const vec x = v_load(z + j);
            most[r] = v_max(layout == ACROSS ? x : v_select(v_first(lanes_before(j, b->n)), x, lowest), most[r]);
        }
    }
    if (layout == ACROSS)
        return most[0];
    fill_rows(most, b);
    return v_fold_max(most);
}

/* y = e^(z - max), padding zero; lane r = the sum of row r. y may be z. */
INLINE vec exp_rows(real *y, const real *z, const real *max, const block *b, const enum layout layout)
{
    vec sums[LANES];
    for (ptrdiff_t r = 0; r < b->rows; r++, y += b->ld, z += b->ld) {
        vec sum[LINE];
        clear(sum, layout);
        FOR_PARTS (j, l) {
            const vec e = without_padding(v_exp(v_load(z + j) - row_value(max, r, layout)), j, b, layout);
            v_store(y + j, e);
            sum[l] = sum[l] + e;
        }
        sums[r] = halve(sum, PARTS);
    }
    return sum_rows(sums, b, layout);
}

INLINE void softmax_block(real *y, const real *z, const block *b, const enum layout layout)
{
    real max[LANES], scale[LANES];
    v_store(max, max_rows(z, b, layout));
    v_store(scale, v_set1(1) / exp_rows(y, z, max, b, layout));
    for (ptrdiff_t r = 0; r < b->rows; r++, y += b->ld)
        for (ptrdiff_t j = 0; j < b->width; j += LANES)
            v_store(y + j, v_load(y + j) * row_value(scale, r, layout));
}

/* Lane r = t . (z - max) of row r. */
INLINE vec dot_rows(const real *t, const real *z, const real *max, const block *b, const enum layout layout)
{
    vec dots[LANES];
    for (ptrdiff_t r = 0; r < b->rows; r++, t += b->ld, z += b->ld) {
        vec dot[LINE];
        clear(dot, layout);
        FOR_PARTS (j, l)
            dot[l] = v_fma(v_load(t + j), without_padding(v_load(z + j) - row_value(max, r, layout), j, b, layout), dot[l]);
        dots[r] = halve(dot, PARTS);
    }
    return sum_rows(dots, b, layout);
}

/* L = -sum t log softmax(z) for targets that sum to 1; dL/dz = p - t. */
INLINE vec cross_entropy_block(real *delta, const real *z, const real *t, const block *b, real scale, const enum layout layout)
{
    real max[LANES], per_sum[LANES];
    v_store(max, max_rows(z, b, layout));
    const vec dot = dot_rows(t, z, max, b, layout), sum = exp_rows(delta, z, max, b, layout);
    v_store(per_sum, v_set1(1) / sum);
    for (ptrdiff_t r = 0; r < b->rows; r++, delta += b->ld, t += b->ld)
        for (ptrdiff_t j = 0; j < b->width; j += LANES)
            v_store(delta + j, v_set1(scale) * v_fma(v_load(delta + j), row_value(per_sum, r, layout), -v_load(t + j)));
    return v_log_sum(sum, v_set1(0), v_set1(0)) - dot; /* the sum is between 1 and n, or NaN as the dot is */
}

/* L = sum over outputs of -t log p - (1-t) log(1-p) = max(z,0) - t z + log(1 + e^-|z|), p = sigmoid(z); dL/dz = p - t. */
INLINE vec binary_cross_entropy_block(real *delta, const real *z, const real *t, const block *b, real scale,
                                      const enum layout layout)
{
    vec sums[LANES];
    for (ptrdiff_t r = 0; r < b->rows; r++, delta += b->ld, z += b->ld, t += b->ld) {
        vec sum[LINE];
        clear(sum, layout);
        FOR_PARTS (j, l) {
            const vec zj = v_load(z + j), tj = v_load(t + j);
            const vec loss = v_fma(-tj, zj, v_max(v_set1(0), zj)) + v_log1p_exp(-v_abs(zj));
            sum[l] = sum[l] + without_padding(loss, j, b, layout);
            v_store(delta + j, without_padding(v_set1(scale) * (v_sigmoid(zj) - tj), j, b, layout));
        }
        sums[r] = halve(sum, PARTS);
    }
    return sum_rows(sums, b, layout);
}

/* ---- the choice between along and across ---- */

enum row_op { SOFTMAX, CROSS_ENTROPY, BINARY_CROSS_ENTROPY };

/* y = softmax(z), which needs no t; or y = delta of a loss, which returns lane r = L of row r. */
INLINE vec block_op(real *y, const real *z, const real *t, const block *b, real scale, const enum row_op op,
                    const enum layout layout)
{
    switch (op) {
    case CROSS_ENTROPY: return cross_entropy_block(y, z, t, b, scale, layout);
    case BINARY_CROSS_ENTROPY: return binary_cross_entropy_block(y, z, t, b, scale, layout);
    case SOFTMAX: softmax_block(y, z, b, layout); break;
    }
    return v_set1(0);
}

/* Across is faster for short rows, unless fewer than half of the lanes would have a row. */
INLINE int fits_across(ptrdiff_t rows, ptrdiff_t n) { return LANES > 1 && n <= LINE && 2 * rows > LANES; }

typedef real columns[LINE * LANES] __attribute__((aligned(64)));

/* c[n][LANES] = the columns of x[rows][n]; the lanes from `rows` on repeat the last row. */
INLINE void to_columns(real *c, const real *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vec t[LANES];
        for (ptrdiff_t r = 0; r < LANES; r++)
            t[r] = v_load(x + smaller(r, rows - 1) * ld + j);
        v_transpose(t);
        for (ptrdiff_t i = 0; i < LANES; i++)
            v_store(c + (j + i) * LANES, t[i]);
    }
}

/* x[rows][n] from its columns, with zeros to the end of the line. */
INLINE void from_columns(real *x, real *c, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t j = n; j < LINE; j++)
        v_store(c + j * LANES, v_set1(0));
    for (ptrdiff_t j = 0; j < LINE; j += LANES) {
        vec t[LANES];
        for (ptrdiff_t i = 0; i < LANES; i++)
            t[i] = v_load(c + (j + i) * LANES);
        v_transpose(t);
        for (ptrdiff_t r = 0; r < rows; r++)
            v_store(x + r * ld + j, t[r]);
    }
}

/* Not inlined: its callers' frames would have room for the columns even for single rows, which costs 5 ns of 30. */
static __attribute__((noinline)) vec rows_op_across(real *y, const real *z, const real *t, ptrdiff_t rows, ptrdiff_t n,
                                                    ptrdiff_t ld, real scale, enum row_op op)
{
    columns of_y, of_z, of_t;
    assert(0 < rows && rows <= LANES && n <= LINE);
    const block b = {.rows = 1, .n = n * LANES, .width = n * LANES};
    to_columns(of_z, z, rows, n, ld);
    if (op != SOFTMAX)
        to_columns(of_t, t, rows, n, ld);
    const vec result = block_op(of_y, of_z, of_t, &b, scale, op, ACROSS);
    from_columns(y, of_y, rows, n, ld);
    return result;
}

INLINE void rows_op(real *y, double *result, const real *z, const real *t, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld,
                    real scale, const enum row_op op)
{
    for (ptrdiff_t first = 0; first < batch; first += LANES) {
        const ptrdiff_t rows = smaller(batch - first, LANES), at = first * ld;
        const block b = {rows, n, lines_of(n) * LINE, ld}, single = {1, n, lines_of(n) * LINE, ld};
        real lane[LANES];
        if (fits_across(rows, n))
            v_store(lane, rows_op_across(y + at, z + at, t + at, rows, n, ld, scale, op));
        else if (rows == 1) /* one row is a constant: the arrays of vectors above become registers */
            v_store(lane, block_op(y + at, z + at, t + at, &single, scale, op, ALONG));
        else
            v_store(lane, block_op(y + at, z + at, t + at, &b, scale, op, ALONG));
        for (ptrdiff_t r = 0; op != SOFTMAX && r < rows; r++)
            result[first + r] = lane[r];
    }
}

#endif
