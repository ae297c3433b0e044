/* memory.c: the one allocator. Its memory is aligned and counted, and tests can make the n-th request fail. */
#define _DEFAULT_SOURCE
#include "fbp.h"

#include <stdatomic.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef _WIN32
#include <malloc.h>
#endif

enum { HUGE_PAGE = 2 << 20 };

#ifdef _WIN32
static void *aligned(size_t alignment, size_t bytes) { return _aligned_malloc(bytes, alignment); }
static void aligned_free(void *memory) { _aligned_free(memory); }
#else
static void *aligned(size_t alignment, size_t bytes)
{
    void *memory;
    return posix_memalign(&memory, alignment, bytes) == 0 ? memory : NULL;
}
static void aligned_free(void *memory) { free(memory); }
#endif

static atomic_size_t live;
static atomic_long until_failure;

void *fbp_alloc(size_t bytes)
{
    void *memory;
    const size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : FBP_LINE_BYTES;
    if (atomic_load(&until_failure) > 0 && atomic_fetch_sub(&until_failure, 1) == 1)
        return NULL;
    memory = aligned(alignment, bytes ? bytes : 1);
    if (!memory)
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
    aligned_free(memory);
    atomic_fetch_sub(&live, bytes);
}

size_t fbp_live_bytes(void) { return atomic_load(&live); }

void fbp_fail_allocation(long n) { atomic_store(&until_failure, n); }
