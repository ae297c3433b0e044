/* platform.h: what threads.c needs of the operating system: threads, a lock, waiting for a word, the time. */
#ifndef FBP_PLATFORM_H
#define FBP_PLATFORM_H

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
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#ifdef _WIN32

typedef struct {
    void *(*work)(void *data);
    void *data;
    HANDLE handle;
} fbp_thread;

static DWORD WINAPI run_thread(void *thread)
{
    ((fbp_thread *)thread)->work(((fbp_thread *)thread)->data);
    return 0;
}

/* Starts a thread that runs work(data), and returns whether it could. *thread stays where it is until thread_join. */
static inline int thread_start(fbp_thread *thread, void *(*work)(void *data), void *data)
{
    thread->work = work;
    thread->data = data;
    thread->handle = CreateThread(NULL, 0, run_thread, thread, 0, NULL);
    return thread->handle != NULL;
}

static inline void thread_join(fbp_thread *thread)
{
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
}

typedef SRWLOCK fbp_lock;
#define FBP_UNLOCKED SRWLOCK_INIT
static inline void lock(fbp_lock *mutex) { AcquireSRWLockExclusive(mutex); }
static inline void unlock(fbp_lock *mutex) { ReleaseSRWLockExclusive(mutex); }

static inline void yield_core(void) { SwitchToThread(); }

/* Both parts are below 2^63; the counter times 10^9 is not, after a quarter of an hour. */
static inline int64_t nanoseconds(void)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return now.QuadPart / frequency.QuadPart * 1000000000 + now.QuadPart % frequency.QuadPart * 1000000000 / frequency.QuadPart;
}

/* Sleeps while *word == value, and may wake up earlier. */
static inline void sleep_while(int *word, int value) { WaitOnAddress(word, &value, sizeof value, INFINITE); }
static inline void wake_all(int *word) { WakeByAddressAll(word); }

#else

typedef pthread_t fbp_thread;

static inline int thread_start(fbp_thread *thread, void *(*work)(void *data), void *data)
{
    return pthread_create(thread, NULL, work, data) == 0;
}

static inline void thread_join(fbp_thread *thread) { pthread_join(*thread, NULL); }

typedef pthread_mutex_t fbp_lock;
#define FBP_UNLOCKED PTHREAD_MUTEX_INITIALIZER
static inline void lock(fbp_lock *mutex) { pthread_mutex_lock(mutex); }
static inline void unlock(fbp_lock *mutex) { pthread_mutex_unlock(mutex); }

static inline void yield_core(void) { sched_yield(); }

static inline int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

#ifdef __linux__
static inline void sleep_while(int *word, int value) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0); }
static inline void wake_all(int *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }
#else
static inline void sleep_while(int *word, int value)
{
    (void)word, (void)value;
    sched_yield();
}
static inline void wake_all(int *word) { (void)word; }
#endif
#endif

/* Lets the other thread of the core work for some cycles. */
static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(_M_ARM64) && !defined(__clang__)
    __yield();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
