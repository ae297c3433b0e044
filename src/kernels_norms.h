/* kernels_norms.h: the squares of columns, for limits on norms; whether all numbers are finite, and the largest. */
#ifndef FBP_KERNELS_NORMS_H
#define FBP_KERNELS_NORMS_H

#include "kernels_scale.h"
#include "kernels_set.h"
#include "vec.h"

#include <assert.h>

/* Minus the square root of the norm of a column whose squares leave the range of double; the sum itself if all are zero. */
INLINE double root_of_norm(const real *a, ptrdiff_t rows, ptrdiff_t ld)
{
    double largest = 0, sum = 0;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const double size = __builtin_fabs((double)a[r * ld]);
        largest = largest < size ? size : largest;
    }
    for (ptrdiff_t r = 0; largest > 0 && r < rows; r++)
        sum += a[r * ld] / largest * (a[r * ld] / largest);
    return 0 - __builtin_sqrt(largest) * __builtin_sqrt(__builtin_sqrt(sum));
}

/* In double, where the square of a float is exact. The sum of a column is one chain over its rows, whatever the width of
 * vectors. */
void KERNEL(column_squares)(double *out, const void *a, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    memset(out, 0, (size_t)n * sizeof *out);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j++) {
            const double value = ((const real *)a)[r * ld + j];
            out[j] += value * value;
        }
    for (ptrdiff_t j = 0; FBP_REAL_BITS == 64 && j < n; j++)
        if (out[j] == out[j] && !fbp_squares_hold(out[j])) /* NaN stays */
            out[j] = root_of_norm((const real *)a + j, rows, ld);
}

void KERNEL(limit_columns)(void *w_, const double *squares, ptrdiff_t n_sums, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                           ptrdiff_t ld_sums, double max_norm)
{
    assert(n % LINE == 0);
    for (ptrdiff_t j = 0; j < n; j += LINE) {
        real *w = (real *)w_ + j, factor[LINE], rest[LINE];
        int above = 0;
        for (int i = 0; i < LINE; i++) {
            const double ratio = fbp_limit_ratio(max_norm, squares + j + i, n_sums, ld_sums);
            const int over = ratio < 1;
            factor[i] = scale_factor(over ? ratio : 1, rest + i);
            above |= over;
        }
        for (ptrdiff_t r = 0; above && r < rows; r++, w += ldw)
            for (int i = 0; i < LINE; i += LANES)
                v_store(w + i, v_load(w + i) * v_load(factor + i) * v_load(rest + i));
    }
}

int KERNEL(all_finite)(const void *x, ptrdiff_t n)
{
    const real *p = x;
    /* x * 0 is 0, or NaN if x is not finite, and a sum with NaN is NaN */
    vec sum[4] = {v_set1(0), v_set1(0), v_set1(0), v_set1(0)};
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            sum[k] = v_fma(v_load(p + i + k * LANES), v_set1(0), sum[k]);
    real tail = 0, lane[LANES];
    for (; i < n; i++)
        tail += p[i] * 0;
    sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    memcpy(lane, sum, sizeof lane);
    for (int k = 0; k < LANES; k++)
        tail += lane[k];
    return tail == 0;
}

double KERNEL(largest)(const void *x, ptrdiff_t n)
{
    const real *p = x;
    /* the maximum leaves NaN out; the sum, as above, does not */
    vec most[4] = {v_set1(0), v_set1(0), v_set1(0), v_set1(0)}, sum = v_set1(0);
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            const vec a = v_load(p + i + k * LANES);
            most[k] = v_max(v_abs(a), most[k]);
            sum = v_fma(a, v_set1(0), sum);
        }
    real found = 0, zero = 0, lane[LANES];
    for (; i < n; i++) {
        const real a = p[i] < 0 ? -p[i] : p[i];
        found = a > found ? a : found;
        zero += p[i] * 0;
    }
    most[0] = v_max(v_max(most[0], most[1]), v_max(most[2], most[3]));
    memcpy(lane, most, sizeof lane);
    for (int k = 0; k < LANES; k++)
        found = lane[k] > found ? lane[k] : found;
    memcpy(lane, &sum, sizeof lane);
    for (int k = 0; k < LANES; k++)
        zero += lane[k];
    return found + zero;
}

#endif
