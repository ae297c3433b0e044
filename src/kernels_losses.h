/* kernels_losses.h: the losses and their deltas. */
#ifndef FBP_KERNELS_LOSSES_H
#define FBP_KERNELS_LOSSES_H

#include "activations.h"
#include "fbp.h"
#include "kernels_correct.h"
#include "kernels_lines.h"
#include "kernels_rows.h"
#include "kernels_set.h"
#include "vec.h"

#include <assert.h>

/* squared_error: factor 1/2; mse: factor 1/n. L = factor * sum (y - t)^2, dL/dy = 2 factor (y - t). */
static void squared_rows(real *delta, double *row_loss, const real *y, const real *t, ptrdiff_t batch, ptrdiff_t n,
                         ptrdiff_t ld, real factor, real scale)
{
    const vec slope = v_set1(2 * factor * scale);
    for (ptrdiff_t b = 0; b < batch; b++, delta += ld, y += ld, t += ld) {
        vec sum[LINE_VECS];
        for (int l = 0; l < LINE_VECS; l++)
            sum[l] = v_set1(0);
        FOR_LINE_VECS (j, l, n) {
            const vec d = v_load(y + j) - v_load(t + j);
            sum[l] = v_fma(d, d, sum[l]);
            v_store(delta + j, slope * d);
        }
        row_loss[b] = factor * fold_sum(sum);
    }
}

/* ---- losses that are a sum over the outputs of a term in y and t ---- */

typedef struct {
    vec loss, slope; /* slope is dL/dy, or dL/dz of a loss of logits */
} term;

/* |y - t|. At y = t its slope is 0, the middle of the subgradients. */
INLINE term mae_term(vec y, vec t, vec parameter)
{
    (void)parameter;
    const vec d = y - t, zero = v_set1(0);
    return (term){v_abs(d), v_select(v_less(zero, d), v_set1(1), v_select(v_less(d, zero), v_set1(-1), zero))};
}

/* d^2 / 2 up to |d| = delta, linear beyond: c (d - c/2), which cannot overflow, c being d limited to -delta .. delta. */
INLINE term huber_term(vec y, vec t, vec delta)
{
    const vec d = y - t, low = v_select(v_less(delta, d), delta, d), c = v_select(v_less(low, -delta), -delta, low);
    return (term){c * v_fma(v_set1((real)-0.5), c, d), c};
}

/* q (t - y) below the target, (1 - q) (y - t) above it. */
INLINE term quantile_term(vec y, vec t, vec q)
{
    const vec d = y - t, zero = v_set1(0), rest = v_set1(1) - q;
    const ivec below = v_less(d, zero);
    return (term){v_select(below, -q, rest) * d, v_select(below, -q, v_select(v_less(zero, d), rest, zero))};
}

/* e^z - t z: -log of the likelihood of t at the rate e^z, without its constant. */
INLINE term poisson_term(vec z, vec t, vec parameter)
{
    (void)parameter;
    const vec rate = v_exp(z);
    return (term){v_fma(-t, z, rate), rate - t};
}

/* max(0, margin - t z) */
INLINE term hinge_term(vec z, vec t, vec margin)
{
    const vec missing = v_fma(-t, z, margin);
    return (term){v_max(v_set1(0), missing), v_select(v_less(v_set1(0), missing), -t, v_set1(0))};
}

/* max(0, -t z), with 2t - 1 for t if the parameter is 1. z = 0 counts as a mistake. */
INLINE term perceptron_term(vec z, vec t, vec parameter)
{
    const vec sign = v_fma(t, v_set1(1) + parameter, -parameter), right = sign * z;
    return (term){v_max(v_set1(0), -right), v_select(v_less(v_set1(0), right), v_set1(0), -sign)};
}

/* L = factor * the sum of a row's terms. */
INLINE void sum_terms(real *delta, double *row_loss, const real *y, const real *t, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld,
                      real factor, real scale, real parameter, term (*term_of)(vec, vec, vec))
{
    const vec slope = v_set1(factor * scale);
    for (ptrdiff_t b = 0; b < batch; b++, delta += ld, y += ld, t += ld) {
        vec sum[LINE_VECS];
        clear(sum, ALONG);
        FOR_LINE_VECS (j, l, n) {
            const term x = term_of(v_load(y + j), v_load(t + j), v_set1(parameter));
            sum[l] = sum[l] + v_keep(x.loss, lanes_before(j, n));
            v_store(delta + j, v_keep(slope * x.slope, lanes_before(j, n)));
        }
        row_loss[b] = factor * fold_sum(sum);
    }
}

/* Not inlined: their caller would have one large frame for all of them. */
#define ROWS_OF(name)                                                                                                      \
    static __attribute__((noinline)) void name##_rows(real *delta, double *row_loss, const real *y, const real *t,         \
                                                      ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld, real factor, real scale, \
                                                      real parameter)                                                      \
    {                                                                                                                      \
        sum_terms(delta, row_loss, y, t, batch, n, ld, factor, scale, parameter, name##_term);                             \
    }
ROWS_OF(mae)
ROWS_OF(huber)
ROWS_OF(quantile)
ROWS_OF(poisson)
ROWS_OF(hinge)
ROWS_OF(perceptron)
#undef ROWS_OF

/* ---- losses of whole rows ---- */

/* L = sum over j != y of max(0, z_j - z_y + margin), t the one-hot row of y; the term of y itself is z_y - z_y + 0.
 * dL/dz is 1 for each j whose term is positive, and minus their number for y. */
static __attribute__((noinline)) void multiclass_hinge_rows(real *delta, double *row_loss, const real *z, const real *t,
                                                            ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld, real scale, real margin)
{
    for (ptrdiff_t b = 0; b < batch; b++, delta += ld, z += ld, t += ld) {
        vec own[LINE_VECS], sum[LINE_VECS], count[LINE_VECS];
        clear(own, ALONG), clear(sum, ALONG), clear(count, ALONG);
        FOR_LINE_VECS (j, l, n)
            own[l] = v_fma(v_load(z + j), v_load(t + j), own[l]);
        const vec of_class = v_set1(fold_sum(own));
        FOR_LINE_VECS (j, l, n) {
            const vec over = v_fma(v_set1(margin), v_set1(1) - v_load(t + j), v_load(z + j) - of_class);
            const vec wrong = v_keep(v_select(v_less(v_set1(0), over), v_set1(1), v_set1(0)), lanes_before(j, n));
            sum[l] = sum[l] + v_keep(v_max(v_set1(0), over), lanes_before(j, n));
            count[l] = count[l] + wrong;
            v_store(delta + j, wrong);
        }
        row_loss[b] = fold_sum(sum);
        const vec all = v_set1(fold_sum(count));
        FOR_LINE_VECS (j, l, n)
            v_store(delta + j, v_set1(scale) * v_fma(-v_load(t + j), all, v_load(delta + j)));
    }
}

static void cross_entropy_rows(real *delta, double *row_loss, const real *z, const real *t, ptrdiff_t batch, ptrdiff_t n,
                               ptrdiff_t ld, real scale)
{
    rows_op(delta, row_loss, z, t, batch, n, ld, scale, CROSS_ENTROPY);
}

static void binary_cross_entropy_rows(real *delta, double *row_loss, const real *z, const real *t, ptrdiff_t batch, ptrdiff_t n,
                                      ptrdiff_t ld, real scale)
{
    rows_op(delta, row_loss, z, t, batch, n, ld, scale, BINARY_CROSS_ENTROPY);
}

/* A custom loss is computed by the caller, and so is its gradient, which is t. */
static void custom_rows(real *delta, double *row_loss, const real *y, const real *t, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld,
                        real scale)
{
    (void)y;
    for (ptrdiff_t b = 0; b < batch; b++, delta += ld, t += ld) {
        row_loss[b] = 0;
        for (ptrdiff_t j = 0; j < n; j += LANES)
            v_store(delta + j, v_set1(scale) * v_load(t + j));
    }
}

void KERNEL(loss_delta)(void *delta, double *row_loss, uint8_t *correct, const void *output, const void *slope,
                        const void *target, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ld, fbp_loss loss,
                        fbp_activation activation, double scale, double parameter, int classes)
{
    const int logits = fbp_loss_from_logits(loss, activation.code);
    const real s = (real)scale, p = (real)parameter, half = (real)0.5, mean = 1 / (real)n_out;
    assert(loss < FBP_N_LOSSES && activation.code <= FBP_SAVED_SLOPE);
#define ROWS delta, row_loss, output, target, batch, n_out, ld
    switch (loss) {
    case FBP_CROSS_ENTROPY: cross_entropy_rows(ROWS, s); break;
    case FBP_BINARY_CROSS_ENTROPY: binary_cross_entropy_rows(ROWS, s); break;
    case FBP_MSE: squared_rows(ROWS, mean, s); break;
    case FBP_MAE: mae_rows(ROWS, mean, s, p); break;
    case FBP_HUBER: huber_rows(ROWS, mean, s, p); break;
    case FBP_QUANTILE: quantile_rows(ROWS, mean, s, p); break;
    case FBP_POISSON: poisson_rows(ROWS, 1, s, p); break;
    case FBP_HINGE: hinge_rows(ROWS, 1, s, p); break;
    case FBP_PERCEPTRON: perceptron_rows(ROWS, 1, s, p); break;
    case FBP_CUSTOM: custom_rows(ROWS, s); break;
    case FBP_MULTICLASS_HINGE: multiclass_hinge_rows(ROWS, s, p); break;
    case FBP_SQUARED_ERROR: squared_rows(ROWS, half, s); break;
    case FBP_N_LOSSES: break;
    }
#undef ROWS
    /* after the losses: mispredicted branches cost nothing while those are still being computed */
    if (correct && (loss == FBP_HINGE || (loss == FBP_PERCEPTRON && p == 0)))
        correct_sign_rows(correct, output, target, batch, n_out, ld);
    else if (correct && (n_out == 1 || loss == FBP_PERCEPTRON || (loss == FBP_BINARY_CROSS_ENTROPY && !classes)))
        correct_side_rows(correct, output, target, batch, n_out, ld, logits ? 0 : half);
    else if (correct)
        correct_rows(correct, output, target, batch, n_out, ld);
    if (slope)
        activation.code = FBP_SAVED_SLOPE;
    if (!logits)
        KERNEL(activation_delta)(delta, slope ? slope : output, batch, n_out, ld, activation);
}

#endif
