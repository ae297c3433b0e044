/* kernels_scale.h: a factor in double, as the kernels multiply by it. */
#ifndef FBP_KERNELS_SCALE_H
#define FBP_KERNELS_SCALE_H

#include "vec.h"

static const real SMALLEST_NORMAL = FBP_REAL_BITS == 32 ? (real)0x1p-126 : (real)0x1p-1022;

/* The factor scale, 0 <= scale <= 1, as a number to multiply by; what then remains to multiply by, 1 unless the factor is below
 * the normal numbers, which it is for a gradient or weight near the largest float. */
INLINE real scale_factor(double scale, real *rest)
{
    const int small = scale < (double)SMALLEST_NORMAL;
    *rest = small ? (real)(scale / (double)SMALLEST_NORMAL) : 1;
    return small ? SMALLEST_NORMAL : (real)scale;
}

#endif
