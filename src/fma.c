/* fma.c: fused multiply-add for machines whose compiler writes no instruction for it: by one if the processor has it all the
 * same (the x86-64 baseline has none), else by exact arithmetic. */
#include "fbp.h"

#include <float.h>
#include <stdint.h>
#include <string.h>

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The product of two floats is exact in double. The sum is rounded to odd, so that rounding it again is right. */
float fbp_exact_fmaf(float a, float b, float c)
{
    const double product = (double)a * b, sum = product + c, added = sum - product;
    const double error = (product - (sum - added)) + (c - added);
    uint64_t bits = bits_of(sum);
    if (sum - sum == 0 && error != 0 && !(bits & 1)) /* finite, not exact, even */
        bits += (error > 0) == (sum > 0) ? 1 : (uint64_t)-1;
    return (float)of_bits(bits);
}

/* ---- in double: integers of 128 bits ---- */

typedef struct {
    uint64_t high, low;
} wide;

enum { FRACTION_BITS = 52, INFINITE = 0x7ff, BIAS = 1075 }; /* x = mantissa * 2^(exponent field - BIAS) */
static const uint64_t ONE = (uint64_t)1 << FRACTION_BITS;

static int exponent_field(double x) { return (int)(bits_of(x) >> FRACTION_BITS) & INFINITE; }

/* |x| as mantissa * 2^exponent with the mantissa in ONE .. 2 ONE - 1; x is finite and not zero. */
static uint64_t mantissa_of(double x, int *exponent)
{
    uint64_t mantissa = bits_of(x) & (ONE - 1);
    const int field = exponent_field(x);
    *exponent = (field ? field : 1) - BIAS;
    if (field)
        return mantissa | ONE;
    for (; mantissa < ONE; mantissa <<= 1)
        --*exponent;
    return mantissa;
}

static wide times(uint64_t a, uint64_t b)
{
    const uint64_t mask = UINT32_MAX, a1 = a >> 32, a0 = a & mask, b1 = b >> 32, b0 = b & mask;
    const uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), cross = a0 * b1 + (middle & mask);
    return (wide){a1 * b1 + (middle >> 32) + (cross >> 32), cross << 32 | (low & mask)};
}

static wide left(wide a, int by)
{
    if (by >= 64)
        return (wide){a.low << (by - 64), 0};
    return by ? (wide){a.high << by | a.low >> (64 - by), a.low << by} : a;
}

/* The last bit tells whether any bit was lost. */
static wide right(wide a, int by)
{
    if (by == 0)
        return a;
    if (by >= 128)
        return (wide){0, (a.high | a.low) != 0};
    if (by >= 64) {
        const uint64_t lost = a.low | (by > 64 ? a.high << (128 - by) : 0);
        return (wide){0, a.high >> (by - 64) | (lost != 0)};
    }
    return (wide){a.high >> by, a.high << (64 - by) | a.low >> by | (a.low << (64 - by) != 0)};
}

static wide plus(wide a, wide b)
{
    const uint64_t low = a.low + b.low;
    return (wide){a.high + b.high + (low < a.low), low};
}

static wide minus(wide a, wide b) { return (wide){a.high - b.high - (a.low < b.low), a.low - b.low}; }

static int below(wide a, wide b) { return a.high < b.high || (a.high == b.high && a.low < b.low); }

/* m / 2^by, 1 <= by, rounded to nearest, a half to even. */
static uint64_t rounded(uint64_t m, int by)
{
    if (by > 64)
        return 0;
    const uint64_t kept = by < 64 ? m >> by : 0, rest = m << (64 - by), half = (uint64_t)1 << 63;
    return kept + (rest > half || (rest == half && (kept & 1)));
}

static int flushes_denormals(void)
{
    const volatile double least = DBL_MIN;
    return least / 2 == 0;
}

/* m * 2^exponent as the bits of a double; 2^63 <= m, whose last bit tells of lost ones. */
static uint64_t packed(uint64_t m, int exponent)
{
    const int field = exponent + 11 + BIAS;
    const uint64_t kept = rounded(m, 11), infinity = (uint64_t)INFINITE << FRACTION_BITS;
    if (field >= INFINITE)
        return infinity;
    if (field > 0 || (field == 0 && kept == 2 * ONE)) /* kept may be 2 ONE: that carries into the exponent */
        return ((uint64_t)(field - 1) << FRACTION_BITS) + kept;
    return flushes_denormals() ? 0 : rounded(m, 12 - field);
}

double fbp_exact_fma(double a, double b, double c)
{
    if (exponent_field(a) == INFINITE || exponent_field(b) == INFINITE)
        return a * b + c;
    if (exponent_field(c) == INFINITE)
        return c;
    if (a == 0 || b == 0) /* so is a denormal that is flushed */
        return a * b + c;
    if (c == 0)
        return a * b;
    int exponent_a, exponent_b, exponent_c;
    const uint64_t mantissa_a = mantissa_of(a, &exponent_a), mantissa_b = mantissa_of(b, &exponent_b);
    /* From 2^125 on, below 2^127: where it is shifted to the right and bits are lost, the other is too large to cancel it. */
    wide product = left(times(mantissa_a, mantissa_b), 21), added = {0, mantissa_of(c, &exponent_c)};
    int exponent = exponent_a + exponent_b - 21, by = exponent_c - exponent;
    if (by > 74) {
        product = right(product, by - 74);
        exponent += by - 74;
        by = 74;
    }
    added = by >= 0 ? left(added, by) : right(added, -by);
    uint64_t sign = (bits_of(a) ^ bits_of(b)) >> 63;
    wide sum;
    if (sign == bits_of(c) >> 63)
        sum = plus(product, added);
    else if (below(product, added))
        sum = minus(added, product), sign ^= 1;
    else
        sum = minus(product, added);
    if (!(sum.high | sum.low))
        return 0;
    for (; !(sum.high >> 63); sum = left(sum, 1))
        exponent--;
    return of_bits(packed(sum.high | (sum.low != 0), exponent + 64) | sign << 63);
}

/* ---- by the instruction ---- */

#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE__))
#include "x86.h"

static int has_instruction(void)
{
    static int known; /* 1 no, 2 yes */
    int found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!found)
        __atomic_store_n(&known, found = 1 + x86_has_fma(), __ATOMIC_RELAXED);
    return found == 2;
}

double fbp_fma(double a, double b, double c)
{
    if (!has_instruction())
        return fbp_exact_fma(a, b, c);
    __asm__("vfmadd231sd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}

float fbp_fmaf(float a, float b, float c)
{
    if (!has_instruction())
        return fbp_exact_fmaf(a, b, c);
    __asm__("vfmadd231ss %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
#else
double fbp_fma(double a, double b, double c) { return fbp_exact_fma(a, b, c); }
float fbp_fmaf(float a, float b, float c) { return fbp_exact_fmaf(a, b, c); }
#endif
