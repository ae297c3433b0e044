/* fbp_threads.h: barriers, counters and modes for worker threads, in threads.c. */
#ifndef FBP_THREADS_H
#define FBP_THREADS_H

#include <stddef.h>
#include <stdint.h>

/* Its counters share no line of cache with each other or with what lies around it. By padding: a barrier may be part of an
 * object that Python allocates, which knows no alignment of 64. */
typedef struct {
    char before[64];
    int arrived;
    char between[64];
    int generation;
    int sleepers;
    int64_t asleep; /* nanoseconds that threads have slept here, in total */
    char after[64];
} fbp_barrier;

void fbp_barrier_init(fbp_barrier *barrier);
void fbp_barrier_wait(fbp_barrier *barrier, int n_threads); /* of a team of n_threads */

/* Sleeps while *word == value, until somebody has changed it and calls fbp_wake, or for no reason. */
void fbp_sleep_while(const int *word, int value);
void fbp_wake(const int *word); /* all who sleep on it; only its address is used */

ptrdiff_t fbp_claim(ptrdiff_t *next, ptrdiff_t count); /* returns *next and adds count to it, atomically */

int64_t fbp_pause(int turn); /* one turn of waiting: the first turns spin, later ones yield; returns the time in nanoseconds */

/* Moves the calling thread to a free core if it shares its core with a thread of a lower number: beside a busy process the
 * scheduler may leave two threads of a team on one core for good. cpus[n_threads] is the core that each thread was on last.
 * Thread 0, the caller of the library, is never moved; the others have the same affinity mask as before. */
void fbp_spread(int *cpus, int thread, int n_threads);

/* How many more threads this process can start, up to `wanted`: starts them all at once and joins them. A library that cannot
 * start its team may end the process. */
int fbp_startable_threads(int wanted);

/* After fbp_watch_forks: fbp_process is 1 and one more in each child, and fbp_forked_beside_threads tells whether a process
 * with more than one thread has forked. In a child of such a process the threads of any library are in an unknown state. */
void fbp_watch_forks(void);
int64_t fbp_process(void);
int fbp_forked_beside_threads(void);

/* From now on this thread rounds to nearest, has no traps and takes denormals for zero; returns the mode to restore. */
uint64_t fbp_flush_denormals(void);
void fbp_restore_denormals(uint64_t mode);

#endif
