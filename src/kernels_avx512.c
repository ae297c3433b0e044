/* kernels_avx512.c: the kernel sets for AVX-512 F and DQ. */
#if defined(__x86_64__)
#include <immintrin.h>

#define FBP_ISA avx512
#define FBP_VEC_BYTES 64
#include "kernels.h"
#endif
