/* kernels_lines.h: rows padded to 64-byte lines, and folded sums over the virtual lanes of a line. */
#ifndef FBP_KERNELS_LINES_H
#define FBP_KERNELS_LINES_H

#include "vec.h"

static inline ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t lines_of(ptrdiff_t n) { return (n + LINE - 1) / LINE; }
static inline ptrdiff_t vecs_of(ptrdiff_t n) { return lines_of(n) * LINE_VECS; }

/* ---- folded sums over the 16 or 8 virtual lanes of a 64-byte line ---- */

/* part[i] + part[i + h] for h = half the parts, ..., 1. */
INLINE vec halve(vec *part, const int parts)
{
    for (int h = parts / 2; h; h /= 2)
        for (int i = 0; i < h; i++)
            part[i] = part[i] + part[i + h];
    return part[0];
}

/* The vectors of a line added up to one vector: lane i + lane i + h, for each h that is a whole number of vectors. */
INLINE vec halve_line(vec *line) { return halve(line, LINE_VECS); }

/* The sum of a line's lanes: lane i + lane i + h for h = half the line, ..., 1. */
INLINE real fold_sum(vec *line)
{
    vec t[LANES] = {halve_line(line)};
#pragma GCC unroll 16
    for (int i = 1; i < LANES; i++)
        t[i] = t[0];
    t[0] = v_fold_sums(t);
    real lane[LANES];
    v_store(lane, t[0]);
    return lane[0];
}

/* Loops over the vectors of a padded row of n elements; j is the element, l the place of the vector in its line. */
#define FOR_LINE_VECS(j, l, n)                     \
    for (ptrdiff_t j = 0; j < lines_of(n) * LINE;) \
        for (int l = 0; l < LINE_VECS; l++, j += LANES)

/* Lanes of the vector at element j that lie before n: 0 .. LANES. */
INLINE ptrdiff_t lanes_before(ptrdiff_t j, ptrdiff_t n)
{
    const ptrdiff_t left = n - j;
    return left < 0 ? 0 : smaller(left, LANES);
}

/* a[n] . b[n] of padded rows, as a vector whose lanes are still to be folded. */
INLINE vec line_dot(const real *a, const real *b, ptrdiff_t n)
{
    vec sum[LINE_VECS];
#pragma GCC unroll 16
    for (int l = 0; l < LINE_VECS; l++)
        sum[l] = v_set1(0);
    FOR_LINE_VECS (j, l, n)
        sum[l] = v_fma(v_load(a + j), v_load(b + j), sum[l]);
    return halve_line(sum);
}

#endif
