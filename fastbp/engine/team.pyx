"""A team's steps, phase after phase, in the batch-split or the wide regime.

Threads meet at no barrier. A phase is over when its items are done, whoever did them: what one thread has claimed and does not
finish, because something else has its core, is computed again by another that waits for it (see phases.h).
"""

from libc.stdint cimport int64_t

from fastbp.engine.limits cimport limit_weights
from fastbp.engine.runtime cimport (fbp_end_phase, fbp_item_apply, fbp_item_claim, fbp_item_done, fbp_item_pending,
                                    fbp_items_done, fbp_phase, pause, spread)
from fastbp.engine.split cimport apply_held, foresee, gradient_of, through, update, work_alone
from fastbp.engine.plan cimport APPLY, LAST, LIMIT, THROUGH, UPDATE, Phase, Worker, row_blocks
from fastbp.engine.wide cimport compute_part, gather_own, publish_part

cdef enum:
    PATIENCE = 20000        # nanoseconds that a thread waits before it helps, besides
    ITEMS_OF_PATIENCE = 4   # times the mean time of an item
    LOOK = 5000000          # nanoseconds between two looks where the others are: to move costs a time slice


cdef inline Py_ssize_t step_of(const Plan *p, int64_t phase) noexcept nogil:
    return (phase - 1) // p.n_phases


cdef void do_item(Worker *w, const Phase *part, int64_t phase, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Compute an item that is claimed, by this thread or another, and apply it if nobody has."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t step = step_of(p, phase)
    cdef bint finite = True
    cdef char *gradient = NULL
    if part.kind == THROUGH:
        finite = through(w, w.slot, step, i)
    elif part.kind == UPDATE:
        gradient = gradient_of(w, step, i)
    elif part.kind < UPDATE:
        finite = compute_part(w, part.kind, part.layer, step, i, n)
    if not fbp_item_apply(&part.states[i], phase):
        return
    if not finite:
        p.failed = step
    if part.kind == THROUGH:
        p.taken[i], w.slot = w.slot, p.taken[i]  # nobody needs what the slot held in the step before
    elif part.kind == UPDATE:
        update(w, gradient, step, i)
    elif part.kind == APPLY:
        apply_held(w, step, i)
    elif part.kind == LIMIT:
        limit_weights(p, i)
    else:
        publish_part(w, part.kind, part.layer, step, i, n)
    fbp_item_done(&part.states[i], phase)


cdef Py_ssize_t share_of(const Worker *w, const Phase *part, Py_ssize_t n) noexcept nogil:
    """The first of this thread's items: the same in each step, so that what it works on stays in its cache."""
    cdef Py_ssize_t i = 0
    if part.kind < UPDATE:
        return n * w.thread // w.n_threads
    while i < n - 1 and w.plan.blocks[i].owner * w.n_threads < w.thread * w.plan.team:
        i += 1
    return i


cdef void do_phase(Worker *w, const Phase *part, Py_ssize_t n, int64_t phase) noexcept nogil:
    """Items nobody has claimed, from this thread's share on; then wait for the others, or help them."""
    cdef Py_ssize_t share = share_of(w, part, n), i, own = 0, done = 0
    cdef int64_t start = pause(0), now, patience
    cdef int turn = 0
    for i in range(share, share + n):
        i = i - n if i >= n else i
        if fbp_item_claim(&part.states[i], phase):
            do_item(w, part, phase, i, n)
            own += 1
    now = pause(0)
    start, patience = now, PATIENCE + ITEMS_OF_PATIENCE * (now - start) // max(own, 1)
    while True:
        done = fbp_items_done(part.states, done, n, phase)
        if done == n or fbp_phase(&w.plan.phase) != phase:
            break
        now, turn = pause(turn), turn + 1
        if now - start > patience:
            for i in range(done, n):
                if fbp_item_pending(&part.states[i], phase):
                    do_item(w, part, phase, i, n)
            start, patience = pause(0), 2 * patience
    fbp_end_phase(&w.plan.phase, phase)


cdef void work_in_team(Worker *w) noexcept nogil:
    """Phase after phase; a thread that was off its core joins in the one that the others have come to."""
    cdef Plan *p = w.plan
    cdef int64_t phase, looked = 0
    cdef Py_ssize_t step
    cdef const Phase *part
    while True:
        phase = fbp_phase(&p.phase)
        step = step_of(p, phase)
        part = &p.phases[(phase - 1) % p.n_phases]
        if step >= p.n_steps or p.failed == step and part.kind != THROUGH and part.kind != LAST:
            return
        if pause(0) - looked > LOOK:
            spread(p.cpus, w.thread, w.n_threads)
            looked = pause(0)
        if part.kind == UPDATE:
            foresee(w, step + 1)
        if p.phases[0].kind != THROUGH:
            gather_own(w, step)
        do_phase(w, part, row_blocks(p, step) if part.kind == THROUGH else part.n, phase)


cdef void team_worker(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the run. Who does what never shows in the bits."""
    cdef Worker w
    w.plan, w.thread, w.n_threads, w.gathered = p, thread, n_threads, -1
    w.scratch = p.scratch + thread * p.scratch_bytes
    w.update, w.scaled = p.update, -1
    w.slot = &p.slots[(p.batch + p.rows - 1) // p.rows + thread]
    if n_threads == 1 and p.own == NULL:
        work_alone(&w)
    else:
        work_in_team(&w)
