"""The memory of a run that depends on the batch: slots, scratch, phases and blocks, in one allocation of 64-byte aligned pieces."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memset

from fastbp.engine.backward cimport Block, Place
from fastbp.engine.forward cimport Node
from fastbp.engine.limits cimport squares_before
from fastbp.engine.costmodel cimport blocks_of_team, phases_of
from fastbp.engine.runtime cimport (FBP_SAVED_SLOPE, FBP_LINE_BYTES, fbp_delta_scratch, fbp_features_at, fbp_features_bytes, fbp_part,
                                    fbp_sparse, fbp_sparse_at, fbp_sparse_bytes, fbp_update_block, fbp_update_scratch)
from fastbp.engine.plan cimport APPLY, LIMIT, SPARSE, UPDATE, WIDE, Kind, Phase, Slot, Streamed
from fastbp.engine.wide cimport packed_bytes

cdef enum:
    PAGE = 4096


cdef Py_ssize_t line_bytes(Py_ssize_t bytes) noexcept:
    return (bytes + FBP_LINE_BYTES - 1) // FBP_LINE_BYTES * FBP_LINE_BYTES


cdef Py_ssize_t slots_of_batch(const Plan *p) noexcept nogil:
    return (p.batch + p.rows - 1) // p.rows


cdef int make_workspace(Plan *p, Py_ssize_t batch, Partition partition, const char *follow, Memory memory) except -1:
    """Make `memory` large enough for batches of `batch` rows, and set the plan's pointers into it.

    The workspace begins at the page offset of `follow`, the end of the parameters: a load waits for a recent store with the same
    page offset, and a small network took 1.6 times as long when parameters and workspace shared offsets by chance.
    """
    cdef size_t item = p.kernels.item
    cdef Py_ssize_t i, size, total = PAGE, n_states = 0, n_held = 0, n_squares
    cdef Py_ssize_t[17] sizes
    cdef char *pieces[17]
    phases = phases_of(p.nodes, p.n_nodes, batch, partition, item)
    blocks = blocks_of_team(p.nodes, p.n_nodes, batch, partition, item)
    p.batch, p.rows, p.team, p.regime = batch, partition.rows, partition.team, partition.regime
    p.interruptible, p.by_row = partition.interruptible, partition.by_row
    cdef bint holds = p.clip_norm > 0 or partition.holds
    for kind in last_phases(p, holds):
        phases.append((kind, 0, len(blocks)))
    p.n_phases, p.n_blocks = len(phases), len(blocks)
    p.n_slots = slots_of_batch(p) + (partition.team if partition.team > 1 else 0)
    for _, _, n in phases:
        n_states += n
    if holds:
        for _, _, rows, _, n, _ in blocks:
            n_held += (rows + 1) * n
    n_squares = squares_before(p, p.n_nodes)
    p.scratch_bytes = bytes_of_scratch(p)
    # Plain loops: a list comprehension of Cython 3.3 frees an object twice when there is no memory for the list.
    sizes[:] = [p.n_slots * lay_out(p, NULL, 0), partition.team * p.scratch_bytes, p.n_slots * sizeof(Slot),
                p.n_slots * sizeof(void *), p.n_blocks * sizeof(Block), p.n_phases * sizeof(Phase), n_states * sizeof(int64_t),
                partition.team * sizeof(int), n_held * item, n_squares * sizeof(double) if p.clip_norm > 0 else 0,
                n_squares * sizeof(double) if p.max_norm > 0 else 0, p.n_blocks * sizeof(Place), packed_bytes(p), 0, 0, 0,
                2 * n_squares * sizeof(double) if p.l2_weight > 0 and p.update.l2 > 0 else 0]
    if p.regime == SPARSE:
        sizes[13], sizes[14] = p.n_slots * sizeof(fbp_sparse), p.batch * sizeof(void *)
        sizes[15] = fbp_features_bytes(p.nodes[0].n_in, p.n_slots * p.room, item)
    for size in sizes:
        total += line_bytes(size)
    memory.renew(total)
    cdef char *end = memory.data + (<uintptr_t>follow - <uintptr_t>memory.data) % PAGE
    for i in range(17):
        pieces[i] = end
        end += line_bytes(sizes[i])
    p.scratch = <char *>pieces[1]
    p.slots, p.taken = <Slot *>pieces[2], <void **>pieces[3]
    for i in range(p.n_slots):
        lay_out(p, &p.slots[i], <uintptr_t>pieces[0] + i * lay_out(p, NULL, 0))
    p.blocks = fill_blocks(<Block *>pieces[4], blocks, item)
    p.phases = fill_phases(<Phase *>pieces[5], phases, <int64_t *>pieces[6])
    p.cpus = <int *>pieces[7]
    p.held = <char *>pieces[8] if holds else NULL
    p.gradient_squares, p.weight_squares = <double *>pieces[9], <double *>pieces[10]
    p.penalty_squares = <double *>pieces[16] if sizes[16] else NULL
    p.places, p.packed = <Place *>pieces[11], NULL
    p.packing_room = <char *>pieces[12] if p.regime == WIDE else NULL
    if p.regime == SPARSE:
        p.sparse, p.delta_rows = <fbp_sparse *>pieces[13], <const void **>pieces[14]
        for i in range(p.n_slots):
            p.sparse[i] = fbp_sparse_at(p.slots[i].inputs, p.room, item)
        p.features = fbp_features_at(pieces[15], p.nodes[0].n_in, p.n_slots * p.room, item)
        memset(p.features.place, 0, p.nodes[0].n_in * sizeof(int32_t))
    return 0


cdef Py_ssize_t bytes_of_scratch(const Plan *p):
    """Scratch bytes of one thread in any regime."""
    cdef Py_ssize_t l, widest = 0, lists = 0, item = p.kernels.item, parts = slots_of_batch(p) * sizeof(fbp_part)
    for l in range(p.n_nodes):
        widest = max(widest, p.nodes[l].n_out)
        lists += sizeof(Streamed) + (p.nodes[l].n_in + 2) * sizeof(int)  # streaming: a count, the list of rows, one to spare
    gradient = line_bytes(parts) + (fbp_update_scratch(p.batch, item) + fbp_update_block(p.batch, item)) * item
    return line_bytes(max(lists, fbp_delta_scratch(widest, p.rows, item) * item, gradient))


cdef Py_ssize_t lay_out(const Plan *p, Slot *slot, uintptr_t end) noexcept:
    """Lay out a slot from the address `end` on, if it is not NULL; return the bytes of a slot."""
    cdef Py_ssize_t l, bytes, saved, item = p.kernels.item
    cdef const Node *last = &p.nodes[p.n_nodes - 1]
    cdef uintptr_t begin = end
    cdef Slot made
    made.inputs, end = <char *>end, end + line_bytes(fbp_sparse_bytes(p.rows, p.room, item) if p.regime == SPARSE
                                                     else p.rows * p.nodes[0].ld_in * item)
    made.target, end = <char *>end, end + line_bytes(p.rows * last.ld * item)
    made.row_loss, end = <double *>end, end + line_bytes(p.rows * sizeof(double))
    made.weights, end = <double *>end, end + line_bytes(p.rows * sizeof(double))
    made.order, end = <int64_t *>end, end + line_bytes(p.rows * sizeof(int64_t))
    made.correct, end = <uint8_t *>end, end + line_bytes(p.rows)
    made.outputs, end = <char **>end, end + line_bytes(p.n_nodes * sizeof(char *))
    made.slopes, end = <char **>end, end + line_bytes(p.n_nodes * sizeof(char *))
    made.deltas, end = <char **>end, end + line_bytes(p.n_nodes * sizeof(char *))
    for l in range(p.n_nodes):
        bytes = line_bytes(p.rows * p.nodes[l].ld * item)
        saved = bytes if p.nodes[l].slope.code == FBP_SAVED_SLOPE else 0
        if slot != NULL:
            made.outputs[l], made.deltas[l] = <char *>end, <char *>(end + bytes)
            made.slopes[l] = <char *>(end + 2 * bytes if saved else end)
        end += 2 * bytes + saved
    if slot != NULL:
        slot[0] = made
    return end - begin


cdef Block *fill_blocks(Block *out, list blocks, Py_ssize_t item):
    cdef Py_ssize_t i, held = 0
    for i in range(len(blocks)):
        out[i].node, out[i].first, out[i].rows, out[i].column, out[i].n, out[i].owner = blocks[i]
        out[i].held = held
        held += (out[i].rows + 1) * out[i].n * item
    return out


cdef list last_phases(const Plan *p, bint holds):
    """The phases whose items are the blocks."""
    return [UPDATE] + ([APPLY] if holds else []) + ([LIMIT] if p.max_norm > 0 else [])


cdef Phase *fill_phases(Phase *out, list phases, int64_t *states):
    cdef Py_ssize_t i
    for i in range(len(phases)):
        kind, out[i].node, out[i].n = phases[i]
        out[i].kind, out[i].states = <Kind><int>kind, states
        states += out[i].n
    return out


cdef void clear_slots(Plan *p) noexcept nogil:
    """Zero outputs and deltas after a failed step: a NaN in a delta that a later step skips would stay."""
    cdef Py_ssize_t i, l
    for i in range(p.n_slots):
        for l in range(p.n_nodes):
            memset(p.slots[i].outputs[l], 0, p.rows * p.nodes[l].ld * p.kernels.item)
            memset(p.slots[i].deltas[l], 0, p.rows * p.nodes[l].ld * p.kernels.item)


cdef void reset_phases(Plan *p) noexcept nogil:
    """Return to the first phase, with every block of rows in a slot of its own."""
    cdef Py_ssize_t i
    p.phase = 1
    for i in range(p.n_phases):
        memset(p.phases[i].states, 0, p.phases[i].n * sizeof(int64_t))
    for i in range(slots_of_batch(p)):
        p.taken[i] = &p.slots[i]
