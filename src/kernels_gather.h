/* kernels_gather.h: the rows of a batch and their targets: gathered, one-hot, smoothed, weighted. */
#ifndef FBP_KERNELS_GATHER_H
#define FBP_KERNELS_GATHER_H

#include "kernels_lines.h"
#include "kernels_set.h"
#include "vec.h"

/* Copies n elements, fewer than a line: faster than a loop. */
INLINE void copy_rest(real *out, const real *x, ptrdiff_t n)
{
#define COPY(k)                             \
    if (n & (k)) {                          \
        memcpy(out, x, (k) * sizeof(real)); \
        out += (k), x += (k);               \
    }
    COPY(8)
    COPY(4)
    COPY(2)
    COPY(1)
#undef COPY
}

/* Each row is prefetched two rows ahead: rows are scattered in memory, and end before hardware has learned to prefetch them. */
void KERNEL(gather_rows)(void *out_, const void *x_, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t n,
                         ptrdiff_t ld)
{
    real *out = out_;
    for (ptrdiff_t i = 0; i < rows; i++, out += ld) {
        const real *x = (const real *)x_ + (order ? order[first + i] : first + i) * n;
        const ptrdiff_t later = first + (i + 2 < rows ? i + 2 : i), ahead = (order ? order[later] : later) * n;
        ptrdiff_t j = 0;
        for (; j + LANES <= n; j += LANES) {
            __builtin_prefetch((const real *)x_ + ahead + j);
            v_store(out + j, v_load(x + j));
        }
        copy_rest(out + j, x + j, n - j);
    }
}

/* The labels are the caller's memory and may change during a run, so each is checked when it is used. */
int KERNEL(one_hot_rows)(void *out_, const int64_t *labels, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t n,
                         ptrdiff_t ld)
{
    real *out = out_;
    int in_range = 1;
    for (ptrdiff_t i = 0; i < rows; i++, out += ld) {
        for (ptrdiff_t j = 0; j < n; j += LANES)
            v_store(out + j, v_set1(0));
        const int64_t label = __atomic_load_n(labels + (order ? order[first + i] : first + i), __ATOMIC_RELAXED);
        if ((uint64_t)label < (uint64_t)n)
            out[label] = 1;
        else
            in_range = 0;
    }
    return in_range;
}

void KERNEL(smooth_rows)(void *target, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, double smoothing)
{
    real *t = target;
    const vec kept = v_set1((real)(1 - smoothing)), share = v_set1((real)(smoothing / (double)n));
    for (ptrdiff_t r = 0; r < rows; r++, t += ld)
        for (ptrdiff_t j = 0; j < n; j += LANES)
            v_store(t + j, v_keep(v_fma(v_load(t + j), kept, share), lanes_before(j, n)));
}

/* count / total is applied to each weight: with weights of 1 and their sum for total, the factor is exactly 1. */
void KERNEL(weigh_rows)(void *delta, double *row_loss, const double *weights, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,
                        double count, double total)
{
    real *d = delta;
    for (ptrdiff_t r = 0; r < rows; r++, d += ld) {
        const int counts = weights[r] != 0; /* else 0 is written: 0 * inf would be NaN */
        const vec weight = v_set1(counts ? (real)(weights[r] * count / total) : 0);
        row_loss[r] = counts ? row_loss[r] * weights[r] : 0;
        for (ptrdiff_t j = 0; j < n; j += LANES)
            v_store(d + j, counts ? v_load(d + j) * weight : weight);
    }
}

#endif
