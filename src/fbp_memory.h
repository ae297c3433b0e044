/* fbp_memory.h: the allocator in memory.c. */
#ifndef FBP_MEMORY_H
#define FBP_MEMORY_H

#include <stddef.h>

void *fbp_alloc(size_t bytes);             /* aligned to 64 bytes, not zeroed; NULL if there is no memory */
void fbp_free(void *memory, size_t bytes); /* NULL is allowed; `bytes` as in fbp_alloc */
size_t fbp_live_bytes(void);               /* allocated and not yet freed */
void fbp_fail_allocation(long n);          /* for tests: the n-th request from now on fails; 0 for none */

#endif
