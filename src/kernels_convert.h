/* kernels_convert.h: rows of any type of number become rows of real, centred and scaled on the way.
 *
 * The compiler vectorizes these loops: no element depends on another, so the bits are those of scalar code. */
#ifndef FBP_KERNELS_CONVERT_H
#define FBP_KERNELS_CONVERT_H

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

/* Rows are fetched two ahead, as in gather_rows. */
void KERNEL(convert_rows)(void *out_, const fbp_rows *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t ld)
{
    const ptrdiff_t bytes = x->n * CONVERSIONS[x->type].item;
    real *out = out_;
    assert(x->type < FBP_N_NUMBERS && !x->mean == !x->scale);
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
