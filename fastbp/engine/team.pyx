"""A run of steps by a team, and the phases of a step in the batch-split and the wide regime.

There is no barrier between phases. A phase is over when its items are done, by whichever thread. If a thread does not finish an
item that it has claimed, because something else has its core, a waiting thread computes the item again (see phases.h).
"""

from libc.stdint cimport int64_t, uint64_t

from fastbp.engine.limits cimport limit_weights
from fastbp.engine.runtime cimport (FBP_COMPUTES_AGAIN, barrier_init, fbp_begin_attempt, fbp_end_attempt, fbp_end_phase,
                                    fbp_item_apply, fbp_item_claim, fbp_item_done, fbp_item_pending, fbp_items_done, fbp_put,
                                    fbp_put_word, fbp_word, flush_denormals, pause, restore_denormals, spread, team_run)
from fastbp.engine.signals cimport may_leave, signalled
from fastbp.engine.split cimport apply_held, gradient_of, prefetch, through, update, work_alone
from fastbp.engine.plan cimport (APPLY, FINE, LAST, LIMIT, STREAM, THROUGH, UPDATE, Fault, Phase, Slot, Worker, row_blocks,
                                 slot_of)
from fastbp.engine.stream cimport stream_worker
from fastbp.engine.wide cimport compute_part, gather_own, publish_part

cdef enum:
    PATIENCE = 20000        # nanoseconds that a thread waits before it helps, plus
    ITEMS_OF_PATIENCE = 4   # this many times the mean time of an item
    LOOK = 5000000          # nanoseconds between two checks of the cores that the threads are on: to move costs a time slice


cdef inline Py_ssize_t step_of(const Plan *p, int64_t phase) noexcept nogil:
    return (phase - 1) // p.n_phases


cdef Fault compute(Worker *w, const Phase *part, Py_ssize_t step, Py_ssize_t i, Py_ssize_t n, char **gradient) noexcept nogil:
    """Compute item i of n into the thread's own memory; a late thread may do so from rows and weights that others already write."""
    if part.kind == THROUGH:
        return through(w, w.slot, step, i)
    if part.kind == UPDATE:
        gradient[0] = gradient_of(w, step, i)
    elif part.kind < UPDATE:
        return compute_part(w, part.kind, part.node, step, i, n)
    return FINE


cdef void do_item(Worker *w, const Phase *part, int64_t phase, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Compute an item that this thread or another has claimed, and apply it unless another thread already has."""
    cdef Plan *p = w.plan
    cdef Py_ssize_t step = step_of(p, phase)
    cdef char *gradient = NULL
    cdef Slot *before
    fbp_begin_attempt()
    cdef Fault fault = compute(w, part, step, i, n, &gradient)
    fbp_end_attempt()
    if not fbp_item_apply(&part.states[i], phase):
        return
    if FBP_COMPUTES_AGAIN:
        fault = compute(w, part, step, i, n, &gradient)
    if fault != FINE:
        fbp_put_word(&p.fault, fault)
        fbp_put_word(&p.failed, step)
    if part.kind == THROUGH:
        before = slot_of(p, i)  # its rows of the step before are no longer needed
        fbp_put(&p.taken[i], w.slot)
        w.slot = before
    elif part.kind == UPDATE:
        update(w, gradient, step, i)
    elif part.kind == APPLY:
        apply_held(w, step, i)
    elif part.kind == LIMIT:
        limit_weights(p, i)
    else:
        publish_part(w, part.kind, part.node, step, i, n)
    fbp_item_done(&part.states[i], phase)


cdef Py_ssize_t share_of(const Worker *w, const Phase *part, Py_ssize_t n) noexcept nogil:
    """The first item of this thread's share, the same in each step, so that its data stays in cache."""
    cdef Py_ssize_t i = 0
    if part.kind < UPDATE:
        return n * w.thread // w.n_threads
    while i < n - 1 and w.plan.blocks[i].owner * w.n_threads < w.thread * w.plan.team:
        i += 1
    return i


cdef bint do_phase(Worker *w, const Phase *part, Py_ssize_t n, int64_t phase) noexcept nogil:
    """Do unclaimed items, beginning with this thread's share; then wait for the other threads, or help them.

    False if the step is dropped because of a signal.
    """
    cdef bint leaves = w.plan.interruptible and may_leave(w.plan, part.kind)
    cdef Py_ssize_t share = share_of(w, part, n), i, own = 0, done = 0
    cdef int64_t start = pause(0), now, patience
    cdef int turn = 0
    for i in range(share, share + n):
        i = i - n if i >= n else i
        if fbp_item_claim(&part.states[i], phase):
            do_item(w, part, phase, i, n)
            own += 1
        if leaves and signalled(w):
            return False
    now = pause(0)
    start, patience = now, PATIENCE + ITEMS_OF_PATIENCE * (now - start) // max(own, 1)
    while True:
        done = fbp_items_done(part.states, done, n, phase)
        if done == n or fbp_word(&w.plan.phase) != phase:
            break
        if leaves and signalled(w):
            return False
        now, turn = pause(turn), turn + 1
        if w.plan.helps and now - start > patience:
            for i in range(done, n):
                if fbp_item_pending(&part.states[i], phase):
                    do_item(w, part, phase, i, n)
            start, patience = pause(0), 2 * patience
    fbp_end_phase(&w.plan.phase, phase)
    return True


cdef void work_in_team(Worker *w) noexcept nogil:
    """Do phase after phase; a thread that was off its core continues with the phase that the others have reached."""
    cdef Plan *p = w.plan
    cdef int64_t phase, looked = 0
    cdef Py_ssize_t step
    cdef const Phase *part
    while True:
        phase = fbp_word(&p.phase)
        step = step_of(p, phase)
        part = &p.phases[(phase - 1) % p.n_phases]
        if step >= p.n_steps or fbp_word(&p.failed) == step and part.kind != THROUGH and part.kind != LAST:
            return
        if pause(0) - looked > LOOK:
            spread(p.cpus, w.thread, w.n_threads)
            looked = pause(0)
        if part.kind == UPDATE:
            prefetch(w, step + 1)
        if p.phases[0].kind != THROUGH:
            gather_own(w, step)
        if not do_phase(w, part, row_blocks(p, step) if part.kind == THROUGH else part.n, phase):
            return


cdef void team_worker(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the run. Which thread does an item does not show in the results."""
    cdef Worker w
    w.plan, w.thread, w.n_threads, w.gathered = p, thread, n_threads, -1
    w.looked_for_signals = pause(0)
    w.scratch = p.scratch + thread * p.scratch_bytes
    w.update, w.scaled, w.proved = p.update, -1, -1
    w.slot = &p.slots[(p.batch + p.rows - 1) // p.rows + thread]
    if n_threads == 1 and p.packed == NULL:
        work_alone(&w)
    else:
        work_in_team(&w)


cdef void work(Plan *p, int thread, int n_threads) noexcept nogil:
    """One thread's share of the steps, in the plan's regime, with denormals flushed to zero."""
    cdef uint64_t mode = flush_denormals()
    if thread == 0:
        p.caller_mode = mode
    if p.regime == STREAM:
        stream_worker(p, thread, n_threads)
    else:
        team_worker(p, thread, n_threads)
    restore_denormals(mode)


cdef void work_and_look(void *plan, int thread, int n_threads) noexcept nogil:
    """One thread's share; the caller then notes when it begins to wait for the others."""
    cdef Plan *p = <Plan *>plan
    work(p, thread, n_threads)
    if thread == 0:
        p.waited = -pause(0)


cdef void run_steps(Plan *p, int n_threads) noexcept nogil:
    """Run the plan's steps on a team of n_threads, or of as many as it is granted."""
    if n_threads == 1:
        work(p, 0, 1)
        return
    barrier_init(&p.barrier)
    team_run(work_and_look, p, n_threads)
    p.waited += pause(0)
