/* kernels_scalar.c: the kernel sets for plain C with fma(). They run anywhere, and are the bit-exact oracle of the others. */
#define FBP_ISA scalar
#define FBP_VEC_BYTES 0
#include "kernels.h"
