/* phases.h: who does which item of a phase, for threads that meet at no barrier.
 *
 * Phases are numbered from 1 on. An item is claimed, computed into memory of the thread's own, then
 * applied by whoever comes first, and by nobody else, and done. So a waiting thread can compute once more what a thread that
 * is off its core has claimed, and the late one finds out when it wants to apply. The state of an item is 4 * phase + how far
 * it is in that phase; anything below 4 * phase is free. */
#ifndef FBP_PHASES_H
#define FBP_PHASES_H

#include <stddef.h>
#include <stdint.h>

/* What makes the work on an item visible to whoever sees that it is done. A build for ThreadSanitizer may name a weaker order, to
 * show that it finds what is then missing. */
#ifndef FBP_DONE_ORDER
#define FBP_DONE_ORDER __ATOMIC_RELEASE
#endif

enum { FBP_CLAIMED = 1, FBP_APPLIED = 2, FBP_DONE = 3 };

static inline int fbp_swap(int64_t *word, int64_t from, int64_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline int fbp_item_claim(int64_t *state, int64_t phase)
{
    const int64_t seen = __atomic_load_n(state, __ATOMIC_RELAXED);
    return seen < 4 * phase && fbp_swap(state, seen, 4 * phase + FBP_CLAIMED);
}

/* Claimed by somebody, and not yet applied. */
static inline int fbp_item_pending(const int64_t *state, int64_t phase)
{
    return __atomic_load_n(state, __ATOMIC_RELAXED) == 4 * phase + FBP_CLAIMED;
}

static inline int fbp_item_apply(int64_t *state, int64_t phase)
{
    return fbp_swap(state, 4 * phase + FBP_CLAIMED, 4 * phase + FBP_APPLIED);
}

static inline void fbp_item_done(int64_t *state, int64_t phase)
{
    __atomic_store_n(state, 4 * phase + FBP_DONE, FBP_DONE_ORDER);
}

/* The first of the states from `first` on that is not done, or n. */
static inline ptrdiff_t fbp_items_done(const int64_t *states, ptrdiff_t first, ptrdiff_t n, int64_t phase)
{
    while (first < n && __atomic_load_n(states + first, __ATOMIC_ACQUIRE) >= 4 * phase + FBP_DONE)
        first++;
    return first;
}

/* Words and pointers that a thread may look at while another one changes them: the slot of a block of rows is replaced when the
 * block is applied, and a thread that is late may still look for the old one. What it makes of it is thrown away. */
static inline void fbp_put(void **place, void *value) { __atomic_store_n(place, value, __ATOMIC_RELEASE); }

static inline void *fbp_look(void *const *place) { return __atomic_load_n(place, __ATOMIC_ACQUIRE); }

static inline void fbp_put_word(int64_t *word, int64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

static inline int64_t fbp_word(const int64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

/* On to the next phase; any number of threads may say so. */
static inline void fbp_end_phase(int64_t *current, int64_t phase) { fbp_swap(current, phase, phase + 1); }

#endif
