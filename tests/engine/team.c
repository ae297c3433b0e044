/* team.c: does a team of our own threads keep its promises? Prints what does not hold. */
#define _GNU_SOURCE
#include "fbp.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEAM = 4, CALLERS = 8, ROUNDS = 100, MOST = 64 };

static int failures;

static void expect(const char *what, int holds)
{
    if (holds)
        return;
    printf("%s\n", what);
    failures++;
}

static int granted = 1 << 30; /* threads that the system still starts */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *data)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return __atomic_fetch_sub(&granted, 1, __ATOMIC_RELAXED) > 0 ? real(thread, attributes, start, data) : EAGAIN;
}

typedef struct {
    int done[MOST], n_threads, wrong;
    pthread_t caller;
    fbp_barrier barrier;
} seen;

static void look(void *data, int thread, int n_threads)
{
    seen *s = data;
    s->done[thread]++;
    if ((thread == 0) != (pthread_equal(pthread_self(), s->caller) != 0))
        __atomic_add_fetch(&s->wrong, 1, __ATOMIC_RELAXED);
    if (thread == 0)
        s->n_threads = n_threads;
    for (int i = 0; i < 3; i++)
        fbp_barrier_wait(&s->barrier, n_threads);
}

/* The number of threads, or -1 if something was wrong. */
static int run(int n_threads)
{
    seen s = {.caller = pthread_self()};
    fbp_barrier_init(&s.barrier);
    fbp_team_run(look, &s, n_threads);
    int right = !s.wrong && s.n_threads <= n_threads;
    for (int i = 0; i < MOST; i++)
        right &= s.done[i] == (i < s.n_threads);
    return right ? s.n_threads : -1;
}

static void *call(void *wrong)
{
    const int n = fbp_team_ready(TEAM);
    for (int i = 0; i < ROUNDS; i++)
        if (run(1 + i % n) != 1 + i % n)
            __atomic_add_fetch((int *)wrong, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void many_callers(void)
{
    pthread_t callers[CALLERS];
    int wrong = 0;
    for (int i = 0; i < CALLERS; i++)
        pthread_create(callers + i, NULL, call, &wrong);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    expect("each caller has a team of its own", wrong == 0);
}

static int number_of_threads(void)
{
    char line[256];
    int n = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file) && sscanf(line, "Threads: %d", &n) != 1)
        ;
    fclose(file);
    return n;
}

static void *call_once(void *wanted)
{
    *(int *)wanted += run(2) != 2;
    return NULL;
}

static void callers_that_end(void)
{
    const int before = number_of_threads();
    int wrong = 0;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t caller;
        pthread_create(&caller, NULL, call_once, &wrong);
        pthread_join(caller, NULL);
    }
    expect("callers that end leave no threads", wrong == 0 && number_of_threads() <= before + 1);
}

typedef struct {
    sigset_t signals[MOST];
    cpu_set_t cores[MOST];
} masks;

static void look_at_masks(void *data, int thread, int n_threads)
{
    masks *m = data;
    (void)n_threads;
    pthread_sigmask(SIG_SETMASK, NULL, &m->signals[thread]);
    sched_getaffinity(0, sizeof m->cores[thread], &m->cores[thread]);
}

static void masks_of_signals(void)
{
    masks m;
    memset(&m, 0, sizeof m);
    fbp_team_run(look_at_masks, &m, 2);
    expect("the caller takes signals", !sigismember(&m.signals[0], SIGINT) && !sigismember(&m.signals[0], SIGCHLD));
    expect("a worker takes none", sigismember(&m.signals[1], SIGINT) && sigismember(&m.signals[1], SIGALRM));
    expect("a worker's fault is reported", !sigismember(&m.signals[1], SIGSEGV));
}

static void cores_of_the_caller(void)
{
    masks m;
    cpu_set_t all, one;
    int cpu = 0;
    sched_getaffinity(0, sizeof all, &all);
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    for (int i = 0; i < 2; i++) {
        const cpu_set_t *wanted = i == 0 ? &one : &all;
        sched_setaffinity(0, sizeof *wanted, wanted);
        fbp_team_run(look_at_masks, &m, 2);
        expect("a worker may be where its caller may", CPU_EQUAL(&m.cores[1], wanted));
        expect("the caller may be where it could", CPU_EQUAL(&m.cores[0], wanted));
    }
}

static int status_of(pid_t child)
{
    int status;
    waitpid(child, &status, 0);
    return status;
}

static int begun, child_ended;

static void wait_for_child(void *data, int thread, int n_threads)
{
    (void)data, (void)thread, (void)n_threads;
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&child_ended, __ATOMIC_ACQUIRE))
        usleep(100);
}

static void *work_beside(void *nothing)
{
    fbp_team_run(wait_for_child, NULL, 2);
    return nothing;
}

static void fork_beside_work(void)
{
    pthread_t other;
    pthread_create(&other, NULL, work_beside, NULL);
    while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE))
        usleep(100);
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(run(TEAM) == TEAM && number_of_threads() == TEAM ? 0 : 1);
    }
    expect("a child has a team", status_of(child) == 0);
    __atomic_store_n(&child_ended, 1, __ATOMIC_RELEASE);
    pthread_join(other, NULL);
    expect("so has its parent", run(TEAM) == TEAM);
}

static pid_t forked;

static void fork_within(void *data, int thread, int n_threads)
{
    (void)data, (void)n_threads;
    if (thread == 0)
        forked = fork();
}

static void fork_in_work(void)
{
    fbp_team_run(fork_within, NULL, 2);
    if (forked == 0) {
        alarm(20);
        _exit(run(TEAM) == TEAM ? 0 : 1);
    }
    expect("a child that begins in its caller's work goes on", status_of(forked) == 0);
}

static void no_threads_left(void)
{
    granted = 2;
    const int n = fbp_team_ready(MOST);
    expect("no more than there are", n < MOST && fbp_team_ready(MOST) == n);
    expect("those work", run(MOST) == n);
    granted = 1 << 30;
    expect("more as soon as there are", run(n + 1) == n + 1);
}

static void limits(void)
{
    expect("no limit at first", fbp_team_most() > 1000000);
    fbp_team_allow(1);
    expect("a limit", fbp_team_most() == 1);
    fbp_team_allow(1 << 30);
    expect("cores", fbp_team_cpus() >= 1);
}

/* Ends while workers sleep and work. */
int main(void)
{
    fbp_watch_forks();
    expect("one thread", run(1) == 1);
    many_callers();
    masks_of_signals();
    cores_of_the_caller();
    callers_that_end();
    fork_beside_work();
    fork_in_work();
    limits();
    no_threads_left();
    pthread_t other;
    begun = child_ended = 0;
    pthread_create(&other, NULL, work_beside, NULL);
    while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE))
        usleep(100);
    return failures != 0;
}
