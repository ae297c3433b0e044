/* fbp_norm.h: sums of squares that hold norms of any size, and what scales a norm down to a limit. */
#ifndef FBP_NORM_H
#define FBP_NORM_H

#include "fbp_msvc.h"

#include <stddef.h>

/* A sum of squares in double is stored as it is if it is from FBP_LEAST_SQUARES to FBP_MOST_SQUARES, where neither an overflow
 * nor squares lost at the lower end show; else as minus the square root of the norm. Sums of squared floats are always in
 * between, or zero. */
#define FBP_LEAST_SQUARES 0x1p-900
#define FBP_MOST_SQUARES 0x1p1000

static inline int fbp_squares_hold(double sum) { return sum >= FBP_LEAST_SQUARES && sum <= FBP_MOST_SQUARES; }

/* limit / norm, the norm of all that n stored sums, `stride` apart, are of; infinite if that is zero. */
static inline double fbp_limit_ratio(double limit, const double *sums, ptrdiff_t n, ptrdiff_t stride)
{
    double total = 0, largest = 0, least = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        total += sums[i * stride];
        least = sums[i * stride] < least ? sums[i * stride] : least;
    }
    if (least == 0 && total <= FBP_MOST_SQUARES)
        return limit / __builtin_sqrt(total);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double sum = sums[i * stride], root = sum < 0 ? -sum : __builtin_sqrt(__builtin_sqrt(sum));
        largest = root > largest ? root : largest;
    }
    total = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double sum = sums[i * stride], root = sum < 0 ? -sum : __builtin_sqrt(__builtin_sqrt(sum));
        const double share = root / largest * (root / largest);
        total += share * share;
    }
    return limit / largest / largest / __builtin_sqrt(total);
}

#endif
