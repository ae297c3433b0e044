/* activations.h: one row per activation, f(z) and f'(from the output y), and the elementary functions they rest on.
 *
 * Only fma, add, multiply, divide, compare, select and integer shifts: the same bits on every ISA. Polynomials are Chebyshev
 * fits on the reduced range, highest power first; the comment beside each gives the range and the largest error of the fit.
 */
#ifndef FBP_ACTIVATIONS_H
#define FBP_ACTIVATIONS_H

#include "fbp.h"
#include "vec.h"

#if FBP_REAL_BITS == 32
/* (e^r - 1 - r) / r^2 on |r| <= ln(2)/2, error 6.5e-8 */
static const real EXP_POLY[] = {0.00139261838f, 0.00836317907f, 0.0416665546f, 0.166665770f, 0.5f};
/* (log((1+s)/(1-s))/s - 2)/s^2 over z = s^2 <= 0.0295, error 1.9e-7 */
static const real LOG_POLY[] = {0.295809859f, 0.399887577f, 0.666666851f};
/* (tanh(x)/x - 1)/x^2 over z = x^2 <= 0.3025, error 1.3e-8 */
static const real TANH_POLY[] = {-0.00661022783f, 0.0213093887f, -0.0539094288f, 0.133331137f, -0.333333320f};
static const real LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f, LOG2_E = 1.44269504f;
static const real ROUND_MAGIC = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
static const real EXP_MIN = -104.0f, EXP_MAX = 89.0f;
#else
/* as above: errors 1.7e-20, 2.1e-18, 7.7e-18 */
static const real EXP_POLY[] = {
    1.6086627956780368844e-10, 2.0918137737642736429e-9, 2.5052071094293546753e-8, 2.7557263279088496905e-7,
    2.7557319247218730776e-6,  2.4801587336442237861e-5, 1.9841269841263299129e-4, 1.3888888888879073994e-3,
    8.3333333333334007e-3,     4.1666666666666676774e-2, 0.16666666666666666667,   0.5};
static const real LOG_POLY[] = {0.1308803485092755383,  0.13268638369266823879, 0.15386244737621666606,
                                0.18181795547521136235, 0.22222222392581045097, 0.28571428570799785031,
                                0.40000000000000883236, 0.66666666666666666463};
static const real TANH_POLY[] = {
    -2.0602765376366341605e-5, 8.5113136855776715155e-5, -2.3463474108872371445e-4, 5.8893605200740577697e-4,
    -1.4556618301007160336e-3, 3.5921103786890238773e-3, -8.8632343978143548378e-3, 2.1869488493666941903e-2,
    -5.3968253967434014504e-2, 0.13333333333332714826,   -0.33333333333333332561};
static const real LN2_HIGH = 0.693147180369123816490, LN2_LOW = 1.90821492927058770002e-10;
static const real LOG2_E = 1.44269504088896340736;
static const real ROUND_MAGIC = 6755399441055744.0; /* 1.5 * 2^52 */
static const real EXP_MIN = -746.0, EXP_MAX = 710.0;
#endif

#define POLY(x, table) v_poly(x, table, sizeof(table) / sizeof(real))
INLINE vec v_poly(vec x, const real *table, const int n)
{
    vec sum = v_set1(table[0]);
#pragma GCC unroll 16
    for (int i = 1; i < n; i++)
        sum = v_fma(sum, x, v_set1(table[i]));
    return sum;
}

/* 2^n for an integer n in the normal range. */
INLINE vec v_power_of_two(ivec n) { return v_from_bits((n + EXPONENT_BIAS) << MANTISSA_BITS); }

/* e^x = 2^n e^r, |r| <= ln(2)/2 (Cody and Waite's two-part ln 2). 2^n in two factors, so that the ends of the range
 * overflow and underflow gradually. */
INLINE vec v_exp(vec x)
{
    x = v_max(v_set1(EXP_MIN), x);
    x = v_select(v_less(v_set1(EXP_MAX), x), v_set1(EXP_MAX), x);
    const vec shifted = v_fma(x, v_set1(LOG2_E), v_set1(ROUND_MAGIC));
    const vec n = shifted - v_set1(ROUND_MAGIC);
    vec r = v_fma(n, v_set1(-LN2_HIGH), x);
    r = v_fma(n, v_set1(-LN2_LOW), r);
    const vec e = v_fma(r * r, POLY(r, EXP_POLY), r) + v_set1(1);
    const ivec i = v_bits(shifted) - v_bits(v_set1(ROUND_MAGIC)), half = i >> 1;
    return e * v_power_of_two(half) * v_power_of_two(i - half);
}

/* log of a normal positive x: x = 2^k m with m in [sqrt(1/2), sqrt(2)), s = (m-1)/(m+1), log m = 2s + s^3 R(s^2). */
INLINE vec v_log(vec x)
{
    const ivec sqrt_half = v_bits(v_set1((real)0.70710678118654752440));
    const ivec k = (v_bits(x) - sqrt_half) >> MANTISSA_BITS;
    const vec m = v_from_bits(v_bits(x) - (k << MANTISSA_BITS)), f = m - v_set1(1);
    const vec s = f / (v_set1(2) + f), z = s * s;
    /* k as a real: an integer below 2^MANTISSA_BITS added to the bits of the magic number, then the number taken away */
    const vec exponent = v_from_bits(k + v_bits(v_set1(ROUND_MAGIC))) - v_set1(ROUND_MAGIC);
    /* 2s = f - s f, and s f is small: that keeps the low bits of f */
    const vec log_m = f - s * (f - z * POLY(z, LOG_POLY));
    return v_fma(exponent, v_set1(LN2_HIGH), v_fma(exponent, v_set1(LN2_LOW), log_m));
}

/* log(1 + x) for 0 <= x <= 1: what 1 + x rounds away comes back as a first-order term (Kahan). */
INLINE vec v_log1p(vec x)
{
    const vec u = v_set1(1) + x;
    return v_log(u) + (x - (u - v_set1(1))) / u;
}

/* The activations. f' is written from the output y, so that the backward pass needs no z. */

INLINE vec v_sigmoid(vec z)
{
    const vec e = v_exp(-v_abs(z)); /* never overflows, and keeps the small side exact */
    return v_select(v_less(z, v_set1(0)), e, v_set1(1)) / (v_set1(1) + e);
}

INLINE vec v_sigmoid_slope(vec y) { return y * (v_set1(1) - y); }

INLINE vec v_tanh(vec z)
{
    const vec a = v_abs(z), square = z * z;
    const vec near = v_fma(a * square, POLY(square, TANH_POLY), a);
    const vec far = v_set1(1) - v_set1(2) / (v_exp(a + a) + v_set1(1));
    return v_copysign(v_select(v_less(a, v_set1((real)0.55)), near, far), z);
}

INLINE vec v_tanh_slope(vec y) { return v_fma(-y, y, v_set1(1)); }

INLINE vec v_relu(vec z) { return v_max(v_set1(0), z); }
INLINE vec v_relu_slope(vec y) { return v_select(v_less(v_set1(0), y), v_set1(1), v_set1(0)); }

INLINE vec v_linear(vec z) { return z; }
INLINE vec v_linear_slope(vec y) { (void)y; return v_set1(1); }

/* The element-wise table: enum, f, f', and whether f(0) is zero (then padding needs no care). Softmax works on whole
 * rows and lives in kernels.h. */
#define FBP_ELEMENTWISE(ROW)                                 \
    ROW(FBP_LINEAR, v_linear, v_linear_slope, 1)             \
    ROW(FBP_SIGMOID, v_sigmoid, v_sigmoid_slope, 0)          \
    ROW(FBP_TANH, v_tanh, v_tanh_slope, 1)                   \
    ROW(FBP_RELU, v_relu, v_relu_slope, 1)

#endif
