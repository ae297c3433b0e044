/* vec.h: the vector vocabulary of the kernels for one dtype and one ISA.
 *
 * Define FBP_REAL_BITS (32 or 64) and FBP_VEC_BYTES (64 for AVX-512, 32 AVX2, 16 NEON, 0 scalar) before including it. Sums,
 * products, quotients and integer operations are C's operators on the vector types of GCC and Clang, or on a scalar; the verbs
 * below are the other operations. Each operates on every lane alone and rounds correctly, so the number of lanes never changes
 * a result.
 */
#ifndef FBP_VEC_H
#define FBP_VEC_H

#include "fbp_fma.h"
#include "fbp_msvc.h"

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "fastbp: got FLT_EVAL_METHOD other than 0 (x87?), wanted 0: compile with the flags that setup.py has for this machine"
#endif

#if FBP_REAL_BITS == 32
typedef float real;
typedef int32_t ireal;
typedef uint32_t ureal;
#define FBP_DTYPE f32
enum { MANTISSA_BITS = 23, EXPONENT_BIAS = 127 };
#define SIGN_BIT INT32_MIN
#else
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#define FBP_DTYPE f64
enum { MANTISSA_BITS = 52, EXPONENT_BIAS = 1023 };
#define SIGN_BIT INT64_MIN
#endif

#define INLINE static inline __attribute__((always_inline))

#if FBP_VEC_BYTES
typedef real vec __attribute__((vector_size(FBP_VEC_BYTES)));
typedef ireal ivec __attribute__((vector_size(FBP_VEC_BYTES)));
typedef ureal wrapping __attribute__((vector_size(FBP_VEC_BYTES)));
typedef real unaligned_vec __attribute__((vector_size(FBP_VEC_BYTES), aligned(sizeof(real)), may_alias));
enum { LANES = FBP_VEC_BYTES / sizeof(real) };
typedef uint32_t uvec __attribute__((vector_size(4 * LANES))); /* 32 bits a lane in either dtype */
typedef int32_t small_ivec __attribute__((vector_size(4 * LANES)));
#else
typedef real vec;
typedef ireal ivec;
typedef ureal wrapping;
typedef real unaligned_vec;
enum { LANES = 1 };
typedef uint32_t uvec;
#endif

/* A 64-byte line is the unit of padding; its elements are the virtual lanes of every folded sum. */
enum { LINE = 64 / sizeof(real), LINE_VECS = LINE / LANES };

/* The register tile: TILE_ROWS x TILE_VECS accumulators, a row of vectors and a broadcast fit into the registers. So does a
 * tile of FLAT_ROWS x FLAT_VECS, for widths that are not a multiple of TILE_VECS. */
#define TILE_VECS 3
#if FBP_VEC_BYTES == 64 || FBP_VEC_BYTES == 16 /* 32 registers */
#define TILE_ROWS 8
enum { FLAT_ROWS = 6, FLAT_VECS = 4 };
#else /* 16 registers */
#define TILE_ROWS 4
enum { FLAT_ROWS = 4, FLAT_VECS = 2 };
#endif

INLINE vec v_load(const real *p) { return *(const unaligned_vec *)p; }
INLINE void v_store(real *p, vec a) { *(unaligned_vec *)p = a; }

#if FBP_VEC_BYTES
INLINE vec v_set1(real a) { return a - (vec){0}; }
INLINE ivec v_bits(vec a) { return (ivec)a; }
INLINE vec v_from_bits(ivec a) { return (vec)a; }
INLINE ivec v_exponent(ivec n) { return n << MANTISSA_BITS; } /* n where a number's exponent is */
INLINE ivec v_less(vec a, vec b) { return a < b; }
INLINE vec v_select(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }
/* The mask of the lanes with a < b, both below 2^31. */
INLINE ivec v_below(uvec a, uint32_t b) { return __builtin_convertvector((small_ivec)a < (int32_t)b, ivec); }
#else
INLINE ivec v_below(uvec a, uint32_t b) { return -(ivec)(a < b); }
INLINE ivec v_exponent(ivec n) { return (ivec)((uint64_t)n << MANTISSA_BITS); }
INLINE vec v_set1(real a) { return a; }
INLINE ivec v_bits(vec a)
{
    ivec b;
    memcpy(&b, &a, sizeof b);
    return b;
}
INLINE vec v_from_bits(ivec a)
{
    vec b;
    memcpy(&b, &a, sizeof b);
    return b;
}
INLINE ivec v_less(vec a, vec b) { return -(ivec)(a < b); }
INLINE vec v_select(ivec mask, vec yes, vec no) { return mask ? yes : no; }
#endif

#if FBP_REAL_BITS == 32
INLINE real real_fma(real a, real b, real c) { return FBP_FMAF(a, b, c); }
#else
INLINE real real_fma(real a, real b, real c) { return FBP_FMA(a, b, c); }
#endif

/* v_fma(a, b, c) = a * b + c, rounded once. v_max(a, b) = a > b ? a : b, which is b if either is NaN. v_sqrt rounds
 * correctly. */
#if FBP_VEC_BYTES == 64 && FBP_REAL_BITS == 32
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE vec v_max(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm512_sqrt_ps((__m512)a); }
#elif FBP_VEC_BYTES == 64
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
INLINE vec v_max(vec a, vec b) { return (vec)_mm512_max_pd((__m512d)a, (__m512d)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm512_sqrt_pd((__m512d)a); }
#elif FBP_VEC_BYTES == 32 && FBP_REAL_BITS == 32
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
INLINE vec v_max(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm256_sqrt_ps((__m256)a); }
#elif FBP_VEC_BYTES == 32
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
INLINE vec v_max(vec a, vec b) { return (vec)_mm256_max_pd((__m256d)a, (__m256d)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm256_sqrt_pd((__m256d)a); }
#elif FBP_VEC_BYTES == 16 && FBP_REAL_BITS == 32
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
INLINE vec v_max(vec a, vec b) { return v_select(a > b, a, b); }
INLINE vec v_sqrt(vec a) { return (vec)vsqrtq_f32((float32x4_t)a); }
#elif FBP_VEC_BYTES == 16
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }
INLINE vec v_max(vec a, vec b) { return v_select(a > b, a, b); }
INLINE vec v_sqrt(vec a) { return (vec)vsqrtq_f64((float64x2_t)a); }
#else
INLINE vec v_fma(vec a, vec b, vec c) { return real_fma(a, b, c); }
INLINE vec v_max(vec a, vec b) { return a > b ? a : b; }
INLINE vec v_sqrt(vec a) { return FBP_REAL_BITS == 32 ? (real)__builtin_sqrtf((float)a) : (real)__builtin_sqrt(a); }
#endif

/* a - b of bits, which may be those of any number: what leaves the range of ivec wraps. */
INLINE ivec v_minus_bits(ivec a, ivec b) { return (ivec)((wrapping)a - (wrapping)b); }

INLINE vec v_abs(vec a) { return v_from_bits(v_bits(a) & ~SIGN_BIT); }

/* a with the sign of b. */
INLINE vec v_copysign(vec a, vec b) { return v_from_bits(v_bits(v_abs(a)) | (v_bits(b) & SIGN_BIT)); }

/* Is any lane of a mask set? */
#if FBP_VEC_BYTES == 64
INLINE int v_any(ivec mask) { return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0; }
#elif FBP_VEC_BYTES == 32
INLINE int v_any(ivec mask) { return !_mm256_testz_si256((__m256i)mask, (__m256i)mask); }
#elif FBP_VEC_BYTES == 16
INLINE int v_any(ivec mask) { return vmaxvq_u32((uint32x4_t)mask) != 0; }
#else
INLINE int v_any(ivec mask) { return mask != 0; }
#endif

/* The mask of the first `keep` lanes, 0 <= keep <= LANES. */
INLINE ivec v_first(ptrdiff_t keep)
{
    static const ireal window[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    ivec mask;
    memcpy(&mask, window + 16 - keep, sizeof mask);
    return mask;
}

/* a in the first `keep` lanes, zero in the others. */
INLINE vec v_keep(vec a, ptrdiff_t keep) { return v_from_bits(v_bits(a) & v_first(keep)); }

/* t[i][j] <-> t[j][i] for LANES vectors: log2(LANES) rounds, each swapping the off-diagonal quarters of ever larger blocks. */
/* clang-format off */
#if FBP_VEC_BYTES
enum { TWO = 2 * LANES };
#define LANE(i, s, up) (((i) / (s)) % 2 ? TWO / 2 + (i) - ((up) ? 0 : (s)) : (i) + ((up) ? (s) : 0))
#define LIST2(s, up) LANE(0, s, up), LANE(1, s, up)
#define LIST4(s, up) LIST2(s, up), LANE(2, s, up), LANE(3, s, up)
#define LIST8(s, up) LIST4(s, up), LANE(4, s, up), LANE(5, s, up), LANE(6, s, up), LANE(7, s, up)
#define LIST16(s, up) LIST8(s, up), LANE(8, s, up), LANE(9, s, up), LANE(10, s, up), LANE(11, s, up), \
                      LANE(12, s, up), LANE(13, s, up), LANE(14, s, up), LANE(15, s, up)
#if FBP_VEC_BYTES * 8 / FBP_REAL_BITS == 16
#define LANE_LIST LIST16
#elif FBP_VEC_BYTES * 8 / FBP_REAL_BITS == 8
#define LANE_LIST LIST8
#elif FBP_VEC_BYTES * 8 / FBP_REAL_BITS == 4
#define LANE_LIST LIST4
#else
#define LANE_LIST LIST2
#endif
#define SWAP_QUARTERS(s)                                                                \
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) if (!(i & (s)))            \
    {                                                                                   \
        const vec low = t[i], high = t[i + (s)];                                        \
        t[i] = __builtin_shufflevector(low, high, LANE_LIST(s, 0));                     \
        t[i + (s)] = __builtin_shufflevector(low, high, LANE_LIST(s, 1));               \
    }
INLINE void v_transpose(vec *t)
{
    SWAP_QUARTERS(1)
#if FBP_VEC_BYTES * 8 / FBP_REAL_BITS >= 4
    SWAP_QUARTERS(2)
#endif
#if FBP_VEC_BYTES * 8 / FBP_REAL_BITS >= 8
    SWAP_QUARTERS(4)
#endif
#if FBP_VEC_BYTES * 8 / FBP_REAL_BITS >= 16
    SWAP_QUARTERS(8)
#endif
}

/* Lane i = t[i] folded: its halves are joined lane by lane, then the quarters, ...; t is overwritten. */
#define FOLD_HALVES(join, s)                                                                  \
    _Pragma("GCC unroll 16") for (int i = 0; i < (s); i++)                                    \
        t[i] = join(__builtin_shufflevector(t[i], t[i + (s)], LANE_LIST(s, 0)),               \
                    __builtin_shufflevector(t[i], t[i + (s)], LANE_LIST(s, 1)));
#if FBP_VEC_BYTES * 8 / FBP_REAL_BITS >= 16
#define FOLD(join) FOLD_HALVES(join, 8) FOLD_HALVES(join, 4) FOLD_HALVES(join, 2) FOLD_HALVES(join, 1) return t[0];
#elif FBP_VEC_BYTES * 8 / FBP_REAL_BITS >= 8
#define FOLD(join) FOLD_HALVES(join, 4) FOLD_HALVES(join, 2) FOLD_HALVES(join, 1) return t[0];
#elif FBP_VEC_BYTES * 8 / FBP_REAL_BITS >= 4
#define FOLD(join) FOLD_HALVES(join, 2) FOLD_HALVES(join, 1) return t[0];
#else
#define FOLD(join) FOLD_HALVES(join, 1) return t[0];
#endif
#define V_SUM(a, b) ((a) + (b))
INLINE vec v_fold_sums(vec *t) { FOLD(V_SUM) }
INLINE vec v_fold_max(vec *t) { FOLD(v_max) }
/* clang-format on */
#else
INLINE void v_transpose(vec *t) { (void)t; }
INLINE vec v_fold_sums(vec *t) { return t[0]; }
INLINE vec v_fold_max(vec *t) { return t[0]; }
#endif

#endif
