/* kernels_gates.h: gates, which combine the pieces of a dense layer's z, and the sum of rows.
 *
 * z[rows][ldz] holds the pieces side by side, each in whole 64-byte lines: piece p of unit j is z[p * lines_of(n) * LINE + j].
 * The padding of the results is zero if that of z and dy is. */
#ifndef FBP_KERNELS_GATES_H
#define FBP_KERNELS_GATES_H

#include "activations.h"
#include "fbp.h"
#include "kernels_lines.h"
#include "kernels_set.h"
#include "vec.h"

#include <assert.h>

/* The largest piece; not finite if any piece is not. */
INLINE vec largest_piece(const real *z, ptrdiff_t pieces, ptrdiff_t stride)
{
    vec best = v_load(z), bad = best * v_set1(0);
    for (ptrdiff_t p = 1; p < pieces; p++) {
        const vec piece = v_load(z + p * stride);
        bad = v_fma(piece, v_set1(0), bad);
        best = v_select(v_less(best, piece), piece, best);
    }
    return best + bad;
}

static void maxout_rows(real *y, const real *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces, ptrdiff_t ldy, ptrdiff_t ldz)
{
    const ptrdiff_t stride = lines_of(n) * LINE;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < stride; j += LANES)
            v_store(y + r * ldy + j, largest_piece(z + r * ldz + j, pieces, stride));
}

/* dz = dy for the first of the largest pieces, 0 for the others. */
static void maxout_delta_rows(real *dz, const real *dy, const real *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces,
                              ptrdiff_t ldy, ptrdiff_t ldz)
{
    const ptrdiff_t stride = lines_of(n) * LINE;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < stride; j += LANES) {
            const vec best = largest_piece(z + r * ldz + j, pieces, stride);
            vec left = v_load(dy + r * ldy + j);
            for (ptrdiff_t at = r * ldz + j, p = 0; p < pieces; p++, at += stride) {
                const ivec loses = v_less(v_load(z + at), best);
                v_store(dz + at, v_select(loses, v_set1(0), left));
                left = v_select(loses, left, v_set1(0));
            }
        }
}

/* y = a f(b) of two pieces. */
INLINE void product_rows(real *y, const real *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldy, ptrdiff_t ldz, vec parameter,
                         const fbp_activation_code code)
{
    const ptrdiff_t stride = lines_of(n) * LINE;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < stride; j += LANES) {
            const real *const a = z + r * ldz + j;
            v_store(y + r * ldy + j, v_load(a) * v_activation(v_load(a + stride), parameter, code));
        }
}

/* da = dy f(b), db = dy a f'(b). */
INLINE void product_delta_rows(real *dz, const real *dy, const real *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldy,
                               ptrdiff_t ldz, vec parameter, const fbp_activation_code code)
{
    const ptrdiff_t stride = lines_of(n) * LINE;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < stride; j += LANES) {
            const ptrdiff_t at = r * ldz + j;
            const vec a = v_load(z + at), b = v_load(z + at + stride), d = v_load(dy + r * ldy + j);
            const vec f = v_activation(b, parameter, code);
            v_store(dz + at, d * f);
            v_store(dz + at + stride, d * a * v_slope(f, b, parameter, code));
        }
}

void KERNEL(gate_forward)(void *y, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces, ptrdiff_t ldy, ptrdiff_t ldz,
                          fbp_gate gate, fbp_activation activation)
{
    const vec a = v_set1((real)activation.parameter);
    assert(gate < FBP_N_GATES && (gate != FBP_PRODUCT || pieces == 2));
    switch (gate) {
    case FBP_MAXOUT: maxout_rows(y, z, rows, n, pieces, ldy, ldz); break;
    case FBP_PRODUCT: WITH_ACTIVATION(activation, product_rows(y, z, rows, n, ldy, ldz, a, code)) break;
    case FBP_N_GATES: break;
    }
}

void KERNEL(gate_delta)(void *dz, const void *dy, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces, ptrdiff_t ldy,
                        ptrdiff_t ldz, fbp_gate gate, fbp_activation activation)
{
    const vec a = v_set1((real)activation.parameter);
    assert(gate < FBP_N_GATES && (gate != FBP_PRODUCT || pieces == 2));
    switch (gate) {
    case FBP_MAXOUT: maxout_delta_rows(dz, dy, z, rows, n, pieces, ldy, ldz); break;
    case FBP_PRODUCT: WITH_ACTIVATION(activation, product_delta_rows(dz, dy, z, rows, n, ldy, ldz, a, code)) break;
    case FBP_N_GATES: break;
    }
}

void KERNEL(add_rows)(void *out_, const void *a_, const void *b_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldo, ptrdiff_t lda,
                      ptrdiff_t ldb)
{
    real *out = out_;
    const real *a = a_, *b = b_;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j++)
            out[r * ldo + j] = a[r * lda + j] + b[r * ldb + j];
}

#endif
