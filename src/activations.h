/* activations.h: one row per activation, f(z) and f', and the elementary functions they rest on.
 *
 * They use only fma, add, multiply, divide, compare, select and integer shifts, so the bits are the same on every ISA. The
 * polynomials are Chebyshev or weighted minimax fits on the reduced range, highest power first; the comment beside each gives
 * the range and the largest error of the fit.
 *
 * Every function accepts every input: NaN gives NaN, -0 and the infinities give the mathematical limit, and denormals are
 * ordinary numbers. In float32 every result is within 2 ulp of the true value (bench/numerics.py tries all 2^32 inputs), and a
 * denormal result within one unit of the smallest. If the caller flushes denormals, a denormal argument counts as zero and a
 * denormal result is zero.
 */
#ifndef FBP_ACTIVATIONS_H
#define FBP_ACTIVATIONS_H

#include "fbp.h"
#include "vec.h"

#include <assert.h>

#if FBP_REAL_BITS == 32
/* (e^r - 1 - r) / r^2 on |r| <= ln(2)/2, error 3.1e-9 of e^r */
static const real EXP_POLY[] = {0.00139512506f, 0.00836878736f, 0.0416661911f, 0.166665196f, 0.5f};
/* (log((1+s)/(1-s))/s - 2)/s^2 over z = s^2 <= 0.0295, error 1.9e-7 */
static const real LOG_POLY[] = {0.295809859f, 0.399887577f, 0.666666851f};
/* (tanh(x)/x - 1)/x^2 over z = x^2 <= 0.3025, error 1.3e-8 */
static const real TANH_POLY[] = {-0.00661022783f, 0.0213093887f, -0.0539094288f, 0.133331137f, -0.333333320f};
/* erf(x)/x - 1 over z = x^2 <= 0.875^2, error 8.4e-9 */
static const real ERF_NEAR[] = {-0.000622199324f, 0.0050357799f, -0.0267938841f, 0.112825222f, -0.376125574f, 0.128379151f};
/* -log(1 - erf(x)) over t = x - 1, x = 0.875 .. 4, error 1.9e-9 of erf(x) */
static const real ERF_FAR[] = {-0.000200805691f, 0.00188577257f, -0.00997319166f, 0.0415494479f,
                               0.843106449f,     2.63896775f,    1.84960556f};
static const real LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
static const real LN2 = 0.693147181f, LOG2_E = 1.44269504f;
static const real ROUND_MAGIC = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
static const real EXP_MIN = -104.0f, EXP_MAX = 89.0f, ERF_MAX = 4.0f, TINY = 0x1p-126f; /* TINY: the smallest normal */
#else
/* The same polynomials, with errors 1.7e-20, 2.1e-18, 7.7e-18, 3.1e-19, 3.4e-18 (x up to 6) */
static const real EXP_POLY[] = {1.6086627956780368844e-10, 2.0918137737642736429e-9, 2.5052071094293546753e-8,
                                2.7557263279088496905e-7,  2.7557319247218730776e-6, 2.4801587336442237861e-5,
                                1.9841269841263299129e-4,  1.3888888888879073994e-3, 8.3333333333334007e-3,
                                4.1666666666666676774e-2,  0.16666666666666666667,   0.5};
static const real LOG_POLY[] = {0.1308803485092755383,  0.13268638369266823879, 0.15386244737621666606, 0.18181795547521136235,
                                0.22222222392581045097, 0.28571428570799785031, 0.40000000000000883236, 0.66666666666666666463};
static const real TANH_POLY[] = {-2.0602765376366341605e-5, 8.5113136855776715155e-5,  -2.3463474108872371445e-4,
                                 5.8893605200740577697e-4,  -1.4556618301007160336e-3, 3.5921103786890238773e-3,
                                 -8.8632343978143548378e-3, 2.1869488493666941903e-2,  -5.3968253967434014504e-2,
                                 0.13333333333332714826,    -0.33333333333333332561};
static const real ERF_NEAR[] = {-8.6694062255744579835e-10, 1.4124094430525001644e-8,  -1.6289481826546413061e-7,
                                1.645663215334766336e-6,    -1.4925388766642029655e-5, 1.2055324625760136919e-4,
                                -8.5483268473736692752e-4,  5.2239776230870147083e-3,  -2.6866170644945227662e-2,
                                0.11283791670954366247,     -0.37612638903183740315,   0.12837916709551257357};
static const real ERF_FAR[] = {
    -1.4485949765336953474e-12, 3.8351603498580905005e-11, -4.6829695091371266509e-10, 3.4901843284316116951e-9,
    -1.7520193694494286374e-8,  5.9685201208108815833e-8,  -1.1380216672527814673e-7,  -1.1743057233297645644e-7,
    2.0302753894532635918e-6,   -9.5836424020555284562e-6, 2.714329821406202401e-5,    -2.6270768947596618732e-5,
    -2.3732470796459906923e-4,  1.9779030339575466631e-3,  -1.0033825435628308011e-2,  4.1561098046422460721e-2,
    0.84310725635849860043,     2.6389675142347915586,     1.8496055099332482327};
static const real LN2_HIGH = 0.693147180369123816490, LN2_LOW = 1.90821492927058770002e-10;
static const real LN2 = 0.69314718055994530942, LOG2_E = 1.44269504088896340736;
static const real ROUND_MAGIC = 6755399441055744.0; /* 1.5 * 2^52 */
static const real EXP_MIN = -746.0, EXP_MAX = 710.0, ERF_MAX = 6.0, TINY = 0x1p-1022;
#endif
static const real INF = (real)__builtin_inf(), NOT_A_NUMBER = (real)__builtin_nan("");

#define POLY(x, table) v_poly(x, table, sizeof(table) / sizeof(real))
INLINE vec v_poly(vec x, const real *table, const int n)
{
    vec sum = v_set1(table[0]);
#pragma GCC unroll 32
    for (int i = 1; i < n; i++)
        sum = v_fma(sum, x, v_set1(table[i]));
    return sum;
}

/* 2^n for an integer n in the normal range. */
INLINE vec v_power_of_two(ivec n) { return v_from_bits(v_exponent(n + EXPONENT_BIAS)); }

/* 2^n a, in two factors, so that a result near the ends of the range overflows or underflows gradually. */
INLINE vec v_scale(vec a, ivec n) { return a * v_power_of_two(n >> 1) * v_power_of_two(n - (n >> 1)); }

/* e^x = 2^n (1 + p). Rounding 1 + p makes half of the error of e^x; sigmoid and softplus never round it. */
typedef struct {
    vec p;
    ivec n;
} exp_parts;

/* p = e^r - 1, |r| <= ln(2)/2 (Cody and Waite's two-part ln 2). */
INLINE exp_parts v_exp_parts(vec x)
{
    x = v_max(v_set1(EXP_MIN), x);
    x = v_select(v_less(v_set1(EXP_MAX), x), v_set1(EXP_MAX), x);
    const vec shifted = v_fma(x, v_set1(LOG2_E), v_set1(ROUND_MAGIC));
    const vec n = shifted - v_set1(ROUND_MAGIC);
    vec r = v_fma(n, v_set1(-LN2_HIGH), x);
    r = v_fma(n, v_set1(-LN2_LOW), r);
    return (exp_parts){v_fma(r * r, POLY(r, EXP_POLY), r), v_minus_bits(v_bits(shifted), v_bits(v_set1(ROUND_MAGIC)))};
}

INLINE vec v_exp(vec x)
{
    const exp_parts e = v_exp_parts(x);
    return v_scale(v_set1(1) + e.p, e.n);
}

/* log(2^-scaled u) + low, for a normal positive u and a `low` that is small compared with the logarithm.
 * u = 2^k m with m in [sqrt(1/2), sqrt(2)), s = (m-1)/(m+1), log m = 2s + s^3 R(s^2). */
INLINE vec v_log_sum(vec u, vec scaled, vec low)
{
    const ivec sqrt_half = v_bits(v_set1((real)0.70710678118654752440));
    const ivec k = v_minus_bits(v_bits(u), sqrt_half) >> MANTISSA_BITS;
    const vec m = v_from_bits(v_minus_bits(v_bits(u), v_exponent(k))), f = m - v_set1(1);
    const vec s = f / (v_set1(2) + f), z = s * s;
    /* k as a real: k < 2^MANTISSA_BITS is added to the bits of the magic number, which is then subtracted as a real */
    const vec exponent = v_from_bits(k + v_bits(v_set1(ROUND_MAGIC))) - v_set1(ROUND_MAGIC) - scaled;
    /* 2s = f - s f, and s f is small, so the low bits of f survive */
    const vec log_m = f - (s * (f - z * POLY(z, LOG_POLY)) - low);
    return v_fma(exponent, v_set1(LN2), log_m); /* ln 2 in two parts gains nothing: the largest error is at exponent 0 */
}

/* y = the logarithm of x - pole, corrected at the ends: -inf at the pole, NaN below it; inf and NaN stay. */
INLINE vec v_log_ends(vec y, vec x, vec pole)
{
    const vec end = v_select(v_less(x, pole), v_set1(NOT_A_NUMBER), x - v_set1(INF));
    y = v_select(v_less(pole, x), y, end);
    return v_select(v_less(x, v_set1(INF)), y, x);
}

INLINE vec v_log(vec x)
{
    const ivec denormal = v_less(x, v_set1(TINY));
    const vec u = v_select(denormal, x * v_set1((real)((ireal)1 << MANTISSA_BITS)), x);
    const vec y = v_log_sum(u, v_select(denormal, v_set1(MANTISSA_BITS), v_set1(0)), v_set1(0));
    return v_log_ends(y, x, v_set1(0));
}

/* log(1 + x): a first-order term makes up for the rounding of 1 + x (Kahan). */
INLINE vec v_log1p(vec x)
{
    const vec u = v_set1(1) + x, low = (x - (u - v_set1(1))) / u;
    return v_log_ends(v_copysign(v_log_sum(u, v_set1(0), low), x), x, v_set1(-1));
}

/* e^x - 1 = 2^n p + (2^n - 1), computed for 2^(n-1) and doubled because 2^n may overflow; for small x it is p itself, because
 * half of it may be denormal. */
INLINE vec v_expm1(vec x)
{
    const exp_parts e = v_exp_parts(v_max(v_set1(-40), x)); /* below -40 the result is -1 */
    const vec half_power = v_power_of_two(e.n - 1);
    const vec half = v_fma(half_power, e.p, half_power - v_set1((real)0.5));
    return v_copysign(v_select(v_less(v_abs(x), v_set1((real)0.25)), e.p, half + half), x);
}

/* log(1 + e^z) for z <= 0. */
INLINE vec v_log1p_exp(vec z)
{
    const exp_parts e = v_exp_parts(z);
    const vec power = v_scale(v_set1(1), e.n), u = v_fma(power, e.p, v_set1(1) + power);
    const vec low = v_fma(power, e.p, power - (u - v_set1(1)));
    return v_log_sum(u, v_set1(0), low / u);
}

/* erf(x) = x + x P(x^2) near zero and 1 - e^-Q(x) further out; from ERF_MAX on it rounds to 1. */
INLINE vec v_erf(vec x)
{
    vec a = v_abs(x);
    a = v_select(v_less(v_set1(ERF_MAX), a), v_set1(ERF_MAX), a);
    const vec near = v_fma(x, POLY(x * x, ERF_NEAR), x);
    const vec far = v_set1(1) - v_exp(-POLY(a - v_set1(1), ERF_FAR));
    return v_select(v_less(a, v_set1((real)0.875)), near, v_copysign(far, x));
}

/* The activations. f' is a function of the output y, so that the backward pass needs no z. If there is no such function, f' is
 * computed from z in the forward pass and saved: see fbp_needs_slope. */

/* 1 / (1 + e^-z), from e^-|z|: it cannot overflow, and small results keep their relative accuracy. */
INLINE vec v_sigmoid(vec z)
{
    const exp_parts e = v_exp_parts(-v_abs(z));
    const vec power = v_scale(v_set1(1), e.n), u = v_fma(power, e.p, v_set1(1) + power);
    const vec y = v_set1(1) / u, rest = v_fma(-y, u, v_set1(1)); /* 1/u = y + y rest: 2.07 to 1.98 ulp */
    return v_select(v_less(z, v_set1(0)), v_fma(y, e.p + rest, y) * power, y);
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

/* log(1 + e^z) without overflow. */
INLINE vec v_softplus(vec z) { return v_max(v_set1(0), z) + v_log1p_exp(-v_abs(z)); }

INLINE vec v_softplus_slope(vec y) { return -v_expm1(-y); }

/* 0 <= a < 1 */
INLINE vec v_leaky_relu(vec z, vec a) { return v_max(a * z, z); }
INLINE vec v_leaky_relu_slope(vec y, vec a) { return v_select(v_less(v_set1(0), y), v_set1(1), a); }

INLINE vec v_elu(vec z, vec a) { return v_select(v_less(v_set1(0), z), z, a * v_expm1(z)); }
INLINE vec v_elu_slope(vec y, vec a) { return v_select(v_less(v_set1(0), y), v_set1(1), y + a); }

/* scale * elu(z), with the two constants that preserve mean 0 and variance 1 (Klambauer et al., 2017). */
static const real SELU_SCALE = (real)1.0507009873554804934, SELU_FLOOR = (real)1.7580993408473768600; /* scale * alpha */
INLINE vec v_selu(vec z) { return v_select(v_less(v_set1(0), z), v_set1(SELU_SCALE) * z, v_set1(SELU_FLOOR) * v_expm1(z)); }
INLINE vec v_selu_slope(vec y) { return v_select(v_less(v_set1(0), y), v_set1(SELU_SCALE), y + v_set1(SELU_FLOOR)); }

/* The distribution function of the standard normal. */
INLINE vec v_normal(vec z)
{
    return v_fma(v_erf(z * v_set1((real)0.70710678118654752440)), v_set1((real)0.5), v_set1((real)0.5));
}

/* max(z, EXP_MIN). Below EXP_MIN gelu and silu are zero, and -inf times 0 would be NaN. */
INLINE vec v_above_exp_min(vec z) { return v_max(v_set1(EXP_MIN), z); }

INLINE vec v_gelu(vec z) { return v_above_exp_min(z) * v_normal(z); }
INLINE vec v_gelu_slope(vec z)
{
    z = v_above_exp_min(z);
    const vec density = v_set1((real)0.39894228040143267794) * v_exp(v_set1((real)-0.5) * z * z);
    return v_fma(z, density, v_normal(z));
}

INLINE vec v_silu(vec z) { return v_above_exp_min(z) * v_sigmoid(z); }
INLINE vec v_silu_slope(vec z)
{
    const vec s = v_sigmoid(z);
    return v_fma(v_above_exp_min(z) * s, v_set1(1) - s, s);
}

/* sign is -1, 0 or 1; step is 1 above 0, else 0. */
INLINE vec v_sign(vec z) { return v_select(v_less(v_set1(0), z), v_set1(1), v_select(v_less(z, v_set1(0)), v_set1(-1), z)); }
INLINE vec v_step(vec z) { return v_select(v_less(v_set1(0), z), v_set1(1), v_max(v_set1(0), z)); }

/* The table of element-wise activations: code, f(z), f' from y or z (a is the parameter of those that have one), and whether
 * f(0) = 0, so that padding stays zero by itself. `body` is passed on to each row. Softmax needs whole rows: kernels_rows.h. */
#define FBP_ELEMENTWISE(ROW, body)                                             \
    ROW(FBP_LINEAR, z, v_set1(1), 1, body)                                     \
    ROW(FBP_SIGMOID, v_sigmoid(z), v_sigmoid_slope(y), 0, body)                \
    ROW(FBP_TANH, v_tanh(z), v_tanh_slope(y), 1, body)                         \
    ROW(FBP_RELU, v_relu(z), v_relu_slope(y), 1, body)                         \
    ROW(FBP_LEAKY_RELU, v_leaky_relu(z, a), v_leaky_relu_slope(y, a), 1, body) \
    ROW(FBP_ELU, v_elu(z, a), v_elu_slope(y, a), 1, body)                      \
    ROW(FBP_SELU, v_selu(z), v_selu_slope(y), 1, body)                         \
    ROW(FBP_SOFTPLUS, v_softplus(z), v_softplus_slope(y), 0, body)             \
    ROW(FBP_GELU, v_gelu(z), v_gelu_slope(z), 1, body)                         \
    ROW(FBP_SILU, v_silu(z), v_silu_slope(z), 1, body)                         \
    ROW(FBP_SIGN, v_sign(z), v_set1(0), 1, body)                               \
    ROW(FBP_STEP, v_step(z), v_set1(0), 1, body)                               \
    ROW(FBP_SAVED_SLOPE, z, y, 1, body)

/* f(z) and f', the code being a constant. */
#define FBP_F(constant, f, slope, is_zero_at_zero, body) \
    case constant: return f;
#define FBP_SLOPE(constant, f, slope, is_zero_at_zero, body) \
    case constant: return slope;
INLINE vec v_activation(vec z, vec a, const fbp_activation_code code)
{
    (void)a;
    switch (code) {
        FBP_ELEMENTWISE(FBP_F, )
    case FBP_SOFTMAX: break;
    }
    assert(!"element-wise");
    return v_set1(NOT_A_NUMBER);
}

INLINE vec v_slope(vec y, vec z, vec a, const fbp_activation_code code)
{
    (void)z, (void)a;
    switch (code) {
        FBP_ELEMENTWISE(FBP_SLOPE, )
    case FBP_SOFTMAX: break;
    }
    assert(!"element-wise");
    return v_set1(NOT_A_NUMBER);
}

/* Runs `body` with the constants `code` and `zero_at_zero` of an element-wise activation, so that the compiler makes a loop for
 * each. For softmax it does nothing. */
#define FBP_ACTIVATION_CASE(constant, f, slope, is_zero_at_zero, body) \
    case constant: {                                                   \
        const fbp_activation_code code = constant;                     \
        const int zero_at_zero = is_zero_at_zero;                      \
        (void)zero_at_zero;                                            \
        body;                                                          \
        break;                                                         \
    }
#define WITH_ACTIVATION(activation, body)              \
    {                                                  \
        assert((activation).code <= FBP_SAVED_SLOPE);  \
        switch ((activation).code) {                   \
            FBP_ELEMENTWISE(FBP_ACTIVATION_CASE, body) \
        case FBP_SOFTMAX: break;                       \
        }                                              \
    }

/* The elementary functions: code, f. */
#define FBP_ELEMENTARY(ROW)                \
    ROW(FBP_FUNCTION_EXP, v_exp)           \
    ROW(FBP_FUNCTION_LOG, v_log)           \
    ROW(FBP_FUNCTION_LOG1P, v_log1p)       \
    ROW(FBP_FUNCTION_TANH, v_tanh)         \
    ROW(FBP_FUNCTION_SIGMOID, v_sigmoid)   \
    ROW(FBP_FUNCTION_SOFTPLUS, v_softplus) \
    ROW(FBP_FUNCTION_ERF, v_erf)           \
    ROW(FBP_FUNCTION_EXPM1, v_expm1)

#endif
