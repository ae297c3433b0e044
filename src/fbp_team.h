/* fbp_team.h: a team of threads, the caller and others, in team.c. A build has one kind of team; results know of none. */
#ifndef FBP_TEAM_H
#define FBP_TEAM_H

/* One thread's part of a region: `data` is what the caller gave, `thread` 0 the caller itself. */
typedef void fbp_work(void *data, int thread, int n_threads);

/* Has each thread of a team do `work`, and returns when all have. The team has at most `n_threads`, and fewer where the system
 * or the OpenMP library grants no more: only `work` is told how many. Any number of callers have a team each at the same time.
 */
void fbp_team_run(fbp_work *work, void *data, int n_threads);

const char *fbp_team_kind(void); /* "openmp", "pthread" or "none", where a team is the caller alone */
int fbp_team_ready(
    int n_threads);      /* the threads of the team that the calling thread would get; starts those that are missing */
int fbp_team_lost(void); /* whether this process is a child in which a team would hang */

/* The most threads of a team of the calling thread: INT_MAX, or a number that somebody has asked for. */
int fbp_team_most(void);
void fbp_team_allow(int n_threads);
int fbp_team_cpus(void); /* what fbp_team_most may be at least if nobody has asked for less */

#endif
