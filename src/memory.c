/* memory.c: the one allocator. Its memory is aligned and counted, and tests can make the n-th request fail. */
#define _DEFAULT_SOURCE
#include "fbp.h"

#include <stdatomic.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { HUGE_PAGE = 2 << 20 };

static atomic_size_t live;
static atomic_long until_failure;

void *fbp_alloc(size_t bytes)
{
    void *memory = NULL;
    const size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : FBP_LINE_BYTES;
    if (atomic_load(&until_failure) > 0 && atomic_fetch_sub(&until_failure, 1) == 1)
        return NULL;
    if (posix_memalign(&memory, alignment, bytes ? bytes : 1) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* the 4 KiB pages of a wide layer overflow the TLB; if the request is refused, nothing is lost */
    if (alignment == HUGE_PAGE)
        madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    atomic_fetch_add(&live, bytes);
    return memory;
}

void fbp_free(void *memory, size_t bytes)
{
    if (!memory)
        return;
    free(memory);
    atomic_fetch_sub(&live, bytes);
}

size_t fbp_live_bytes(void) { return atomic_load(&live); }

void fbp_fail_allocation(long n) { atomic_store(&until_failure, n); }
