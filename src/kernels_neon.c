/* kernels_neon.c: the kernel sets for AArch64 Advanced SIMD. */
#if defined(__aarch64__)
#include <arm_neon.h>

#define FBP_ISA neon
#define FBP_VEC_BYTES 16
#include "kernels.h"
#endif
