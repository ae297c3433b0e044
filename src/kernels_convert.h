/* kernels_convert.h: rows of any type of number become rows of real, centred and scaled on the way.
 *
 * The compiler vectorizes these loops: no element depends on another, so the bits are those of scalar code. */
#ifndef FBP_KERNELS_CONVERT_H
#define FBP_KERNELS_CONVERT_H

#include "kernels_lines.h"
#include "kernels_set.h"
#include "vec.h"

#include <assert.h>

/* One row. With a mean the arithmetic is in double and the result is rounded once; without, numbers are converted directly. */
#define CONVERT_ROW(NAME, name, type)                                                               \
    static void convert_row_##name(real *restrict out, const void *x_, const double *restrict mean, \
                                   const double *restrict scale, ptrdiff_t n)                       \
    {                                                                                               \
        const type *restrict x = x_;                                                                \
        if (mean)                                                                                   \
            for (ptrdiff_t j = 0; j < n; j++)                                                       \
                out[j] = (real)(((double)x[j] - mean[j]) * scale[j]);                               \
        else                                                                                        \
            for (ptrdiff_t j = 0; j < n; j++)                                                       \
                out[j] = (real)x[j];                                                                \
    }
FBP_NUMBERS(CONVERT_ROW)
#undef CONVERT_ROW

#define CONVERSION(NAME, name, type) {sizeof(type), convert_row_##name},
static const struct {
    ptrdiff_t item;
    void (*row)(real *restrict out, const void *x, const double *restrict mean, const double *restrict scale, ptrdiff_t n);
} CONVERSIONS[FBP_N_NUMBERS] = {FBP_NUMBERS(CONVERSION)};
#undef CONVERSION

/* Element i of an array of int64 or int32 that another thread may change. */
INLINE int64_t index_at(const void *array, ptrdiff_t i, fbp_number type)
{
    return type == FBP_INT64 ? __atomic_load_n((const int64_t *)array + i, __ATOMIC_RELAXED)
                             : __atomic_load_n((const int32_t *)array + i, __ATOMIC_RELAXED);
}

/* The numbers `first` to end - 1 of a sparse matrix, all of one row: each into its column of `out`, or with `column` one after
 * the other, and their columns. Returns how many they are. */
#define SPARSE_ROW(NAME, name, type)                                                                                     \
    static ptrdiff_t sparse_row_##name(real *restrict out, int32_t *restrict column, const fbp_rows *x, ptrdiff_t first, \
                                       ptrdiff_t end)                                                                    \
    {                                                                                                                    \
        const type *data = x->data;                                                                                      \
        ptrdiff_t count = 0;                                                                                             \
        for (ptrdiff_t k = first; k < end; k++) {                                                                        \
            const int64_t j = index_at(x->columns, k, x->index);                                                         \
            if ((uint64_t)j >= (uint64_t)x->n)                                                                           \
                continue;                                                                                                \
            out[column ? count : j] = x->mean ? (real)(((double)data[k] - x->mean[j]) * x->scale[j]) : (real)data[k];    \
            if (column)                                                                                                  \
                column[count] = (int32_t)j;                                                                              \
            count++;                                                                                                     \
        }                                                                                                                \
        return count;                                                                                                    \
    }
FBP_NUMBERS(SPARSE_ROW)
#undef SPARSE_ROW

#define SPARSE(NAME, name, type) sparse_row_##name,
static ptrdiff_t (*const SPARSE_ROWS[FBP_N_NUMBERS])(real *restrict out, int32_t *restrict column, const fbp_rows *x,
                                                     ptrdiff_t first, ptrdiff_t end) = {FBP_NUMBERS(SPARSE)};
#undef SPARSE

/* The first number of a row, and the end of its numbers. */
typedef struct {
    ptrdiff_t first, end;
} span;

INLINE span span_of_row(const fbp_rows *x, ptrdiff_t row)
{
    const int64_t first = index_at(x->starts, row, x->index), end = index_at(x->starts, row + 1, x->index);
    return (span){first < 0 ? 0 : (ptrdiff_t)first, end > x->n_values ? x->n_values : (ptrdiff_t)end};
}

enum { ROWS_AHEAD = 4 }; /* sparse rows are short, and scattered in memory */

/* Prefetches the numbers of a row. */
static void fetch_row(const fbp_rows *x, ptrdiff_t row)
{
    const ptrdiff_t item = CONVERSIONS[x->type].item, index = x->index == FBP_INT64 ? 8 : 4;
    const span s = span_of_row(x, row);
    for (ptrdiff_t at = s.first * item; at < s.end * item; at += FBP_LINE_BYTES)
        __builtin_prefetch((const char *)x->data + at);
    for (ptrdiff_t at = s.first * index; at < s.end * index; at += FBP_LINE_BYTES)
        __builtin_prefetch((const char *)x->columns + at);
}

void KERNEL(sparse_rows)(const fbp_sparse *out, const fbp_rows *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows)
{
    ptrdiff_t count = 0;
    assert(x->type < FBP_N_NUMBERS && x->starts);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const ptrdiff_t at = first + i, next = first + smaller(i + ROWS_AHEAD, rows - 1);
        span s = span_of_row(x, order ? order[at] : at);
        fetch_row(x, order ? order[next] : next);
        out->start[i] = count;
        if (s.end - s.first > out->room - count)
            s.end = s.first + out->room - count;
        count += SPARSE_ROWS[x->type]((real *)out->value + count, out->column + count, x, s.first, s.end);
    }
    out->start[rows] = count;
}

/* The same with their zeros, which a map may make other numbers. */
static void rows_with_zeros(real *out, const fbp_rows *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t ld)
{
    for (ptrdiff_t i = 0; i < rows; i++, out += ld) {
        const span s = span_of_row(x, order ? order[first + i] : first + i);
        for (ptrdiff_t j = 0; j < x->n; j++)
            out[j] = x->mean ? (real)((0 - x->mean[j]) * x->scale[j]) : 0;
        SPARSE_ROWS[x->type](out, NULL, x, s.first, s.end);
    }
}

/* Rows are fetched two ahead, as in gather_rows. */
void KERNEL(convert_rows)(void *out_, const fbp_rows *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t ld)
{
    const ptrdiff_t bytes = x->n * CONVERSIONS[x->type].item;
    real *out = out_;
    assert(x->type < FBP_N_NUMBERS && !x->mean == !x->scale);
    if (x->starts) {
        rows_with_zeros(out, x, order, first, rows, ld);
        return;
    }
    if (!order && !x->mean && ld == x->n) { /* one call for all: rows may be of one number */
        CONVERSIONS[x->type].row(out, (const char *)x->data + first * bytes, NULL, NULL, rows * ld);
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++, out += ld) {
        const ptrdiff_t later = first + (i + 2 < rows ? i + 2 : i);
        const char *ahead = (const char *)x->data + (order ? order[later] : later) * bytes;
        for (ptrdiff_t at = 0; at < bytes; at += FBP_LINE_BYTES)
            __builtin_prefetch(ahead + at);
        CONVERSIONS[x->type].row(out, (const char *)x->data + (order ? order[first + i] : first + i) * bytes, x->mean, x->scale,
                                 x->n);
    }
}

#endif
