/* phases.h: how threads share out the items of a phase without meeting at a barrier.
 *
 * Phases are numbered from 1 on. A thread claims an item, computes it into its own memory, applies the result and marks the
 * item done. Only the first thread that wants to apply an item does so. A waiting thread can therefore compute again an item
 * that was claimed by a thread which has lost its core; the late thread notices when it wants to apply its result. The state of
 * an item is 4 * phase + FBP_CLAIMED, FBP_APPLIED or FBP_DONE; an item below 4 * phase is free. */
#ifndef FBP_PHASES_H
#define FBP_PHASES_H

#include "fbp_msvc.h"

#include <stddef.h>
#include <stdint.h>

/* The memory order that makes the work on an item visible to a thread that sees it done. A build for ThreadSanitizer may define
 * a weaker order, to show that the sanitizer finds the fault. */
#ifndef FBP_DONE_ORDER
#define FBP_DONE_ORDER __ATOMIC_RELEASE
#endif

#if defined(__SANITIZE_THREAD__)
#define FBP_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FBP_THREAD_SANITIZER
#endif
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

/* Claimed by any thread and not yet applied. */
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

/* The first item from `first` on that is not done, or n. */
static inline ptrdiff_t fbp_items_done(const int64_t *states, ptrdiff_t first, ptrdiff_t n, int64_t phase)
{
    while (first < n && __atomic_load_n(states + first, __ATOMIC_ACQUIRE) >= 4 * phase + FBP_DONE)
        first++;
    return first;
}

/* Words and pointers that a thread may read while another thread changes them: the slot of a block of rows is replaced when the
 * block is applied, and a late thread may still read the old one. Its result is discarded. */
static inline void fbp_put(void **place, void *value) { __atomic_store_n(place, value, __ATOMIC_RELEASE); }

static inline void *fbp_look(void *const *place) { return __atomic_load_n(place, __ATOMIC_ACQUIRE); }

static inline void fbp_put_word(int64_t *word, int64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

static inline int64_t fbp_word(const int64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

/* Counts that something begins to be written. A reader that counts before it reads and after has read nothing half written if
 * both are the same: the fences keep the writing after the first and the reading before the second. */
static inline void fbp_count(int64_t *begun)
{
    __atomic_add_fetch(begun, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline int64_t fbp_counted(const int64_t *begun)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(begun, __ATOMIC_SEQ_CST);
}

/* A thread computes an item from memory of others: weights, and rows in their slots. Only if it is late, because the item is
 * done and the next phases have begun, may they write that memory meanwhile, and then fbp_item_apply fails and the result is
 * thrown away. To wait for such a thread would be a barrier, and for its own copy of the weights each step would write twice as
 * much. No number that it reads so becomes an address, an index or a bound of a loop, and it writes to memory of its own alone,
 * so numbers that are torn or of two steps do no harm. C has no relaxed atomic load of a vector; the vector loads of the
 * machine are what the relaxed loads of its elements would be.
 *
 * In a build for ThreadSanitizer these reads are not looked at, because the thread cannot know yet whether it is late. But once
 * fbp_item_apply has succeeded, so that nobody may write what the item reads before it is done, the item is computed again with
 * all accesses checked: every read that counts is one of those. */
#ifdef FBP_THREAD_SANITIZER
enum { FBP_COMPUTES_AGAIN = 1 };
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
static inline void fbp_begin_attempt(void) { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
static inline void fbp_end_attempt(void) { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#else
enum { FBP_COMPUTES_AGAIN = 0 };
static inline void fbp_begin_attempt(void) {}
static inline void fbp_end_attempt(void) {}
#endif

/* Begins the next phase; several threads may call it for the same phase. */
static inline void fbp_end_phase(int64_t *current, int64_t phase) { fbp_swap(current, phase, phase + 1); }

#endif
