/* fbp_memory.h: the one allocator, of memory.c. */
#ifndef FBP_MEMORY_H
#define FBP_MEMORY_H

#include <stddef.h>

/* 64-byte aligned and zeroed; NULL when memory runs out. */
void *fbp_alloc(size_t bytes);
void fbp_free(void *memory, size_t bytes);
size_t fbp_live_bytes(void);
void fbp_fail_allocation(long n); /* for tests: the n-th request from now fails; 0 = none */

#endif
