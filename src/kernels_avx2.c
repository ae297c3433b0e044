/* kernels_avx2.c: the kernel sets for AVX2 with FMA (x86-64-v3). Compiled once per FBP_REAL_BITS. */
#include <immintrin.h>

#define FBP_ISA avx2
#define FBP_VEC_BYTES 32
#include "kernels.h"
