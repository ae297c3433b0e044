/* fbp_table.h: the kernels of one dtype and one ISA, and how dispatch.c finds them.
 *
 * Argument order: outputs, inputs, sizes, leading dimensions, scalars. `real` stands for the table's dtype, behind void *
 * because a caller is the same code for both. Every padded array has rows of `ld` elements, ld a multiple of 64 bytes, with
 * zeros from n_out (or n_in) up to the end of the last used 64-byte line; the kernels keep those zeros.
 *
 * Kernels return nothing and check nothing: sizes, ranges and finiteness are the business of the floors above.
 */
#ifndef FBP_TABLE_H
#define FBP_TABLE_H

#include "fbp_codes.h"
#include "fbp_dropout.h"
#include "fbp_rows.h"
#include "fbp_update.h"

#include <stddef.h>
#include <stdint.h>

/* Consecutive rows of a batch: inputs and deltas of one layer. */
typedef struct {
    const void *x, *dy;
    ptrdiff_t rows;
} fbp_part;

/* Rows x[order[row]][n] (x[row] without an order), row .. end - 1, that will be gathered next: a kernel with loads to spare
 * fetches them from memory and moves on `row` and `done`, the elements fetched of that row. */
typedef struct {
    const void *x;
    const int64_t *order;
    ptrdiff_t row, end, n, done;
} fbp_coming;

/* One dtype on one ISA. */
typedef struct {
    const char *isa;
    fbp_dtype dtype;
    size_t item; /* sizeof(real) */

    /* y[batch][ldy] = f(x[batch][ldx] . w[n_in][ldw] + b[n_out]); x needs neither alignment nor padding.
     * slope[batch][ldy] = f' of the same (NULL: not wanted), for the activations that are element-wise. */
    void (*dense_forward)(void *y, void *slope, const void *x, const void *w, const void *b, ptrdiff_t batch,
                          ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx, ptrdiff_t ldw,
                          fbp_activation activation);

    /* dx[batch][ldx] = (dy[batch][ldy] . w^T) * f'(x[batch][ldx]): x is the lower layer's output and f its activation, or
     * FBP_KEPT and x its slope.
     * batch alone (against FBP_FOLD_ROWS) chooses the order of the sum; `rows` <= batch of them are computed here.
     * scratch: fbp_delta_scratch(n_out, rows) elements of real. */
    void (*dense_delta)(void *dx, const void *dy, const void *w, const void *x, void *scratch, ptrdiff_t batch,
                        ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw,
                        fbp_activation activation);

    /* g[rows][n] = x^T . dy, the gradient of a block of a weight: `parts` are the batch in pieces, ascending, x and dy
     * pointing at the block's first input unit and column; n whole 64-byte lines. w[rows][ldw], the block itself, and the
     * `coming` rows (NULL: none) are only fetched. scratch: fbp_update_scratch(batch) elements of real. */
    void (*dense_gradient)(void *g, void *scratch, const fbp_part *parts, ptrdiff_t n_parts, const void *w,
                           ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw, fbp_coming *coming);

    /* g[n] = column sums of dy, in the order of dense_gradient. */
    void (*bias_gradient)(void *g, void *scratch, const fbp_part *parts, ptrdiff_t n_parts, ptrdiff_t n, ptrdiff_t ldy);

    /* w[rows][ldw] and its state of the same shape, updated by g[rows][n]. */
    void (*apply_gradient)(void *w, fbp_state state, const void *g, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                           const fbp_update *update);

    /* out[n] = sums of the squares of the columns of a[rows][ld], rows ascending. */
    void (*column_squares)(double *out, const void *a, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld);

    /* Columns of w[rows][ldw] whose norm is above the limit, scaled down to it; squares[n_sums][ld_sums] add up to the square
     * of the norms of the whole columns. */
    void (*limit_columns)(void *w, const double *squares, ptrdiff_t n_sums, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                          ptrdiff_t ld_sums, double max_norm);

    /* Streaming, for batches of up to FBP_FOLD_ROWS rows: each weight is read, used for the delta, updated and written in one
     * pass, and weight rows whose input is zero in the whole batch are left out.
     *
     * index[n_in + 1]: the k with x[b][k] != 0 for some b, ascending; returns how many. Leaving the others out of a forward sum
     * is exact while their weights are finite, out of an update if the rule is SGD without penalties. */
    ptrdiff_t (*active_rows)(int32_t *index, const void *x, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t ldx);

    /* dense_forward over the listed inputs only; without an index, over the first n_index, which is faster. */
    void (*stream_forward)(void *y, void *slope, const void *x, const void *w, const void *b, const int32_t *index,
                           ptrdiff_t n_index, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx,
                           ptrdiff_t ldw, fbp_activation activation);

    /* dL/dx before any f' at the listed inputs (dx NULL: not wanted), then the listed rows of w, b (NULL: not wanted) and their
     * states updated. */
    void (*stream_backward)(void *dx, void *w, void *b, fbp_state w_state, fbp_state b_state, const void *x, const void *dy,
                            const int32_t *index, ptrdiff_t n_index, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t n_out,
                            ptrdiff_t ldw, ptrdiff_t ldx, ptrdiff_t ldy, const fbp_update *update);

    /* dx[batch][ld] from dL/dy to dL/dz of the layer whose output is x: what dense_delta does last. */
    void (*activation_delta)(void *dx, const void *x, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld,
                             fbp_activation activation);

    /* y[rows][ldy] from z[rows][ldz], `pieces` of n units side by side, each in whole 64-byte lines. A product has two pieces, a
     * and b, and gives a * f(b), f element-wise. */
    void (*gate_forward)(void *y, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces, ptrdiff_t ldy,
                         ptrdiff_t ldz, fbp_gate gate, fbp_activation activation);

    /* dz = dL/dz from dy = dL/dy and z; of equal pieces of a maxout the first has the gradient. */
    void (*gate_delta)(void *dz, const void *dy, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces,
                       ptrdiff_t ldy, ptrdiff_t ldz, fbp_gate gate, fbp_activation activation);

    /* out[rows][n] = a + b; none of them needs alignment or padding, out may be a or b. */
    void (*add_rows)(void *out, const void *a, const void *b, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldo, ptrdiff_t lda,
                     ptrdiff_t ldb);

    /* out[rows][ld] = x[order[i]][n], or x[first + i] without an order; x needs neither alignment nor padding. */
    void (*gather_rows)(void *out, const void *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t n,
                        ptrdiff_t ld);

    /* The same from rows of any type of number, centred and scaled in double and rounded once. */
    void (*convert_rows)(void *out, const fbp_rows *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t ld);

    /* out[rows][ld] = 1 at labels[order[i]], 0 elsewhere; 0 if a label is not in 0 .. n-1, whose row is then all zero. */
    int (*one_hot_rows)(void *out, const int64_t *labels, const int64_t *order, ptrdiff_t first, ptrdiff_t rows,
                        ptrdiff_t n, ptrdiff_t ld);

    /* target[rows][ld] = (1 - smoothing) target + smoothing / n in the first n columns: labels smoothed. */
    void (*smooth_rows)(void *target, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, double smoothing);

    /* delta[batch][ld] = scale * dL/dz, row_loss[batch] = L of each row, hit[batch] = predicted class is the target's.
     * output[batch][ld] is the output layer's y, or its z where fbp_loss_from_logits says so; target[batch][ld];
     * slope[batch][ld] is f' of the output layer where fbp_needs_slope says so, else NULL; without it only the delta is of no
     * use. hit may be NULL. parameter: delta of huber, q of quantile, margin of the hinges; of perceptron 0 for targets -1 and 1,
     * 1 for targets 0 and 1; the others have none. The targets of `given` are dL/dy, and its row losses are 0. */
    void (*loss_delta)(void *delta, double *row_loss, uint8_t *hit, const void *output, const void *slope,
                       const void *target, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ld, fbp_loss loss, fbp_activation activation,
                       double scale, double parameter);

    /* delta[rows][ld] and row_loss[rows] times weights[rows] of the rows. */
    void (*weigh_rows)(void *delta, double *row_loss, const double *weights, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld);

    /* y[rows][ld] and slope[rows][ld], its f', each times 0 with the chance `rate`, else times 1 / (1 - rate). */
    void (*drop_units)(void *y, void *slope, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fbp_dropout *dropout);

    /* z[n] = f(z[n]) in place, element-wise activations only; n a whole number of 64-byte lines. */
    void (*activate)(void *z, ptrdiff_t n, fbp_activation activation);

    /* y[n] = f(x[n]); n a whole number of 64-byte lines; y may be x. */
    void (*elementary)(void *y, const void *x, ptrdiff_t n, fbp_function function);

    /* 1 if every one of x[n] is finite, else 0; x needs no alignment. */
    int (*all_finite)(const void *x, ptrdiff_t n);

    /* Independent FMA chains in registers, `rounds` times over: returns the floating point operations done. */
    double (*fma_probe)(void *sink, ptrdiff_t rounds);
} fbp_kernels;

/* Kernel sets: fbp_isa_name(0) is the best; NULL past the last one. A set that this machine cannot run has no kernels. */
const char *fbp_isa_name(int index);
const fbp_kernels *fbp_find_kernels(const char *isa, fbp_dtype dtype);

#endif
