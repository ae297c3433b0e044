/* threads.c: barriers, counters of work, waiting, spreading over cores, limits of threads, forks, the mode of denormals. */
#define _GNU_SOURCE
#include "fbp.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#ifdef __SSE__
#include <immintrin.h>
#endif

/* A barrier spins about as long as threads lag behind each other on a quiet machine. A thread that comes later has lost its
 * core, and needs the core of the waiting thread more than that one does. */
enum { SPINS = 500, YIELDS = 2 };

/* fbp_pause spins longer, because its caller can do useful work: yielding to another process costs the rest of a time slice. */
enum { PATIENT_SPINS = 5000 };

static inline void pause_briefly(void)
{
#ifdef __SSE__
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void sleep_while(int *word, int value)
{
#ifdef __linux__
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    (void)word, (void)value;
    sched_yield();
#endif
}

static void wake_all(int *word)
{
#ifdef __linux__
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#else
    (void)word;
#endif
}

void fbp_barrier_init(fbp_barrier *barrier, int n_threads)
{
    barrier->arrived = 0;
    barrier->generation = 0;
    barrier->n_threads = n_threads;
    barrier->sleepers = 0;
    barrier->asleep = 0;
}

static int passed(fbp_barrier *barrier, int generation)
{
    return __atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE) != generation;
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static void wait_asleep(fbp_barrier *barrier, int generation)
{
    const int64_t start = nanoseconds();
    __atomic_add_fetch(&barrier->sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&barrier->generation, __ATOMIC_SEQ_CST) == generation)
        sleep_while(&barrier->generation, generation);
    __atomic_sub_fetch(&barrier->sleepers, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&barrier->asleep, nanoseconds() - start, __ATOMIC_RELAXED);
}

/* Spin, then yield, then sleep: spinning alone is ten times slower when another process keeps one thread off its core. */
void fbp_barrier_wait(fbp_barrier *barrier)
{
    const int generation = __atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == barrier->n_threads) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->generation, generation + 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&barrier->sleepers, __ATOMIC_SEQ_CST))
            wake_all(&barrier->generation);
        return;
    }
    for (int i = 0; i < SPINS; i++) {
        if (passed(barrier, generation))
            return;
        pause_briefly();
    }
    for (int i = 0; i < YIELDS; i++) {
        if (passed(barrier, generation))
            return;
        sched_yield();
    }
    wait_asleep(barrier, generation);
}

ptrdiff_t fbp_claim(ptrdiff_t *next, ptrdiff_t count) { return __atomic_fetch_add(next, count, __ATOMIC_RELAXED); }

int64_t fbp_pause(int turn)
{
    if (turn < PATIENT_SPINS)
        pause_briefly();
    else
        sched_yield();
    return nanoseconds();
}

#ifdef __linux__
static int taken(const int *cpus, int n, int cpu)
{
    for (int i = 0; i < n; i++)
        if (__atomic_load_n(cpus + i, __ATOMIC_RELAXED) == cpu)
            return 1;
    return 0;
}

/* Moves the calling thread by a mask of that one core, and gives it the mask back that it had. A mask that somebody else has
 * set meanwhile stays; if the old one is not allowed any more, all cores are asked for, of which the system gives those it
 * allows. */
static void move_to(int cpu, const cpu_set_t *allowed)
{
    cpu_set_t one, now;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        return;
    if (sched_getaffinity(0, sizeof now, &now) == 0 && !CPU_EQUAL(&now, &one))
        return;
    if (sched_setaffinity(0, sizeof *allowed, allowed) != 0) {
        memset(&now, 0xff, sizeof now);
        sched_setaffinity(0, sizeof now, &now);
    }
}

void fbp_spread(int *cpus, int thread, int n_threads)
{
    cpu_set_t allowed;
    int cpu = sched_getcpu();
    if (taken(cpus, thread, cpu) && sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) >= n_threads) {
        for (cpu = 0; cpu < CPU_SETSIZE && (!CPU_ISSET(cpu, &allowed) || taken(cpus, n_threads, cpu)); cpu++)
            ;
        if (cpu < CPU_SETSIZE)
            move_to(cpu, &allowed);
    }
    __atomic_store_n(cpus + thread, cpu, __ATOMIC_RELAXED);
}
#else
void fbp_spread(int *cpus, int thread, int n_threads) { (void)cpus, (void)thread, (void)n_threads; }
#endif

enum { MOST_TRIED = 4096 };

static void *wait_for_gate(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

int fbp_startable_threads(int wanted)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[MOST_TRIED];
    int n = 0;
    pthread_mutex_lock(&gate);
    while (n < wanted && n < MOST_TRIED && pthread_create(threads + n, NULL, wait_for_gate, &gate) == 0)
        n++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return n;
}

static int64_t process = 1;
static int forked_beside_threads;

#ifndef _WIN32
static int beside_threads;

/* Has this process more than one thread? Their number is field 20 of /proc/self/stat; the second field, in brackets, may
 * contain blanks. If the system does not tell, the answer is yes. */
static int has_threads(void)
{
#ifdef __linux__
    char text[1024];
    const int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    const ssize_t size = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    text[size > 0 ? size : 0] = 0;
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 20; field++)
        at = strchr(at + 1, ' ');
    return !at || strncmp(at, " 1 ", 3) != 0;
#else
    return 1;
#endif
}

static void before_fork(void) { beside_threads = has_threads(); }

static void in_child(void)
{
    process++;
    forked_beside_threads |= beside_threads;
}

void fbp_watch_forks(void) { pthread_atfork(before_fork, NULL, in_child); }
#else
void fbp_watch_forks(void) {}
#endif

int64_t fbp_process(void) { return process; }

int fbp_forked_beside_threads(void) { return forked_beside_threads; }

uint64_t fbp_flush_denormals(void)
{
#ifdef __SSE__
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(0x9fc0); /* flush to zero, denormals are zero; round to nearest, no traps, whatever the caller has set */
    return mode;
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)1 << 24)); /* flush; round to nearest, no traps */
    return mode;
#elif defined(__arm__) && defined(__ARM_FP)
    uint32_t mode;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(mode));
    __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)1 << 24)); /* as on AArch64 */
    return mode;
#else
    return 0; /* s390x, riscv64 and VSX of ppc64le have no such mode */
#endif
}

void fbp_restore_denormals(uint64_t mode)
{
#ifdef __SSE__
    _mm_setcsr((unsigned)mode);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#elif defined(__arm__) && defined(__ARM_FP)
    __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)mode));
#else
    (void)mode;
#endif
}
