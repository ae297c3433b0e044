/* threads.c: barriers, counters of work, waiting, spreading over cores, limits of threads, forks, the mode of denormals. */
#define _GNU_SOURCE
#include "fbp.h"
#include "platform.h"

#ifdef __linux__
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#endif

/* A barrier spins about as long as threads lag behind each other on a quiet machine. A thread that comes later has lost its
 * core, and needs the core of the waiting thread more than that one does. */
enum { SPINS = 500, YIELDS = 2 };

/* fbp_pause spins longer, because its caller can do useful work: yielding to another process costs the rest of a time slice. */
enum { PATIENT_SPINS = 5000 };

/* FBP_NO_FUTEX is for tests of what other systems do. */
#ifdef _WIN32
void fbp_sleep_while(const int *word, int value) { WaitOnAddress((void *)(uintptr_t)word, &value, sizeof value, INFINITE); }

void fbp_wake(const int *word) { WakeByAddressAll((void *)(uintptr_t)word); }
#elif defined(__linux__) && !defined(FBP_NO_FUTEX)
void fbp_sleep_while(const int *word, int value) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0); }

void fbp_wake(const int *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }

static void forget_sleepers(void) {}
#else
/* Who sleeps on a word sleeps in one of these beds, beside those of other words, all of whom wake. */
enum { BEDS = 64 };
static struct {
    fbp_lock lock;
    fbp_condition woken;
} beds[BEDS] = {[0 ... BEDS - 1] = {FBP_UNLOCKED, FBP_NOBODY_WAITS}};

static int bed_of(const int *word) { return (int)((uintptr_t)word / 64 % BEDS); }

void fbp_sleep_while(const int *word, int value)
{
    const int bed = bed_of(word);
    lock(&beds[bed].lock);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value)
        condition_wait(&beds[bed].woken, &beds[bed].lock);
    unlock(&beds[bed].lock);
}

void fbp_wake(const int *word)
{
    const int bed = bed_of(word);
    lock(&beds[bed].lock);
    condition_wake(&beds[bed].woken);
    unlock(&beds[bed].lock);
}

/* In a child of a fork a lock is as some thread of the parent had it. */
static void forget_sleepers(void)
{
    for (int i = 0; i < BEDS; i++) {
        beds[i].lock = (fbp_lock)FBP_UNLOCKED;
        beds[i].woken = (fbp_condition)FBP_NOBODY_WAITS;
    }
}
#endif

void fbp_barrier_init(fbp_barrier *barrier)
{
    barrier->arrived = 0;
    barrier->generation = 0;
    barrier->sleepers = 0;
    barrier->asleep = 0;
}

static int passed(fbp_barrier *barrier, int generation)
{
    return __atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE) != generation;
}

static void wait_asleep(fbp_barrier *barrier, int generation)
{
    const int64_t start = nanoseconds();
    __atomic_add_fetch(&barrier->sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&barrier->generation, __ATOMIC_SEQ_CST) == generation)
        fbp_sleep_while(&barrier->generation, generation);
    __atomic_sub_fetch(&barrier->sleepers, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&barrier->asleep, nanoseconds() - start, __ATOMIC_RELAXED);
}

/* Spin, then yield, then sleep: spinning alone is ten times slower when another process keeps one thread off its core. */
void fbp_barrier_wait(fbp_barrier *barrier, int n_threads)
{
    const int generation = __atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == n_threads) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->generation, generation + 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&barrier->sleepers, __ATOMIC_SEQ_CST))
            fbp_wake(&barrier->generation);
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
        yield_core();
    }
    wait_asleep(barrier, generation);
}

ptrdiff_t fbp_claim(ptrdiff_t *next, ptrdiff_t count) { return __atomic_fetch_add(next, count, __ATOMIC_RELAXED); }

int64_t fbp_pause(int turn)
{
    if (turn < PATIENT_SPINS)
        pause_briefly();
    else
        yield_core();
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

static THREAD_FUNCTION(wait_for_gate, gate)
{
    lock(gate);
    unlock(gate);
    return 0;
}

int fbp_startable_threads(int wanted)
{
    fbp_lock gate = FBP_UNLOCKED;
    fbp_thread threads[MOST_TRIED];
    int n = 0;
    lock(&gate);
    while (n < wanted && n < MOST_TRIED && thread_start(threads + n, wait_for_gate, &gate, 0))
        n++;
    unlock(&gate);
    for (int i = 0; i < n; i++)
        thread_join(threads[i]);
    return n;
}

static int64_t process = 1;
static int forked_beside_threads;

#ifdef _WIN32
void fbp_watch_forks(void) {} /* there are none */
#else
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

static int beside_threads;

static void before_fork(void) { beside_threads = has_threads(); }

static void in_child(void)
{
    process++;
    forget_sleepers();
    forked_beside_threads |= beside_threads;
}

void fbp_watch_forks(void) { pthread_atfork(before_fork, NULL, in_child); }
#endif

int64_t fbp_process(void) { return process; }

int fbp_forked_beside_threads(void) { return forked_beside_threads; }

uint64_t fbp_flush_denormals(void)
{
#if defined(__SSE__) || defined(_M_X64)
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(0x9fc0); /* flush to zero, denormals are zero; round to nearest, no traps, whatever the caller has set */
    return mode;
#elif defined(_M_ARM64) && !defined(__clang__)
    const uint64_t mode = _ReadStatusReg(ARM64_FPCR);
    _WriteStatusReg(ARM64_FPCR, 1 << 24); /* as below */
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
#if defined(__SSE__) || defined(_M_X64)
    _mm_setcsr((unsigned)mode);
#elif defined(_M_ARM64) && !defined(__clang__)
    _WriteStatusReg(ARM64_FPCR, mode);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#elif defined(__arm__) && defined(__ARM_FP)
    __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)mode));
#else
    (void)mode;
#endif
}
