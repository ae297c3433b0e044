/* fbp_table.h: the kernels of one dtype and one ISA, and how dispatch.c finds them.
 *
 * Argument order: outputs, inputs, sizes, leading dimensions, scalars. `real` is the table's dtype; arrays of it are
 * void *, so that callers have one body for both dtypes. A padded array has rows of `ld` elements, a multiple of 64 bytes, and
 * zeros from n_out (or n_in) to the end of the last used 64-byte line; the kernels preserve these zeros.
 *
 * Kernels check nothing: the floors above check sizes, ranges and finiteness. Builds for tests assert shapes and codes.
 */
#ifndef FBP_TABLE_H
#define FBP_TABLE_H

#include "fbp_codes.h"
#include "fbp_dropout.h"
#include "fbp_rows.h"
#include "fbp_update.h"

#include <stddef.h>
#include <stdint.h>

/* Consecutive rows of a batch: the inputs and the deltas of one layer. */
typedef struct {
    const void *x, *dy;
    ptrdiff_t rows;
} fbp_part;

/* Rows x[order[row]][n] (x[row] without an order), row .. end - 1, that the next step will gather. A kernel with loads to spare
 * prefetches them and advances `row` and `done`, the number of elements already prefetched of that row. */
typedef struct {
    const void *x;
    const int64_t *order;
    ptrdiff_t row, end, n, done;
} fbp_prefetch;

/* The kernels of one dtype and one ISA. */
typedef struct {
    const char *isa;
    fbp_dtype dtype;
    size_t item; /* sizeof(real) */

    /* y[batch][ldy] = f(x[batch][ldx] . w[n_in][ldw] + b[n_out]); x needs neither alignment nor padding.
     * slope[batch][ldy] = f' of the same, for element-wise activations; NULL if it is not wanted. */
    void (*dense_forward)(void *y, void *slope, const void *x, const void *w, const void *b, ptrdiff_t batch, ptrdiff_t n_in,
                          ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx, ptrdiff_t ldw, fbp_activation activation);

    /* dx[rows][ldx] = (dy[rows][ldy] . w^T) * f'(x[rows][ldx]), some rows of a batch. x is the output of the layer below and f
     * its activation; with FBP_SAVED_SLOPE x is f' itself. `batch` decides the order of the sum: up to FBP_FOLD_ROWS it is
     * folded. scratch: fbp_delta_scratch(n_out, rows) elements of real. */
    void (*dense_delta)(void *dx, const void *dy, const void *w, const void *x, void *scratch, ptrdiff_t batch, ptrdiff_t rows,
                        ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw,
                        fbp_activation activation);

    /* g[rows][n] = x^T . dy, the gradient of a block of a weight. `parts` are the batch in ascending order; their x and dy
     * point at the first input unit and the first column of the block. n is whole 64-byte lines. The block w[rows][ldw] and the
     * rows of `prefetch` (NULL: none) are only prefetched. scratch: fbp_update_scratch(batch) elements of real. */
    void (*dense_gradient)(void *g, void *scratch, const fbp_part *parts, ptrdiff_t n_parts, const void *w, ptrdiff_t rows,
                           ptrdiff_t n, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw, fbp_prefetch *prefetch);

    /* g[n] = sums of the columns of dy, in the order of dense_gradient. */
    void (*bias_gradient)(void *g, void *scratch, const fbp_part *parts, ptrdiff_t n_parts, ptrdiff_t n, ptrdiff_t ldy);

    /* Updates w[rows][ldw] and its state, of the same shape, by g[rows][n]. */
    void (*apply_gradient)(void *w, fbp_state state, const void *g, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                           const fbp_update *update);

    /* out[n] = sums of the squares of the columns of a[rows][ld], rows ascending, stored as fbp_norm.h has it. */
    void (*column_squares)(double *out, const void *a, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld);

    /* Scales the columns of w[rows][ldw] whose norm is above max_norm down to it. The rows of squares[n_sums][ld_sums] add up
     * to the squared norms of the whole columns, of which w may be a part. */
    void (*limit_columns)(void *w, const double *squares, ptrdiff_t n_sums, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                          ptrdiff_t ld_sums, double max_norm);

    /* Streaming, for batches of up to FBP_FOLD_ROWS rows: one pass reads each weight, uses it for the delta, updates and writes
     * it, and skips weight rows whose input is zero in the whole batch.
     *
     * index[n_in + 1] = the k with x[b][k] != 0 for some b, ascending; returns their number. To skip the others is exact in a
     * forward sum while their weights are finite, and in an update if the rule is SGD without penalties. */
    ptrdiff_t (*active_rows)(int32_t *index, const void *x, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t ldx);

    /* dense_forward over the inputs in index[n_index]; index NULL: over the first n_index inputs, which is faster. */
    void (*stream_forward)(void *y, void *slope, const void *x, const void *w, const void *b, const int32_t *index,
                           ptrdiff_t n_index, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx, ptrdiff_t ldw,
                           fbp_activation activation);

    /* For the inputs in index[n_index]: dx = dL/dx, not yet times f' (NULL if it is not wanted), and then the update of their
     * rows of w, of b (NULL if another thread updates it) and of their states. */
    void (*stream_backward)(void *dx, void *w, void *b, fbp_state w_state, fbp_state b_state, const void *x, const void *dy,
                            const int32_t *index, ptrdiff_t n_index, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t n_out,
                            ptrdiff_t ldw, ptrdiff_t ldx, ptrdiff_t ldy, const fbp_update *update);

    /* Turns dx[batch][ld] from dL/dy into dL/dz of the layer with the output x, the last step of dense_delta. */
    void (*activation_delta)(void *dx, const void *x, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld, fbp_activation activation);

    /* y[rows][ldy] from z[rows][ldz], which has `pieces` of n units side by side, each padded to whole 64-byte lines. A product
     * has two pieces, a and b, and y = a * f(b) with an element-wise f. */
    void (*gate_forward)(void *y, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces, ptrdiff_t ldy, ptrdiff_t ldz,
                         fbp_gate gate, fbp_activation activation);

    /* dz = dL/dz from dy = dL/dy and z. If several pieces of a maxout are the largest, the first has the gradient. */
    void (*gate_delta)(void *dz, const void *dy, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t pieces, ptrdiff_t ldy,
                       ptrdiff_t ldz, fbp_gate gate, fbp_activation activation);

    /* out[rows][n] = a + b. None of them needs alignment or padding; out may be a or b. */
    void (*add_rows)(void *out, const void *a, const void *b, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldo, ptrdiff_t lda,
                     ptrdiff_t ldb);

    /* out[rows][ld] = the rows x[order[first + i]][n], or x[first + i] without an order. x needs no alignment or padding. */
    void (*gather_rows)(void *out, const void *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t n,
                        ptrdiff_t ld);

    /* The same from rows of any type of number, which are centred and scaled in double and rounded once. */
    void (*convert_rows)(void *out, const fbp_rows *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t ld);

    /* The same rows, sparse, without their zeros; what has no room in `out` is left out. */
    void (*sparse_rows)(const fbp_sparse *out, const fbp_rows *x, const int64_t *order, ptrdiff_t first, ptrdiff_t rows);

    /* dense_forward of sparse rows: the weights of a row's zeros are left out, which is exact while they are finite, but for
     * the sign of a sum that is zero. */
    void (*sparse_forward)(void *y, void *slope, const fbp_sparse *x, const void *w, const void *b, ptrdiff_t rows,
                           ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldw, fbp_activation activation);

    /* The numbers of a batch by feature. `parts` has `rows` rows in each but the last, `batch` in all; their columns are lost.
     */
    void (*by_feature)(fbp_features *out, const fbp_sparse *parts, ptrdiff_t batch, ptrdiff_t rows);

    /* g[rows][n] = the gradient of a block of a weight as in dense_gradient, of rows from `first` and columns from `column` on.
     * dy[batch] are rows of deltas. */
    void (*sparse_gradient)(void *g, const fbp_features *x, const void *const *dy, ptrdiff_t first, ptrdiff_t column,
                            ptrdiff_t rows, ptrdiff_t n);

    /* The same and apply_gradient for the rows of w[][ldw] that have a feature: those of the block's
     * n columns, at which w and its state already point. */
    void (*sparse_update)(void *w, fbp_state state, const fbp_features *x, const void *const *dy, ptrdiff_t column, ptrdiff_t n,
                          ptrdiff_t ldw, const fbp_update *update);

    /* out[rows][ld] = 1 at labels[order[first + i]], 0 elsewhere. Returns whether all labels are in 0 .. n-1; the row of
     * another label is all zero. */
    int (*one_hot_rows)(void *out, const int64_t *labels, const int64_t *order, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t n,
                        ptrdiff_t ld);

    /* Label smoothing: target[rows][ld] = (1 - smoothing) * target + smoothing / n in the first n columns. */
    void (*smooth_rows)(void *target, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, double smoothing);

    /* delta[batch][ld] = scale * dL/dz, row_loss[batch] = L of each row, correct[batch] = is the row right? (NULL if that is
     * not wanted.) A row is right if its largest output is the class; for targets -1 and 1 of hinge and perceptron if every
     * output has the sign of its target; for one output, for targets 0 and 1 of perceptron, and for binary_cross_entropy unless
     * the targets are `classes`, one for each row, if every output is on the right side of one half. A NaN among the outputs is
     * never right. output[batch][ld] is y of the output layer, or z if fbp_loss_from_logits. slope[batch][ld] is f' of the
     * output layer if fbp_needs_slope, else NULL; a caller that has no use for delta may leave it out. parameter: delta of
     * huber, q of quantile, margin of the hinges; of perceptron 0 for targets -1 and 1, 1 for targets 0 and 1; the other losses
     * have none. The targets of a custom loss are dL/dy, and its row losses are 0. */
    void (*loss_delta)(void *delta, double *row_loss, uint8_t *correct, const void *output, const void *slope,
                       const void *target, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ld, fbp_loss loss,
                       fbp_activation activation, double scale, double parameter, int classes);

    /* Multiplies row_loss[rows] by the weights[rows] of the rows, and delta[rows][ld] by weight * count / total. What a row of
     * weight 0 has becomes 0, also where it is not finite. */
    void (*weigh_rows)(void *delta, double *row_loss, const double *weights, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,
                       double count, double total);

    /* Multiplies each unit of y[rows][ld], and f' in slope[rows][ld], by 0 with probability `rate`, else by 1 / (1 - rate). */
    void (*drop_units)(void *y, void *slope, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fbp_dropout *dropout);

    /* z[n] = f(z[n]) in place, for element-wise activations; n is whole 64-byte lines. */
    void (*activate)(void *z, ptrdiff_t n, fbp_activation activation);

    /* y[n] = f(x[n]); n is whole 64-byte lines; y may be x. */
    void (*elementary)(void *y, const void *x, ptrdiff_t n, fbp_function function);

    /* Are all of x[n] finite? x needs no alignment. */
    int (*all_finite)(const void *x, ptrdiff_t n);

    /* The largest absolute value in x[n], NaN if any of them is not finite, 0 if n is 0. x needs no alignment. */
    double (*largest)(const void *x, ptrdiff_t n);

    /* Runs independent FMA chains in registers, `rounds` steps of each, and returns the number of floating point operations. */
    double (*fma_probe)(void *sink, ptrdiff_t rounds);
} fbp_kernels;

/* Names of the kernel sets, fastest first, NULL after the last; and the kernels of a set, NULL if this machine has no such. */
const char *fbp_isa_name(int index);
const fbp_kernels *fbp_find_kernels(const char *isa, fbp_dtype dtype);

#endif
