/* kernels_avx2.c: the kernel sets for AVX2 with FMA (x86-64-v3). */
#if defined(__x86_64__)
#include <immintrin.h>

#define FBP_ISA avx2
#define FBP_VEC_BYTES 32
#include "kernels.h"
#endif
