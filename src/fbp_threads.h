/* fbp_threads.h: what a worker thread needs besides its work, of threads.c. */
#ifndef FBP_THREADS_H
#define FBP_THREADS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    _Alignas(64) int arrived;
    _Alignas(64) int generation;
    int n_threads;
    int sleepers;
    int64_t asleep; /* nanoseconds that threads have slept here, added up */
} fbp_barrier;

void fbp_barrier_init(fbp_barrier *barrier, int n_threads);
void fbp_barrier_wait(fbp_barrier *barrier);
ptrdiff_t fbp_claim(ptrdiff_t *next, ptrdiff_t count); /* atomically: *next, then *next += count */

int64_t fbp_pause(int turn); /* spins at first, later yields; returns the time in nanoseconds */

/* Moves the calling thread if it shares its core with one of a lower number while the process has another: beside a busy
 * neighbour the scheduler may leave two threads of a team on one core for good. cpus[n_threads]: where each was last. */
void fbp_spread(int *cpus, int thread, int n_threads);

/* How many threads more this process may start, at most `wanted`: that many are started, all at a time, and ended. A library
 * that starts a team and cannot may end the process. */
int fbp_startable_threads(int wanted);

/* From the call of fbp_watch_forks on: a number that each fork changes in the child, from 1 on, and whether any fork has been
 * from a process with more than one thread. In a child of such a process nothing can be said of the threads of any library. */
void fbp_watch_forks(void);
int64_t fbp_process(void);
int fbp_forked_beside_threads(void);

uint64_t fbp_flush_denormals(void); /* denormals count as zero on this thread; returns the mode to restore */
void fbp_restore_denormals(uint64_t mode);

#endif
