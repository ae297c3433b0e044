/* fbp_msvc.h: the builtins of GCC and Clang that the scalar kernels and the modules use, for Microsoft's compiler, from Visual
 * Studio 2022 17.9 on, which knows __typeof__. The vector kernels need GCC or Clang; on Windows that is clang-cl. */
#ifndef FBP_MSVC_H
#define FBP_MSVC_H

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define _Thread_local __declspec(thread)
#undef __attribute__
#define __attribute__(list)
#define __builtin_expect(value, usual) (value)
#define __builtin_prefetch(...) ((void)0)
#define __builtin_fabs fabs
#define __builtin_sqrt sqrt
#define __builtin_sqrtf sqrtf
#define __builtin_inf() ((double)INFINITY)
#define __builtin_nan(text) ((double)NAN)

/* Atomic operations on words of 4 or 8 bytes, each in the strongest order, whatever is asked for. */
enum { __ATOMIC_RELAXED, __ATOMIC_ACQUIRE, __ATOMIC_RELEASE, __ATOMIC_ACQ_REL, __ATOMIC_SEQ_CST };
#define __atomic_load_n(place, order) ((__typeof__(*(place)))fbp_atomic_load(place, sizeof *(place)))
#define __atomic_store_n(place, value, order) ((void)fbp_atomic_exchange(place, sizeof *(place), (int64_t)(value)))
#define __atomic_fetch_add(place, n, order) ((__typeof__(*(place)))fbp_atomic_add(place, sizeof *(place), n))
#define __atomic_fetch_sub(place, n, order) __atomic_fetch_add(place, -(int64_t)(n), order)
#define __atomic_add_fetch(place, n, order) (__atomic_fetch_add(place, n, order) + (n))
#define __atomic_sub_fetch(place, n, order) (__atomic_fetch_add(place, -(int64_t)(n), order) - (n))
#define __atomic_or_fetch(place, bits, order) ((__typeof__(*(place)))(_InterlockedOr((volatile long *)(place), bits) | (bits)))
#define __atomic_exchange_n(place, value, order) \
    ((__typeof__(*(place)))fbp_atomic_exchange(place, sizeof *(place), (int64_t)(value)))
#define __atomic_compare_exchange_n(place, from, to, weak, order, failure) \
    fbp_atomic_swap(place, from, sizeof *(place), (int64_t)(to))

#ifdef _M_ARM64
#define FBP_FENCE() __dmb(_ARM64_BARRIER_ISH)
#else
#define FBP_FENCE() _ReadWriteBarrier() /* the processor keeps the order */
#endif

/* A plain load, because what is loaded may lie in memory that cannot be written. */
static inline int64_t fbp_atomic_load(const volatile void *place, size_t size)
{
    const int64_t value = size == 8 ? *(const volatile int64_t *)place : *(const volatile int32_t *)place;
    FBP_FENCE();
    return value;
}

static inline int64_t fbp_atomic_exchange(volatile void *place, size_t size, int64_t value)
{
    return size == 8 ? _InterlockedExchange64(place, value) : _InterlockedExchange(place, (long)value);
}

static inline int64_t fbp_atomic_add(volatile void *place, size_t size, int64_t n)
{
    return size == 8 ? _InterlockedExchangeAdd64(place, n) : _InterlockedExchangeAdd(place, (long)n);
}

/* `from` is a word of the same size; if *place is another, it becomes that. */
static inline int fbp_atomic_swap(volatile void *place, void *from, size_t size, int64_t to)
{
    if (size == 8) {
        const int64_t wanted = *(int64_t *)from, seen = _InterlockedCompareExchange64(place, to, wanted);
        *(int64_t *)from = seen;
        return seen == wanted;
    }
    const long wanted = *(int32_t *)from, seen = _InterlockedCompareExchange(place, (long)to, wanted);
    *(int32_t *)from = seen;
    return seen == wanted;
}
#endif

#endif
