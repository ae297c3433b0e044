/* kernels_scalar.c: the kernel sets for plain C with fma(): runs anywhere, and is the bit-exact oracle of the others. Compiled once per FBP_REAL_BITS. */
#define FBP_ISA scalar
#define FBP_VEC_BYTES 0
#include "kernels.h"
