/* kernels_correct.h: is the predicted class the target's? A row with a NaN among its outputs predicts none. */
#ifndef FBP_KERNELS_CORRECT_H
#define FBP_KERNELS_CORRECT_H

#include "activations.h"
#include "kernels_lines.h"
#include "kernels_rows.h"
#include "vec.h"

/* The largest of a line's lanes. */
INLINE real fold_max(const vec *line)
{
    vec t[LANES] = {line[0]};
    for (int l = 1; l < LINE_VECS; l++)
        t[0] = v_max(line[l], t[0]);
    for (int i = 1; i < LANES; i++)
        t[i] = t[0];
    real lane[LANES];
    v_store(lane, v_fold_max(t));
    return lane[0];
}

/* First index of the largest of n < 2^24 elements, none of them NaN. */
static ptrdiff_t argmax(const real *x, ptrdiff_t n)
{
    static const real ramp[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vec lowest = v_set1(-INF);
    vec value[LINE_VECS], place[LINE_VECS]; /* the largest element of a lane, and minus its index */
    for (int l = 0; l < LINE_VECS; l++)
        value[l] = lowest, place[l] = -v_load(ramp + l * LANES);
    FOR_LINE_VECS (j, l, n) {
        const vec next = v_select(v_first(lanes_before(j, n)), v_load(x + j), lowest);
        const ivec larger = v_less(value[l], next);
        value[l] = v_select(larger, next, value[l]);
        place[l] = v_select(larger, -v_load(ramp) - v_set1((real)j), place[l]);
    }
    const vec most = v_set1(fold_max(value));
    for (int l = 0; l < LINE_VECS; l++)
        place[l] = v_select(v_less(value[l], most), lowest, place[l]);
    return (ptrdiff_t)-fold_max(place);
}

/* The same for a short row, element by element: faster than the folds above for 10 elements. */
static ptrdiff_t argmax_short(const real *x, ptrdiff_t n)
{
    ptrdiff_t best = 0;
    real value = x[0];
    for (ptrdiff_t j = 1; j < n; j++) {
        const int larger = x[j] > value;
        best = larger ? j : best;
        value = larger ? x[j] : value;
    }
    return best;
}

static int any_nan(const real *x, ptrdiff_t n)
{
    int nan = 0;
    for (ptrdiff_t j = 0; j < n; j++)
        nan |= x[j] != x[j];
    return nan;
}

/* The predicted class is the largest output. */
static int is_correct(const real *output, const real *t, ptrdiff_t n)
{
    const int same = n <= LINE ? argmax_short(output, n) == argmax_short(t, n) : argmax(output, n) == argmax(t, n);
    return same && !any_nan(output, n);
}

/* No lane is NaN. */
INLINE ivec ordered(vec a) { return v_less(a, v_set1(1)) | v_less(v_set1(0), a); }

/* Lane r = argmax of row r of a block of short rows, -1 if the row has a NaN. */
INLINE vec argmax_across(const real *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    columns c;
    to_columns(c, x, rows, n, ld);
    vec value = v_set1(-INF), best = v_set1(0);
    ivec numbers = ordered(best);
    for (ptrdiff_t j = 0; j < n; j++) {
        const vec next = v_load(c + j * LANES);
        const ivec larger = v_less(value, next);
        value = v_select(larger, next, value);
        best = v_select(larger, v_set1((real)j), best);
        numbers = numbers & ordered(next);
    }
    return v_select(numbers, best, v_set1(-1));
}

/* Not inlined: its caller's frame would have room for the columns even for single rows. */
static __attribute__((noinline)) void correct_across(uint8_t *correct, const real *output, const real *t, ptrdiff_t rows,
                                                     ptrdiff_t n, ptrdiff_t ld)
{
    real predicted[LANES], wanted[LANES];
    v_store(predicted, argmax_across(output, rows, n, ld));
    v_store(wanted, argmax_across(t, rows, n, ld));
    for (ptrdiff_t r = 0; r < rows; r++)
        correct[r] = predicted[r] == wanted[r];
}

/* For targets of one class a row. */
static void correct_rows(uint8_t *correct, const real *output, const real *t, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t first = 0; first < batch; first += LANES) {
        const ptrdiff_t rows = smaller(batch - first, LANES);
        if (fits_across(rows, n))
            correct_across(correct + first, output + first * ld, t + first * ld, rows, n, ld);
        else
            for (ptrdiff_t b = first; b < first + rows; b++)
                correct[b] = (uint8_t)is_correct(output + b * ld, t + b * ld, n);
    }
}

/* For yes-or-no outputs: a row is correct if every output is above `half` just where its target is above one half. */
static void correct_side_rows(uint8_t *correct, const real *output, const real *t, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld,
                              real half)
{
    for (ptrdiff_t b = 0; b < batch; b++, output += ld, t += ld) {
        int right = 1;
        for (ptrdiff_t j = 0; j < n; j++)
            right &= t[j] > (real)0.5 ? output[j] > half : output[j] <= half;
        correct[b] = (uint8_t)right;
    }
}

/* For targets -1 and 1: a row is correct if every output has the sign of its target; zero has none. */
static void correct_sign_rows(uint8_t *correct, const real *z, const real *t, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t b = 0; b < batch; b++, z += ld, t += ld) {
        int right = 1;
        for (ptrdiff_t j = 0; j < n; j++)
            right &= t[j] * z[j] > 0;
        correct[b] = (uint8_t)right;
    }
}

#endif
