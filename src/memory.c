/* memory.c: the one allocator. Its memory is aligned and counted, and tests can make the n-th request fail. */
#define _DEFAULT_SOURCE
#include "fbp.h"

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

static size_t live;
static int64_t until_failure;

void *fbp_alloc(size_t bytes)
{
    void *memory;
    const size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : FBP_LINE_BYTES;
    if (__atomic_load_n(&until_failure, __ATOMIC_SEQ_CST) > 0 && __atomic_fetch_sub(&until_failure, 1, __ATOMIC_SEQ_CST) == 1)
        return NULL;
    memory = aligned(alignment, bytes ? bytes : 1);
    if (!memory)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* the 4 KiB pages of a wide layer overflow the TLB; if the request is refused, nothing is lost */
    if (alignment == HUGE_PAGE)
        madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    __atomic_fetch_add(&live, bytes, __ATOMIC_RELAXED);
    return memory;
}

void fbp_free(void *memory, size_t bytes)
{
    if (!memory)
        return;
    aligned_free(memory);
    __atomic_fetch_sub(&live, bytes, __ATOMIC_RELAXED);
}

size_t fbp_live_bytes(void) { return __atomic_load_n(&live, __ATOMIC_RELAXED); }

void fbp_fail_allocation(long n) { __atomic_store_n(&until_failure, n, __ATOMIC_SEQ_CST); }
