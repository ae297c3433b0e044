/* kernels_activations.h: the activations over panels of rows, forward and backward; softmax over whole rows; dropout; the
 * elementary functions over arrays. */
#ifndef FBP_KERNELS_ACTIVATIONS_H
#define FBP_KERNELS_ACTIVATIONS_H

#include "activations.h"
#include "fbp.h"
#include "kernels_lines.h"
#include "kernels_rows.h"
#include "kernels_set.h"
#include "vec.h"

#include <assert.h>

/* z[rows][vecs] = f(z), slope = f' unless NULL. If f(0) is not 0, the lanes from `used` on are set to zero. */
INLINE void activate_rows(real *z, real *slope, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t vecs, ptrdiff_t used, vec a,
                          const fbp_activation_code code, const int zero_at_zero)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < vecs * LANES; j += LANES) {
            const ptrdiff_t at = r * ld + j;
            const vec x = v_load(z + at), y = v_activation(x, a, code);
            v_store(z + at, zero_at_zero ? y : v_keep(y, lanes_before(j, used)));
            if (slope)
                v_store(slope + at, v_slope(y, x, a, code));
        }
}

static void activate_panel(real *z, real *slope, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t vecs, ptrdiff_t used,
                           fbp_activation activation)
{
    const vec a = v_set1((real)activation.parameter);
    WITH_ACTIVATION(activation, {
        if (slope)
            activate_rows(z, slope, ld, rows, vecs, used, a, code, zero_at_zero);
        else
            activate_rows(z, NULL, ld, rows, vecs, used, a, code, zero_at_zero);
    })
}

INLINE void slope_rows(real *dx, const real *y, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t vecs, vec a,
                       const fbp_activation_code code)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = r * ld; j < r * ld + vecs * LANES; j += LANES) {
            const vec of_y = v_load(y + j);
            v_store(dx + j, v_load(dx + j) * v_slope(of_y, of_y, a, code));
        }
}

/* dx[rows][vecs] *= f'(y). */
static void slope_panel(real *dx, const real *y, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t vecs, fbp_activation activation)
{
    const vec a = v_set1((real)activation.parameter);
    WITH_ACTIVATION(activation, slope_rows(dx, y, ld, rows, vecs, a, code))
}

static void softmax_rows(real *z, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld)
{
    rows_op(z, NULL, z, z, batch, n, ld, 1, SOFTMAX);
}

/* delta = y * (g - sum(g y)), the derivative of softmax applied to g, which is delta before the call. One row at a time,
 * because the processor overlaps the fold of a row with the next row. */
static void softmax_delta_rows(real *delta, const real *y, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t b = 0; b < batch; b++, delta += ld, y += ld) {
        vec sum[LINE_VECS];
        for (int l = 0; l < LINE_VECS; l++)
            sum[l] = v_set1(0);
        FOR_LINE_VECS (j, l, n)
            sum[l] = v_fma(v_load(delta + j), v_load(y + j), sum[l]);
        const vec mean = v_set1(fold_sum(sum));
        FOR_LINE_VECS (j, l, n)
            v_store(delta + j, v_load(y + j) * (v_load(delta + j) - mean));
    }
}

/* dL/dy becomes dL/dz in place: it is multiplied by the derivative of the activation that gave y. */
void KERNEL(activation_delta)(void *delta, const void *y, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld, fbp_activation activation)
{
    if (activation.code == FBP_SOFTMAX)
        softmax_delta_rows(delta, y, batch, n, ld);
    else if (activation.code != FBP_LINEAR)
        slope_panel(delta, y, ld, batch, vecs_of(n), activation);
}

void KERNEL(activate)(void *z, ptrdiff_t n, fbp_activation activation)
{
    assert(n % LINE == 0 && activation.code != FBP_SOFTMAX);
    activate_panel(z, NULL, 0, 1, n / LANES, n, activation);
}

void KERNEL(elementary)(void *y, const void *x, ptrdiff_t n, fbp_function function)
{
#define APPLY(code, f)                                              \
    case code:                                                      \
        for (ptrdiff_t i = 0; i < n; i += LANES)                    \
            v_store((real *)y + i, f(v_load((const real *)x + i))); \
        break;
    assert(n % LINE == 0 && function < FBP_N_FUNCTIONS);
    switch (function) {
        FBP_ELEMENTARY(APPLY)
    case FBP_N_FUNCTIONS: break;
    }
#undef APPLY
}

/* ---- dropout ---- */

/* 31 random bits for each unit, from the two halves of a word that is random for each row: the rounds of a 32-bit mix, with the
 * constants that Wellons (2018) found by search, and one half mixed in between them. */
INLINE uvec random_of_units(uvec unit, uint64_t word)
{
    uvec h = unit * 0x9E3779B1u + (uint32_t)word;
    h ^= h >> 16;
    h *= 0x7FEB352Du;
    h ^= (h >> 15) ^ (uint32_t)(word >> 32);
    h *= 0x846CA68Bu;
    h ^= h >> 16;
    return h >> 1;
}

void KERNEL(drop_units)(void *y_, void *slope_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fbp_dropout *dropout)
{
    static const uint32_t ramp[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const uint32_t below = (uint32_t)(dropout->rate * 0x1p31);
    const vec scale = v_set1((real)(1 / (1 - dropout->rate)));
    real *y = y_, *slope = slope_;
    assert(0 <= dropout->rate && dropout->rate < 1);
    for (ptrdiff_t r = 0; r < rows; r++, y += ld, slope += ld) {
        const uint64_t word = fbp_random(dropout->key, (uint64_t)(dropout->row + r));
        uvec unit;
        memcpy(&unit, ramp, sizeof unit);
        unit += (uint32_t)dropout->unit;
        for (ptrdiff_t j = 0; j < vecs_of(n) * LANES; j += LANES, unit += LANES) {
            const vec factor = v_select(v_below(random_of_units(unit, word), below), v_set1(0), scale);
            v_store(y + j, v_load(y + j) * factor);
            v_store(slope + j, v_load(slope + j) * factor);
        }
    }
}

#endif
