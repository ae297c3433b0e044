/* intrin.h: the intrinsics of Microsoft's compiler that fbp_msvc.h uses, for Clang in its place. */
#ifndef INTRIN_H
#define INTRIN_H

#define __declspec(kind) DECLARED_##kind
#define DECLARED_thread __thread

static inline int _InterlockedExchange(volatile int *place, int value)
{
    int seen = *place;
    while (!__sync_bool_compare_and_swap(place, seen, value))
        seen = *place;
    return seen;
}

static inline long long _InterlockedExchange64(volatile long long *place, long long value)
{
    long long seen = *place;
    while (!__sync_bool_compare_and_swap(place, seen, value))
        seen = *place;
    return seen;
}

#define _InterlockedExchangeAdd(place, n) __sync_fetch_and_add((volatile int *)(place), (int)(n))
#define _InterlockedExchangeAdd64(place, n) __sync_fetch_and_add((volatile long long *)(place), n)
#define _InterlockedCompareExchange(place, to, from) \
    __sync_val_compare_and_swap((volatile int *)(place), (int)(from), (int)(to))
#define _InterlockedCompareExchange64(place, to, from) __sync_val_compare_and_swap((volatile long long *)(place), from, to)
#define _InterlockedOr(place, bits) __sync_fetch_and_or((volatile int *)(place), (int)(bits))
#define _ReadWriteBarrier() __sync_synchronize()

#endif
