/* team.c: the team of a build. It alone knows of OpenMP, whose library runs the team if FBP_OPENMP is defined; with FBP_PTHREAD
 * it is threads of our own, and otherwise nobody but the caller.
 *
 * A library of OpenMP keeps a team for each thread that calls it, ends a process that it cannot give a thread, and hangs in a
 * child of a process whose threads have used it; a second one beside that of another library may end the process. Our own
 * threads are a pool of idle workers. A caller takes those that it needs, starts those that are missing and brings all back, so
 * two trainers have two teams, and callers that end leave nothing. A worker lives on its stack; nothing is allocated. It takes
 * over its caller's affinity: else one that a pinned thread had started would stay on that core. A child of a fork forgets the
 * pool. */
#define _GNU_SOURCE
#include "fbp.h"

#ifdef FBP_OPENMP
#include <omp.h>

void fbp_team_run(fbp_work *work, void *data, int n_threads)
{
#pragma omp parallel num_threads(n_threads)
    work(data, omp_get_thread_num(), omp_get_num_threads());
}

/* A library of OpenMP ends the process if it cannot start a thread, so the system is asked first. The library keeps a team for
 * each thread that calls it. */
int fbp_team_ready(int n_threads)
{
    static _Thread_local int startable = 1, tried = 1;
    if (n_threads > tried) {
        startable = 1 + fbp_startable_threads(n_threads - 1);
        tried = n_threads;
    }
    return n_threads < startable ? n_threads : startable;
}

const char *fbp_team_kind(void) { return "openmp"; }

/* The common library of OpenMP hangs in a child if any library has used its team in the parent. */
int fbp_team_lost(void) { return fbp_forked_beside_threads(); }

int fbp_team_most(void) { return omp_get_max_threads(); }

void fbp_team_allow(int n_threads) { omp_set_num_threads(n_threads); }

int fbp_team_cpus(void) { return omp_get_num_procs(); }

#elif defined(FBP_PTHREAD)
#include "platform.h"

#include <limits.h>
#include <signal.h>
#ifndef _WIN32
#include <unistd.h>
#endif

enum {
    STACK_BYTES = 1 << 20, /* a kernel uses up to 10 kB; the systems' defaults are from 128 kB to 8 MB */
    SPIN = 1000000,        /* nanoseconds that a thread without work stays awake: to wake it takes about 50 microseconds */
    LOOK = 5000000,        /* nanoseconds between two looks at a caller's cores: one takes 0.3 microseconds */
    ASLEEP = 1 << 30       /* of the caller, in the word that counts the workers that are left */
};

enum { IDLE, SLEEPS, WORKS }; /* the state of a worker */

#ifdef __linux__
typedef cpu_set_t cores;
#else
typedef char cores;
#endif

typedef struct {
    fbp_work *work;
    void *data;
    int n_threads;
    int left;      /* workers that are not done */
    cores allowed; /* for the caller */
} region;

/* It lies on the stack of its thread, and lives as long as the process. */
typedef struct worker {
    int state;
    int thread;
    region *region;
    cores allowed;
    struct worker *next; /* of those that are idle, or of its team */
} worker;

/* The idle workers. A caller takes those that it needs, the last used first, and brings them back. */
static struct {
    fbp_lock lock;
    fbp_condition arrival;
    worker *first;
} pool = {FBP_UNLOCKED, FBP_NOBODY_WAITS, NULL};
static int awake; /* workers that work or spin */

#ifdef __linux__
static void look_up(cores *allowed)
{
    if (sched_getaffinity(0, sizeof *allowed, allowed) != 0)
        CPU_ZERO(allowed);
}

static int number_of(const cores *allowed) { return CPU_COUNT(allowed); }

/* Workers come from the pool, and are where their caller may be: one that another caller had bound to a core would stay there.
 */
static void follow(worker *self, const cores *allowed)
{
    if (CPU_EQUAL(&self->allowed, allowed))
        return;
    self->allowed = *allowed;
    if (CPU_COUNT(allowed))
        sched_setaffinity(0, sizeof *allowed, allowed);
}

static void name_thread(void) { pthread_setname_np(pthread_self(), "fastbp"); }
#else
static void look_up(cores *allowed) { *allowed = 0; }

static int number_of(const cores *allowed)
{
    (void)allowed;
#ifdef _WIN32
    const long n = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
#else
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return n < 1 ? 1 : n < INT_MAX ? (int)n : INT_MAX;
}

static void follow(worker *self, const cores *allowed) { (void)self, (void)allowed; }

#ifdef __APPLE__
static void name_thread(void) { pthread_setname_np("fastbp"); }
#else
static void name_thread(void) {}
#endif
#endif

static void look_up_now_and_then(cores *allowed)
{
    static _Thread_local int64_t looked;
    static _Thread_local cores found;
    const int64_t now = fbp_pause(0);
    if (!looked || now - looked > LOOK) {
        look_up(&found);
        looked = now;
    }
    *allowed = found;
}

/* Spins until the word has another value, not for long, and not while there are more threads than cores. */
static void spin_while(const int *word, int value, int n_cores)
{
    const int64_t end = fbp_pause(0) + SPIN;
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value && __atomic_load_n(&awake, __ATOMIC_RELAXED) < n_cores)
        if (fbp_pause(0) > end)
            return;
}

static void wait_for_work(worker *self)
{
    int state = IDLE;
    spin_while(&self->state, IDLE, number_of(&self->allowed));
    if (!__atomic_compare_exchange_n(&self->state, &state, SLEEPS, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return;
    __atomic_sub_fetch(&awake, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&self->state, __ATOMIC_ACQUIRE) == SLEEPS)
        fbp_sleep_while(&self->state, SLEEPS);
    __atomic_add_fetch(&awake, 1, __ATOMIC_RELAXED);
}

/* After the count the region is gone, and the worker may have other work. */
static void do_work(worker *self)
{
    region *const r = self->region;
    follow(self, &r->allowed);
    r->work(r->data, self->thread, r->n_threads);
    __atomic_store_n(&self->state, IDLE, __ATOMIC_RELEASE);
    if (__atomic_fetch_sub(&r->left, 1, __ATOMIC_ACQ_REL) == (ASLEEP | 1))
        fbp_wake(&r->left);
}

typedef struct {
    worker *first;
    int n;
} arrivals;

static THREAD_FUNCTION(live, place)
{
    arrivals *const team = place;
    worker self = {.state = IDLE};
    name_thread();
    look_up(&self.allowed);
    __atomic_add_fetch(&awake, 1, __ATOMIC_RELAXED);
    lock(&pool.lock);
    self.next = team->first;
    team->first = &self;
    team->n++;
    condition_wake(&pool.arrival);
    unlock(&pool.lock);
    for (;;) {
        wait_for_work(&self);
        do_work(&self);
    }
    return 0;
}

static int start_workers(arrivals *team, int wanted)
{
    fbp_thread thread;
    int n = 0;
    for (; n < wanted && thread_start(&thread, live, team, STACK_BYTES); n++)
        thread_detach(thread);
    return n;
}

#ifdef _WIN32
#define start_without_signals start_workers
#else
/* A worker leaves the signals to other threads: all but those of its own faults, which a debugging handler reports. */
static int start_without_signals(arrivals *team, int wanted)
{
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigset_t others, before;
    sigfillset(&others);
    for (int i = 0; i < 4; i++)
        sigdelset(&others, faults[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    const int n = start_workers(team, wanted);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}
#endif

/* Starts up to `wanted` workers, or as many as the system grants, and adds them to the team. */
static void start(arrivals *team, int wanted)
{
    const int n_before = team->n, n = start_without_signals(team, wanted);
    lock(&pool.lock);
    while (team->n < n_before + n)
        condition_wait(&pool.arrival, &pool.lock);
    unlock(&pool.lock);
}

#ifdef _WIN32
static void watch_forks(void) {}
#else
/* In a child the workers are not there, and the lock is as some thread had it. */
static void forget(void)
{
    pool.lock = (fbp_lock)FBP_UNLOCKED;
    pool.arrival = (fbp_condition)FBP_NOBODY_WAITS;
    pool.first = NULL;
    awake = 0;
}

static void watch(void) { pthread_atfork(NULL, NULL, forget); }

static void watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
}
#endif

static arrivals take(int wanted)
{
    arrivals team = {NULL, 0};
    watch_forks();
    lock(&pool.lock);
    while (pool.first && team.n < wanted) {
        worker *const taken = pool.first;
        pool.first = taken->next;
        taken->next = team.first;
        team.first = taken;
        team.n++;
    }
    unlock(&pool.lock);
    if (team.n < wanted)
        start(&team, wanted - team.n);
    return team;
}

static void bring_back(arrivals team)
{
    lock(&pool.lock);
    while (team.first) {
        worker *const next = team.first->next;
        team.first->next = pool.first;
        pool.first = team.first;
        team.first = next;
    }
    unlock(&pool.lock);
}

static void wait_for_workers(region *r)
{
    const int n_cores = number_of(&r->allowed);
    int left;
    while ((left = __atomic_load_n(&r->left, __ATOMIC_ACQUIRE)) != 0) {
        spin_while(&r->left, left, n_cores);
        if (__atomic_load_n(&r->left, __ATOMIC_ACQUIRE) != left)
            continue;
        left = __atomic_or_fetch(&r->left, ASLEEP, __ATOMIC_ACQ_REL);
        while (left != ASLEEP) {
            fbp_sleep_while(&r->left, left);
            left = __atomic_load_n(&r->left, __ATOMIC_ACQUIRE);
        }
        return;
    }
}

void fbp_team_run(fbp_work *work, void *data, int n_threads)
{
    const int64_t process = fbp_process();
    const arrivals team = take(n_threads - 1);
    region r = {.work = work, .data = data, .n_threads = 1 + team.n, .left = team.n};
    int thread = 1;
    look_up_now_and_then(&r.allowed);
    for (worker *w = team.first; w; w = w->next) {
        w->thread = thread++;
        w->region = &r;
        if (__atomic_exchange_n(&w->state, WORKS, __ATOMIC_ACQ_REL) == SLEEPS)
            fbp_wake(&w->state);
    }
    work(data, 0, r.n_threads);
    if (fbp_process() != process) /* `work` has forked, in a handler of a signal: this is the child, which has no workers */
        return;
    wait_for_workers(&r);
    bring_back(team);
}

int fbp_team_ready(int n_threads)
{
    const arrivals team = take(n_threads - 1);
    bring_back(team);
    return 1 + team.n;
}

const char *fbp_team_kind(void) { return "pthread"; }

int fbp_team_lost(void) { return 0; }

static _Thread_local int most = INT_MAX;

int fbp_team_most(void) { return most; }

void fbp_team_allow(int n_threads) { most = n_threads; }

int fbp_team_cpus(void)
{
    cores allowed;
    look_up(&allowed);
    const int n = number_of(&allowed);
    return n < 1 ? 1 : n;
}

#else
void fbp_team_run(fbp_work *work, void *data, int n_threads)
{
    (void)n_threads;
    work(data, 0, 1);
}

int fbp_team_ready(int n_threads)
{
    (void)n_threads;
    return 1;
}

const char *fbp_team_kind(void) { return "none"; }

int fbp_team_lost(void) { return 0; }

int fbp_team_most(void) { return 1; }

void fbp_team_allow(int n_threads) { (void)n_threads; }

int fbp_team_cpus(void) { return 1; }
#endif
