/* kernels_stream.h: the dense layer for batches of up to FBP_FOLD_ROWS rows, forward. Reading the weights is most of its
 * cost. */
#ifndef FBP_KERNELS_STREAM_H
#define FBP_KERNELS_STREAM_H

#include "fbp.h"
#include "kernels_activations.h"
#include "kernels_lines.h"
#include "kernels_set.h"
#include "kernels_tile.h"
#include "vec.h"

#include <assert.h>

ptrdiff_t KERNEL(active_rows)(int32_t *index, const void *x_, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t ldx)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t k = 0; k < n_in; k += LINE) {
        ireal any[LINE] = {0};
        for (ptrdiff_t b = 0; b < batch; b++)
            for (int i = 0; i < LINE; i++) {
                ireal bits;
                memcpy(&bits, (const real *)x_ + b * ldx + k + i, sizeof bits);
                any[i] |= bits & ~SIGN_BIT; /* -0 is 0 */
            }
#pragma GCC unroll 16
        for (int i = 0; i < LINE; i++) {
            /* always written, sometimes overwritten: a branch would be mispredicted too often */
            index[count] = (int32_t)(k + i);
            count += any[i] != 0;
        }
    }
    return count;
}

void KERNEL(stream_forward)(void *y_, void *slope_, const void *x, const void *w_, const void *b_, const int32_t *index,
                            ptrdiff_t n_index, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx, ptrdiff_t ldw,
                            fbp_activation activation)
{
    real *y = y_, *slope = slope_;
    const real *w = w_, *b = b_;
    assert(batch <= FBP_FOLD_ROWS && activation.code <= FBP_SAVED_SLOPE);
    for (ptrdiff_t v = 0, total = vecs_of(n_out), width; v < total; v += width) {
        const ptrdiff_t j = v * LANES;
        width = panel_vecs(batch, total - v);
        const fbp_part part = {x, w + j, n_index};
        tile t = {.out = y + j,
                  .init = b + j,
                  .parts = &part,
                  .n_parts = 1,
                  .index = index,
                  .ld_out = ldy,
                  .ld_init = 0,
                  .a_row = ldx,
                  .a_depth = 1,
                  .ldb = ldw,
                  .ld_ahead = ldw};
        for (ptrdiff_t r = 0, height; r < batch; r += height) {
            height = tile_rows(batch - r, width);
            (index ? tile_listed : tile_by_row)(&t, height, width);
            t.out += height * ldy;
            t.a_at += height * ldx;
        }
        if (activation.code != FBP_LINEAR || slope)
            activate_panel(y + j, slope ? slope + j : NULL, ldy, batch, width, n_out - j, activation);
    }
    if (activation.code == FBP_SOFTMAX)
        softmax_rows(y, batch, n_out, ldy);
}

#endif
