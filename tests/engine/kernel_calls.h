/* kernel_calls.h: what cross_driver.c uses of kernel_calls.c. */
#ifndef KERNEL_CALLS_H
#define KERNEL_CALLS_H

#include "fbp.h"

enum { N_OPS = (sizeof(fbp_kernels) - offsetof(fbp_kernels, dense_forward)) / sizeof(void (*)(void)) };

extern const char *kernel_names[N_OPS]; /* of those that were called */

/* Of each kernel of a table the digest of all that it has written or left in calls of odd sizes. NULL if one was not called. */
const uint64_t *digest_kernels(const fbp_kernels *kernels);

#endif
