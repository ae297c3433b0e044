"""The cost model: chooses threads, regime and block sizes of a step. Its choice does not show in the results.

The figures behind the constants are in ARCHITECTURE.md.
"""

from fastbp.engine.backward cimport blocks_of
from fastbp.engine.forward cimport any_frozen, is_chain, lowest_trained
from fastbp.engine.runtime cimport (FBP_FOLD_ROWS, FBP_LEAST_PART, FBP_LINE_BYTES, FBP_SOFTMAX, Memory, fbp_leading_dimension,
                                    fbp_update_block_lines)
from fastbp.engine.plan cimport DELTA, FORWARD, LAST, SPARSE, SPLIT, STREAM, THROUGH, WIDE

from fastbp.engine.cpus import l2_bytes
from fastbp.errors import ConfigError

REGIMES = {"batch-split": SPLIT, "wide": WIDE, "streaming": STREAM, "sparse": SPARSE}
KINDS = {THROUGH: "through", FORWARD: "forward", LAST: "last", DELTA: "delta"}

cdef enum:
    PHASE_ROWS = 64             # most rows of a slot in the batch-split regime: they stay in L2 beside the weights
    WIDE_ROWS = 64              # most rows a thread of the wide regime: beyond, arithmetic hides the fetching of weights
    WIDE_ROWS_IN_L2 = 128       # the same where L2 holds all weights: the cost is then to take back lines that others have read
    HIDDEN_PASSES = 3           # a hidden output of the wide regime is copied out, leaves one cache and is fetched by another
    PANEL_LINES = 3             # 64-byte lines of the narrowest block that a kernel computes at full speed
    WIDE_LINES = 12             # 64-byte lines of a block of columns
    BYTES_OF_A_STREAM = 1 << 20 # fewer weights stream faster on one thread, without barriers
    FLOPS_OF_A_STEP = 500000    # a smaller step is faster on one thread
    BLOCKS_OF_A_THREAD = 4      # fewest gradient blocks a thread, if narrower blocks can provide them
    BYTES_OF_A_THREAD = 1 << 19 # least bytes of weights for each thread of a streaming team
    FLOPS_OF_A_LONG_STEP = 1000000000   # tens of milliseconds; looking for signals costs nothing in these
    ROWS_OF_A_HELD_STEP = 1024  # from here on, writing the gradient and reading it again is less than 2% of a step
    BYTES_OF_A_PHASE = 12000    # beginning a phase costs as much as fetching these from another core's cache

cdef double READ_AND_WRITTEN = 2.5  # cost of a line that others read and its owner writes, in lines that are only fetched


cdef Forced now = Forced(False, -1, -1, True, 0)


cdef Forced forced() noexcept:
    return now


def force(active, regime=None, packs=None, helps=True, region_steps=0):
    """Force the choices of `fastbp.testing.forced`, or end it: regime, packing of the first layer, help of waiting threads, regions."""
    now.active, now.helps, now.region_steps = active, helps, region_steps
    now.regime = -1 if regime is None else REGIMES[regime]
    now.packs = -1 if packs is None else bool(packs)


def region_steps():
    """The steps that a region of `Trainer.fit` is forced to have, or 0."""
    return now.region_steps


cdef Partition partition(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, int n_threads, size_t item,
                         bint may_stream, bint sparse, bint by_row, double l2) except *:
    """Choose the partition of a step on cores whose L2 cache has `l2` bytes.

    Only chains are streamed or split by columns. A step that needs its whole gradient before an update cannot stream, nor one of a
    chain with a frozen node, because a streaming pass makes the delta below and the update at once. A network of one layer
    is not split by columns, because the last layer is split by rows. Rows that are `sparse` are left so,
    and with `by_row` the update of the first weight is one of the rows that they need.
    """
    cdef Partition chosen
    cdef bint chain = is_chain(nodes, n_nodes), few = chain and batch <= FBP_FOLD_ROWS, wide
    cdef double weights = 0, flops = 0
    cdef Py_ssize_t l
    cdef int most
    may_stream = may_stream and not any_frozen(nodes, n_nodes)
    for l in range(n_nodes):
        weights += nodes[l].n_in * nodes[l].ld * item
        flops += 6.0 * batch * nodes[l].n_in * nodes[l].n_out
    chosen.team = n_threads if few else min(n_threads, max(1, batch // FBP_LEAST_PART))
    if not now.active:
        if few:
            most = max(1, <int>min(weights / BYTES_OF_A_THREAD, 1e6)) if weights >= BYTES_OF_A_STREAM else 1
            chosen.team = min(chosen.team, most)
        elif flops < FLOPS_OF_A_STEP:
            chosen.team = 1
    wide = chain and not few and n_nodes > 1 and chosen.team > 1
    if now.regime >= 0:
        require(wide if now.regime == WIDE else few and may_stream if now.regime == STREAM
                else sparse if now.regime == SPARSE else True)
        chosen.regime = <Regime>now.regime
    elif sparse:
        chosen.regime = SPARSE
    elif few and may_stream:
        chosen.regime = STREAM
    else:
        chosen.regime = WIDE if wide and narrows(nodes, n_nodes, batch, chosen.team, weights, item, l2) else SPLIT
    if chosen.regime == SPARSE:
        chosen.team = 1
    chosen.rows = batch if few or chosen.regime == WIDE else split_rows(batch, chosen.team)  # few: one slot for all
    chosen.interruptible = flops >= FLOPS_OF_A_LONG_STEP
    chosen.by_row = chosen.regime == SPARSE and by_row
    chosen.holds = chosen.interruptible and batch >= ROWS_OF_A_HELD_STEP and not chosen.by_row
    return chosen


cdef bint require(bint possible) except *:
    if not possible:
        raise ConfigError("regime: got one that does not suit the network, the batch or the threads")
    return True


cdef bint narrows(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, int team, double weights, size_t item,
                  double l2):
    """Whether threads fetch fewer bytes from each other if they own columns."""
    return (batch <= team * (WIDE_ROWS if weights > l2 else WIDE_ROWS_IN_L2)
            and wide_bytes(nodes, n_nodes, batch, team, weights, item, l2)
            < split_bytes(nodes, n_nodes, batch, team, weights, item, l2))


cdef Py_ssize_t split_rows(Py_ssize_t batch, int team) noexcept:
    """Rows of a slot: the same number of blocks for every thread, at most PHASE_ROWS rows each, in whole half tiles."""
    cdef Py_ssize_t blocks = team * ((batch + team * PHASE_ROWS - 1) // (team * PHASE_ROWS))
    return min(<Py_ssize_t>PHASE_ROWS, ((batch + blocks - 1) // blocks + 3) // 4 * 4)


cdef double split_bytes(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, int team, double weights, size_t item,
                        double l2):
    """Bytes that a thread of the batch-split regime fetches from other caches in a step.

    These are weights that others have updated, the lines of its own weights that others have read, and rows, outputs and deltas
    of the others for its gradients. Weights that L2 does not hold also come from the shared cache: all of them forward and
    backward, its own part for the update.
    """
    cdef double rows = 0
    cdef Py_ssize_t l
    for l in range(n_nodes):
        rows += batch * (nodes[l].ld_in + nodes[l].ld) * item
    return (team - 1.0) / team * (READ_AND_WRITTEN * weights + rows) + ((2 + 1.0 / team) * weights if weights > l2 else 0)


cdef double wide_bytes(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, int team, double weights, size_t item,
                       double l2):
    """The same in the wide regime: rows that others gather too, outputs and deltas of the others, weights above the first layer,
    whose columns others read for the deltas, and the cost of the phases.
    """
    cdef double rows = batch * nodes[0].ld_in * item, above = weights - nodes[0].n_in * nodes[0].ld * item
    cdef Py_ssize_t l
    for l in range(n_nodes - 1):
        rows += 2.0 * HIDDEN_PASSES * batch * nodes[l].ld * item
    return ((team - 1.0) / team * (READ_AND_WRITTEN * above + rows) + 2.0 * (n_nodes - 1) * BYTES_OF_A_PHASE
            + (3 * weights / team if weights > l2 else 0))


cdef Py_ssize_t parts_of(Py_ssize_t lines, int team, bint whole):
    """The number of parts that lines of columns are split into, the same for each thread; 1 if rows must stay whole."""
    return 1 if whole else min(lines, team * ((lines + team * WIDE_LINES - 1) // (team * WIDE_LINES)))


cdef list phases_of(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, Partition partition, size_t item):
    """(kind, node, items) of the phases of a step before the update."""
    cdef Py_ssize_t l, line = FBP_LINE_BYTES // item, lowest = lowest_trained(nodes, n_nodes)
    if partition.regime != WIDE:
        return [(THROUGH, 0, (batch + partition.rows - 1) // partition.rows)]
    up, down = [], []
    for l in range(n_nodes - 1):
        n = parts_of((nodes[l].n_out + line - 1) // line, partition.team, nodes[l].activation.code == FBP_SOFTMAX)
        up.append((FORWARD, l, n))
        if l >= lowest:
            down.insert(0, (DELTA, l + 1, n))
    return up + [(LAST, n_nodes - 1, partition.team)] + down


cdef Py_ssize_t block_lines(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, int team, size_t item):
    """Most lines of columns of a gradient block; fewer if there would be too few blocks for the team."""
    cdef Py_ssize_t most = fbp_update_block_lines(batch), l, count = 0
    for l in range(n_nodes):
        if nodes[l].frozen:
            continue
        count += len(blocks_of(&nodes[l], batch, item, 1, most))
    return PANEL_LINES if most > PANEL_LINES and count < BLOCKS_OF_A_THREAD * team else most


cdef list blocks_of_team(const Node *nodes, Py_ssize_t n_nodes, Py_ssize_t batch, Partition partition, size_t item):
    """(node, first row, rows, first column, columns, owner) of all blocks of nodes that are trained, ordered by owner.

    In the wide regime the owner is the thread that owns the columns; otherwise the blocks are shared out equally.
    """
    cdef Py_ssize_t l, line = FBP_LINE_BYTES // item, parts = 1
    cdef double total = 0, before = 0
    blocks = []
    cdef Py_ssize_t most = block_lines(nodes, n_nodes, batch, partition.team, item)
    for l in range(n_nodes):
        if nodes[l].frozen:
            continue
        total += nodes[l].n_in * nodes[l].ld
        if partition.regime == WIDE:
            parts = parts_of((nodes[l].n_out + line - 1) // line, partition.team, False)
        for part, first, rows, column, n in blocks_of(&nodes[l], batch, item, parts, most):
            if partition.by_row and l == 0:  # a block has all rows of its columns
                if first > 0:
                    break
                rows = nodes[l].n_in
            blocks.append((l, first, rows, column, n, part * partition.team // parts))
    if partition.regime == WIDE:
        return sorted(blocks, key=lambda block: block[5])
    shared = []
    for block in blocks:
        shared.append((*block[:5], int(before * partition.team / total)))
        before += block[2] * block[4]
    return shared


def describe(widths, Py_ssize_t batch, int n_threads, size_t item=4, l2=None):
    """The partition of a step of a network of these widths: team, rows of a slot, whether wide, phases and blocks of weights.

    Returns a dict; `phases` are (kind, layer, items) before the update, none in the streaming regime; `blocks` are
    (layer, rows, columns padded to whole lines, owner). `l2` is the size of a core's L2 cache in bytes, by default this
    machine's. For the model of the benchmarks.
    """
    cdef Memory memory = Memory(len(widths) * sizeof(Node))
    cdef Node *nodes = <Node *>memory.data
    cdef Py_ssize_t n_nodes = len(widths) - 1, l
    for l in range(n_nodes):
        nodes[l].n_in, nodes[l].n_out = widths[l], widths[l + 1]
        nodes[l].ld_in = fbp_leading_dimension(nodes[l].n_in, item)
        nodes[l].ld = fbp_leading_dimension(nodes[l].n_out, item)
    cdef Partition chosen = partition(nodes, n_nodes, batch, n_threads, item, True, False, False, l2_bytes() if l2 is None else l2)
    blocks = blocks_of_team(nodes, n_nodes, batch, chosen, item)
    phases = phases_of(nodes, n_nodes, batch, chosen, item) if batch > FBP_FOLD_ROWS else []
    return {
        "team": chosen.team, "rows": chosen.rows, "wide": chosen.regime == WIDE,
        "phases": [(KINDS[kind], node, n) for kind, node, n in phases],
        "blocks": [(b[0], b[2], b[4], b[5]) for b in blocks],
    }
