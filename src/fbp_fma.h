/* fbp_fma.h: a * b + c rounded once, where the compiler has no instruction for it.
 *
 * Not the fma of libm: that of some systems rounds twice (mingw), and those that compute with numbers of their own type are
 * wrong for small numbers while denormals are flushed.
 */
#ifndef FBP_FMA_H
#define FBP_FMA_H

#if defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__aarch64__) || defined(__powerpc64__) || defined(__s390x__) || \
    (defined(__riscv_flen) && __riscv_flen >= 64)
#define FBP_FMA __builtin_fma
#define FBP_FMAF __builtin_fmaf
#else
#define FBP_FMA fbp_fma
#define FBP_FMAF fbp_fmaf
#endif

/* By the processor's instruction if it has one, else by the functions below. */
double fbp_fma(double a, double b, double c);
float fbp_fmaf(float a, float b, float c);

/* Without the instruction, on any machine. Denormals are flushed if this thread flushes them. */
double fbp_exact_fma(double a, double b, double c);
float fbp_exact_fmaf(float a, float b, float c);

#endif
