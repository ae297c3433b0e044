/* platform.h: what threads.c and team.c need of the operating system: threads, locks, the time. */
#ifndef FBP_PLATFORM_H
#define FBP_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <pthread.h>
#include <sched.h>
#include <time.h>
#endif
#ifdef __linux__
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__SSE__) || defined(_M_X64)
#include <immintrin.h>
#endif

#ifdef _WIN32

typedef HANDLE fbp_thread;
#define THREAD_FUNCTION(name, data) DWORD WINAPI name(void *data)

/* Starts a thread, and returns whether it could. With stack_bytes 0 it has the system's usual stack. */
static inline int thread_start(fbp_thread *thread, LPTHREAD_START_ROUTINE work, void *data, size_t stack_bytes)
{
    *thread = CreateThread(NULL, stack_bytes, work, data, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return *thread != NULL;
}

static inline void thread_join(fbp_thread thread)
{
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

static inline void thread_detach(fbp_thread thread) { CloseHandle(thread); }

typedef SRWLOCK fbp_lock;
#define FBP_UNLOCKED SRWLOCK_INIT
static inline void lock(fbp_lock *mutex) { AcquireSRWLockExclusive(mutex); }
static inline void unlock(fbp_lock *mutex) { ReleaseSRWLockExclusive(mutex); }

typedef CONDITION_VARIABLE fbp_condition;
#define FBP_NOBODY_WAITS CONDITION_VARIABLE_INIT
static inline void condition_wait(fbp_condition *c, fbp_lock *mutex) { SleepConditionVariableSRW(c, mutex, INFINITE, 0); }
static inline void condition_wake(fbp_condition *c) { WakeAllConditionVariable(c); }

static inline void yield_core(void) { SwitchToThread(); }

/* Both parts are below 2^63; the counter times 10^9 is not, after a quarter of an hour. */
static inline int64_t nanoseconds(void)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return now.QuadPart / frequency.QuadPart * 1000000000 + now.QuadPart % frequency.QuadPart * 1000000000 / frequency.QuadPart;
}

#else

typedef pthread_t fbp_thread;
#define THREAD_FUNCTION(name, data) void *name(void *data)

static inline int thread_start(fbp_thread *thread, void *(*work)(void *), void *data, size_t stack_bytes)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return 0;
    if (stack_bytes)
        pthread_attr_setstacksize(&attributes, stack_bytes);
    const int started = pthread_create(thread, &attributes, work, data) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

static inline void thread_join(fbp_thread thread) { pthread_join(thread, NULL); }

static inline void thread_detach(fbp_thread thread) { pthread_detach(thread); }

typedef pthread_mutex_t fbp_lock;
#define FBP_UNLOCKED PTHREAD_MUTEX_INITIALIZER
static inline void lock(fbp_lock *mutex) { pthread_mutex_lock(mutex); }
static inline void unlock(fbp_lock *mutex) { pthread_mutex_unlock(mutex); }

typedef pthread_cond_t fbp_condition;
#define FBP_NOBODY_WAITS PTHREAD_COND_INITIALIZER
static inline void condition_wait(fbp_condition *c, fbp_lock *mutex) { pthread_cond_wait(c, mutex); }
static inline void condition_wake(fbp_condition *c) { pthread_cond_broadcast(c); }

static inline void yield_core(void) { sched_yield(); }

static inline int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

#endif

/* Lets the other thread of the core work for some cycles. */
static inline void pause_briefly(void)
{
#if defined(__SSE__) || defined(_M_X64)
    _mm_pause();
#elif defined(_M_ARM64) && !defined(__clang__)
    __yield();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
