/* spread.c: does fbp_spread leave a thread's affinity mask as it was? With a system whose cores and masks are made up. */
#define _GNU_SOURCE
#include "fbp.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static cpu_set_t mask, others; /* of the thread; what somebody else sets as soon as the thread has been moved */
static int core, n_set, meddled, refused, n_cores = 4;

int sched_getcpu(void) { return core; }

int sched_getaffinity(pid_t thread, size_t size, cpu_set_t *found)
{
    (void)thread, (void)size;
    *found = mask;
    return n_cores ? 0 : -1;
}

int sched_setaffinity(pid_t thread, size_t size, const cpu_set_t *wanted)
{
    (void)thread, (void)size;
    n_set++;
    if (refused == n_set) {
        errno = EINVAL;
        return -1;
    }
    mask = *wanted;
    for (core = 0; !CPU_ISSET(core, &mask); core++)
        ;
    if (meddled && n_set == 1)
        mask = others;
    return 0;
}

static int failures;

static void expect(const char *what, int holds)
{
    if (!holds)
        printf("not so: %s\n", what), failures++;
}

/* Thread `thread` of two finds itself on core 0, where thread 0 is, and may use cores 0 and 2. */
static void spread(int thread)
{
    int cpus[2] = {0, 1};
    CPU_ZERO(&mask);
    CPU_SET(0, &mask);
    CPU_SET(2, &mask);
    core = n_set = 0;
    fbp_spread(cpus, thread, 2);
}

int main(void)
{
    cpu_set_t before, all;
    CPU_ZERO(&before);
    CPU_SET(0, &before);
    CPU_SET(2, &before);
    CPU_ZERO(&others);
    CPU_SET(3, &others);
    memset(&all, 0xff, sizeof all);

    spread(1);
    expect("a thread is moved and gets its mask back", n_set == 2 && CPU_EQUAL(&mask, &before));
    spread(0);
    expect("thread 0 is left alone", n_set == 0 && CPU_EQUAL(&mask, &before));
    refused = 1;
    spread(1);
    expect("a move that is refused changes nothing", n_set == 1 && CPU_EQUAL(&mask, &before));
    refused = 2;
    spread(1);
    expect("a mask that is not allowed any more becomes all cores", n_set == 3 && CPU_EQUAL(&mask, &all));
    refused = 0, meddled = 1;
    spread(1);
    expect("a mask that somebody has set meanwhile stays", n_set == 1 && CPU_EQUAL(&mask, &others));
    meddled = 0, n_cores = 0;
    spread(1);
    expect("without a mask nothing is set", n_set == 0);
    return failures;
}
