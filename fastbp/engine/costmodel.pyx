"""The cost model: how many threads a step is worth, in which regime, in blocks of which size. Never does it show in the bits.

The figures behind the constants are in ARCHITECTURE.md.
"""

from fastbp.engine.backward cimport blocks_of
from fastbp.engine.forward cimport is_chain
from fastbp.engine.runtime cimport (FBP_FOLD_ROWS, FBP_LEAST_PART, FBP_LINE_BYTES, FBP_SOFTMAX, Memory, fbp_leading_dimension,
                                    fbp_update_block_lines)
from fastbp.engine.plan cimport DELTA, FORWARD, LAST, THROUGH

from fastbp.engine.cpus import l2_bytes

KINDS = {THROUGH: "through", FORWARD: "forward", LAST: "last", DELTA: "delta"}

cdef enum:
    PHASE_ROWS = 64             # most rows of a slot in the batch-split regime: they stay in L2 beside the weights
    WIDE_ROWS = 64              # most rows a thread of the wide regime: beyond, fetching weights hides behind arithmetic;
    WIDE_ROWS_IN_L2 = 128       # the same where L2 holds all weights: what costs then is to take back lines that others have read
    HIDDEN_PASSES = 3           # a hidden output of the wide regime is copied out, given up by one cache and fetched by another
    PANEL_LINES = 3             # 64-byte lines of the narrowest block that a kernel computes at full speed
    WIDE_LINES = 12             # 64-byte lines of a block of columns
    BYTES_OF_A_STREAM = 1 << 20 # weights below this stream faster through one thread than through barriers
    FLOPS_OF_A_STEP = 500000    # a step below this is faster on one thread than two phases of two
    BLOCKS_OF_A_THREAD = 4      # fewest gradient blocks to share out, where narrower ones would be enough
    BYTES_OF_A_PHASE = 12000    # to begin a phase costs as much as to fetch these from another core's cache

cdef double READ_AND_WRITTEN = 2.5  # a line that others fetch and its owner takes back to write it, in lines that are only fetched


cdef Cut cut_of(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, int n_threads, size_t item, bint always_share):
    """With always_share every step is worth all threads that find rows; for tests. Only chains are streamed or cut in columns."""
    cdef Cut cut
    cdef bint chain = is_chain(layers, n_layers), streams = chain and batch <= FBP_FOLD_ROWS
    cdef double weights = 0, flops = 0
    cdef Py_ssize_t l
    for l in range(n_layers):
        weights += layers[l].n_in * layers[l].ld * item
        flops += 6.0 * batch * layers[l].n_in * layers[l].n_out
    if streams:
        cut.team = n_threads if weights >= BYTES_OF_A_STREAM or always_share else 1
    else:
        cut.team = min(n_threads, max(1, batch // FBP_LEAST_PART)) if flops >= FLOPS_OF_A_STEP or always_share else 1
    cut.wide = (chain and cut.team > 1
                and FBP_FOLD_ROWS < batch <= cut.team * (WIDE_ROWS if weights > l2_bytes() else WIDE_ROWS_IN_L2)
                and wide_bytes(layers, n_layers, batch, cut.team, weights, item)
                < split_bytes(layers, n_layers, batch, cut.team, weights, item))
    cut.rows = batch if cut.wide or streams else split_rows(batch, cut.team)  # streaming: one slot for all
    return cut


cdef Py_ssize_t split_rows(Py_ssize_t batch, int team) noexcept:
    """The same number of blocks for every thread, at most PHASE_ROWS rows each, whole half tiles."""
    cdef Py_ssize_t blocks = team * ((batch + team * PHASE_ROWS - 1) // (team * PHASE_ROWS))
    return min(<Py_ssize_t>PHASE_ROWS, ((batch + blocks - 1) // blocks + 3) // 4 * 4)


cdef double split_bytes(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, int team, double weights, size_t item):
    """What a thread of the batch-split regime takes from other caches in a step: weights that others updated, and back those
    that it updates and others have read; rows, outputs and deltas of the others for its gradients. Weights that L2 does not hold
    come from the shared cache besides: all of them up and down, its own part for the update."""
    cdef double rows = 0
    cdef Py_ssize_t l
    for l in range(n_layers):
        rows += batch * (layers[l].ld_in + layers[l].ld) * item
    return (team - 1.0) / team * (READ_AND_WRITTEN * weights + rows) + ((2 + 1.0 / team) * weights if weights > l2_bytes() else 0)


cdef double wide_bytes(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, int team, double weights, size_t item):
    """The same in a wide step: rows that others gather too, outputs and deltas of the others, weights above the first layer,
    whose columns others read for the deltas, and what the phases cost."""
    cdef double rows = batch * layers[0].ld_in * item, above = weights - layers[0].n_in * layers[0].ld * item
    cdef Py_ssize_t l
    for l in range(n_layers - 1):
        rows += 2.0 * HIDDEN_PASSES * batch * layers[l].ld * item
    return ((team - 1.0) / team * (READ_AND_WRITTEN * above + rows) + 2.0 * (n_layers - 1) * BYTES_OF_A_PHASE
            + (3 * weights / team if weights > l2_bytes() else 0))


cdef Py_ssize_t parts_of(Py_ssize_t lines, int team, bint whole):
    """Parts of so many lines of columns, the same number for each thread; one if rows must stay whole."""
    return 1 if whole else min(lines, team * ((lines + team * WIDE_LINES - 1) // (team * WIDE_LINES)))


cdef list phases_of(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Cut cut, size_t item):
    """(kind, layer, items) of the phases of a step, the update last; its items are the blocks."""
    cdef Py_ssize_t l, line = FBP_LINE_BYTES // item
    if not cut.wide:
        return [(THROUGH, 0, (batch + cut.rows - 1) // cut.rows)]
    up, down = [], []
    for l in range(n_layers - 1):
        n = parts_of((layers[l].n_out + line - 1) // line, cut.team, layers[l].activation.code == FBP_SOFTMAX)
        up.append((FORWARD, l, n))
        down.insert(0, (DELTA, l + 1, n))
    return up + [(LAST, n_layers - 1, cut.team)] + down


cdef Py_ssize_t block_lines(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, int team, size_t item):
    """Most lines of columns of a gradient block: narrower ones if there were too few to share out."""
    cdef Py_ssize_t most = fbp_update_block_lines(batch), l, count = 0
    for l in range(n_layers):
        count += len(blocks_of(&layers[l], batch, item, 1, most))
    return PANEL_LINES if most > PANEL_LINES and count < BLOCKS_OF_A_THREAD * team else most


cdef list blocks_of_team(const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Cut cut, size_t item):
    """(layer, first row, rows, first column, columns, owner) of all blocks, ordered by owner: who has the columns in the wide
    regime, else whoever has them when all is shared out equally."""
    cdef Py_ssize_t l, line = FBP_LINE_BYTES // item, parts = 1
    cdef double total = 0, before = 0
    blocks = []
    cdef Py_ssize_t most = block_lines(layers, n_layers, batch, cut.team, item)
    for l in range(n_layers):
        total += layers[l].n_in * layers[l].ld
        if cut.wide:
            parts = parts_of((layers[l].n_out + line - 1) // line, cut.team, False)
        for part, first, rows, column, n in blocks_of(&layers[l], batch, item, parts, most):
            blocks.append((l, first, rows, column, n, part * cut.team // parts))
    if cut.wide:
        return sorted(blocks, key=lambda block: block[5])
    shared = []
    for block in blocks:
        shared.append((*block[:5], int(before * cut.team / total)))
        before += block[2] * block[4]
    return shared


def describe(widths, Py_ssize_t batch, int n_threads, size_t item=4):
    """How a step of a network of these widths would be cut up: team, rows of a slot, whether wide, phases and blocks of weights.

    Returns a dict; `phases` are (kind, layer, items) of what comes before the update, none in the streaming regime; `blocks` are
    (layer, rows, columns padded to whole lines, owner). For the benchmark's model and for the curious.
    """
    cdef Memory memory = Memory(len(widths) * sizeof(Layer))
    cdef Layer *layers = <Layer *>memory.data
    cdef Py_ssize_t n_layers = len(widths) - 1, l
    for l in range(n_layers):
        layers[l].n_in, layers[l].n_out = widths[l], widths[l + 1]
        layers[l].ld_in = fbp_leading_dimension(layers[l].n_in, item)
        layers[l].ld = fbp_leading_dimension(layers[l].n_out, item)
    cdef Cut cut = cut_of(layers, n_layers, batch, n_threads, item, False)
    blocks = blocks_of_team(layers, n_layers, batch, cut, item)
    phases = phases_of(layers, n_layers, batch, cut, item) if batch > FBP_FOLD_ROWS else []
    return {
        "team": cut.team, "rows": cut.rows, "wide": bool(cut.wide),
        "phases": [(KINDS[kind], layer, n) for kind, layer, n in phases],
        "blocks": [(b[0], b[2], b[4], b[5]) for b in blocks],
    }
