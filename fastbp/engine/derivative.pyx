"""Derivatives of a network's outputs by its inputs: the Jacobian of each row, and its products with vectors from either side.

A row's result does not depend on the rows around it: deltas are folded sums whatever the number of rows (see fbp_table.h,
dense_delta), so they have the bits of the gradients of a batch of that row alone, and of an export to C.
"""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from fastbp.engine.backward cimport backward_rows
from fastbp.engine.forward cimport ADD, DENSE, GATE, Node, forward_rows
from fastbp.engine.model cimport Model
from fastbp.engine.rows cimport converts, rows_of
from fastbp.engine.runtime cimport (FBP_F32, FBP_FOLD_ROWS, FBP_LINE_BYTES, FBP_LINEAR, FBP_SAVED_SLOPE, Memory, bounded_threads, claim,
                                    fbp_activation, fbp_delta_scratch, fbp_kernels, fbp_rows, flush_denormals, restore_denormals,
                                    team_run, threads_now)

cnp.import_array()

cdef enum:
    SWEEP_ROWS = 64             # rows of a block: what the passes up and down write stays in L2
    FLOPS_OF_A_THREAD = 400000  # less work than this does not pay for waking another thread
    FLOPS_OF_A_LOT = 1 << 30    # between two checks for signals: about so many operations a thread

cdef enum Product:
    FROM_LEFT                   # v J
    FROM_RIGHT                  # J u
    WHOLE                       # J

cdef struct Sweep:
    # Passes up and down or up and up over n rows in blocks of SWEEP_ROWS. Threads claim blocks, and each has buffers of its own.
    Product product
    const fbp_kernels *kernels
    const Node *nodes           # as if all were trained: no delta is left out
    Py_ssize_t n_nodes
    const char *arena
    fbp_rows x
    bint converts               # whether a thread converts the rows of a block before it reads them
    Py_ssize_t n, next_block, end_block
    const void *vectors         # v [n][n_out] or u [n][n_in]
    char *out                   # [n][n_in], [n][n_out] or [n][n_out][n_in]
    Py_ssize_t n_in, n_out
    char *buffers
    Py_ssize_t thread_bytes

cdef struct Buffers:
    # A thread's memory for a block of rows.
    char **outputs              # [n_nodes] of [rows][ld]
    char **slopes               # the arrays that each node's slope is computed from
    char **changes              # [n_nodes] of [rows][ld]: deltas, or tangents
    char **some_slopes          # the same two from some row on
    char **some_changes
    char *rows                  # converted, [rows][ld_in]
    char *dx                    # [rows][ld_in],
    char *part                  # and the summand of one node
    char *gate                  # [rows][ld] of the widest node, and
    char *ones                  # the same, all 1 where a gate has units
    char *zeros                 # a bias
    char *scratch


def vjp(Model model, x, cnp.ndarray v, long long n_threads):
    """v J [n, n_inputs] of the rows x [n, n_inputs] and v [n, n_outputs], C-contiguous and of the model's dtype."""
    return swept(model, FROM_LEFT, x, v, (len(x), model.n_inputs), n_threads)


def jvp(Model model, x, cnp.ndarray u, long long n_threads):
    """J u [n, n_outputs] of the rows x and u, both [n, n_inputs]; u C-contiguous and of the model's dtype."""
    return swept(model, FROM_RIGHT, x, u, (len(x), model.n_outputs), n_threads)


def jacobian(Model model, x, long long n_threads):
    """J [n, n_outputs, n_inputs] of the rows x [n, n_inputs]."""
    return swept(model, WHOLE, x, None, (len(x), model.n_outputs, model.n_inputs), n_threads)


cdef object swept(Model model, Product product, x, vectors, tuple shape, long long n_threads):
    cdef Sweep s
    cdef Py_ssize_t n = len(x), l, n_blocks = (n + SWEEP_ROWS - 1) // SWEEP_ROWS, lot
    cdef cnp.ndarray out = np.empty(shape, model.dtype)
    cdef Memory table = Memory(model.n_nodes * sizeof(Node))
    cdef Node *nodes = <Node *>table.data
    memcpy(nodes, model.nodes, model.n_nodes * sizeof(Node))
    for l in range(model.n_nodes):
        nodes[l].frozen = False
    s.product, s.kernels, s.nodes, s.n_nodes, s.arena = product, model.kernels(), nodes, model.n_nodes, model.memory.data
    s.x, s.n, s.next_block, s.end_block = rows_of(x), n, 0, 0
    s.converts = converts(&s.x, model.dtype_code)
    s.vectors = NULL if vectors is None else cnp.PyArray_DATA(<cnp.ndarray>vectors)
    s.out, s.n_in, s.n_out = <char *>cnp.PyArray_DATA(out), model.n_inputs, model.n_outputs
    # In double: the product of rows and operations may leave 64 bits.
    cdef double flops = model.flops_of_a_row() * (1.0 + (model.n_outputs if product == WHOLE else 1))
    cdef double worth = 1 + n * flops / FLOPS_OF_A_THREAD
    cdef int team = threads_now(<int>min(<double>min(bounded_threads(n_threads), n_blocks), worth))
    s.thread_bytes = place(NULL, &s, 0)
    cdef Memory memory = Memory(team * s.thread_bytes)
    s.buffers = memory.data
    lot = team * max(1, <Py_ssize_t>(FLOPS_OF_A_LOT / (1 + SWEEP_ROWS * flops)))
    while s.end_block < n_blocks:
        if s.end_block:
            PyErr_CheckSignals()
        s.next_block, s.end_block = s.end_block, min(n_blocks, s.end_block + lot)
        with nogil:
            if team == 1:
                sweep_worker(&s, 0, 1)
            else:
                team_run(sweep_worker, &s, team)
    return out


cdef inline uintptr_t after(uintptr_t end, Py_ssize_t bytes) noexcept nogil:
    """The line after so many bytes."""
    return end + (bytes + FBP_LINE_BYTES - 1) // FBP_LINE_BYTES * FBP_LINE_BYTES


cdef uintptr_t place(Buffers *b, const Sweep *s, uintptr_t end) noexcept nogil:
    """Lay out a thread's buffers from the address `end` on, unless b is NULL; return their end."""
    cdef Py_ssize_t l, rows = min(s.n, <Py_ssize_t>SWEEP_ROWS), item = s.kernels.item, bytes, widest = 0
    cdef Py_ssize_t of_rows = rows * s.nodes[0].ld_in * item, pointers = s.n_nodes * sizeof(char *)
    cdef Buffers made
    made.outputs, end = <char **>end, after(end, pointers)
    made.slopes, end = <char **>end, after(end, pointers)
    made.changes, end = <char **>end, after(end, pointers)
    made.some_slopes, end = <char **>end, after(end, pointers)
    made.some_changes, end = <char **>end, after(end, pointers)
    made.rows, end = <char *>end, after(end, of_rows if s.converts else 0)
    made.dx, end = <char *>end, after(end, of_rows)
    made.part, end = <char *>end, after(end, of_rows)
    for l in range(s.n_nodes):
        widest = max(widest, s.nodes[l].ld)
        bytes = rows * s.nodes[l].ld * item
        if b != NULL:
            made.outputs[l] = made.slopes[l] = <char *>end
            made.changes[l] = <char *>after(end, bytes)
        end = after(after(end, bytes), bytes)
        if s.nodes[l].slope.code == FBP_SAVED_SLOPE:
            if b != NULL:
                made.slopes[l] = <char *>end
            end = after(end, bytes)
    made.gate, end = <char *>end, after(end, rows * widest * item)
    made.ones, end = <char *>end, after(end, rows * widest * item)
    made.zeros, end = <char *>end, after(end, widest * item)
    made.scratch, end = <char *>end, after(end, fbp_delta_scratch(widest, rows, item) * item)
    if b != NULL:
        b[0] = made
    return end


cdef void sweep_worker(void *data, int thread, int n_threads) noexcept nogil:
    """One thread's share of the blocks."""
    cdef Sweep *s = <Sweep *>data
    cdef Py_ssize_t item = s.kernels.item, block, first, rows, ldx = s.nodes[0].ld_in if s.converts else s.n_in
    cdef const char *x
    cdef Buffers b
    cdef uint64_t mode = flush_denormals()
    place(&b, s, <uintptr_t>(s.buffers + thread * s.thread_bytes))
    while True:
        block = claim(&s.next_block, 1)
        if block >= s.end_block:
            break
        first = block * SWEEP_ROWS
        rows = min(s.n - first, <Py_ssize_t>SWEEP_ROWS)
        if s.converts:
            x = b.rows
            s.kernels.convert_rows(b.rows, &s.x, NULL, first, rows, ldx)
        else:
            x = <const char *>s.x.data + first * s.n_in * item
        forward_rows(b.outputs, b.slopes, x, NULL, s.arena, s.kernels, s.nodes, 0, s.n_nodes, rows, ldx, False, NULL, 0)
        if s.product == FROM_LEFT:
            s.kernels.gather_rows(b.changes[s.n_nodes - 1], s.vectors, NULL, first, rows, s.n_out, s.nodes[s.n_nodes - 1].ld)
            down(s, &b, s.out + first * s.n_in * item, rows, s.n_in)
        elif s.product == FROM_RIGHT:
            up(s, &b, <const char *>s.vectors + first * s.n_in * item, s.out + first * s.n_out * item, rows)
        else:
            all_down(s, &b, s.out + first * s.n_out * s.n_in * item, rows)
    restore_denormals(mode)


cdef void copy_rows(char *out, const char *padded, Py_ssize_t rows, Py_ssize_t bytes, Py_ssize_t ldo, Py_ssize_t ld) noexcept nogil:
    """Copy `bytes` of each row; ldo and ld are the bytes from row to row."""
    cdef Py_ssize_t i
    for i in range(rows):
        memcpy(out + i * ldo, padded + i * ld, bytes)


cdef void set_column(const Sweep *s, char *padded, Py_ssize_t j, double value, Py_ssize_t rows, Py_ssize_t ld) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        if s.kernels.item == 4:
            (<float *>padded)[i * ld + j] = <float>value
        else:
            (<double *>padded)[i * ld + j] = value


cdef void all_down(const Sweep *s, Buffers *b, char *out, Py_ssize_t rows) noexcept nogil:
    """Write the Jacobians of some rows, an output after the other."""
    cdef Py_ssize_t j, item = s.kernels.item, ld = s.nodes[s.n_nodes - 1].ld
    for j in range(s.n_out):
        memset(b.changes[s.n_nodes - 1], 0, rows * ld * item)
        set_column(s, b.changes[s.n_nodes - 1], j, 1, rows, ld)
        down(s, b, out + j * s.n_in * item, rows, s.n_out * s.n_in)


cdef void down(const Sweep *s, Buffers *b, char *out, Py_ssize_t rows, Py_ssize_t ldo) noexcept nogil:
    """Write v J of some rows to out[rows][ldo]; v is where the deltas of the last node go."""
    cdef const Node *last = &s.nodes[s.n_nodes - 1]
    cdef Py_ssize_t first, l, item = s.kernels.item
    s.kernels.activation_delta(b.changes[s.n_nodes - 1], b.slopes[s.n_nodes - 1], rows, last.n_out, last.ld, last.slope)
    first = 0
    while first < rows:
        for l in range(s.n_nodes):
            b.some_slopes[l] = b.slopes[l] + first * s.nodes[l].ld * item
            b.some_changes[l] = b.changes[l] + first * s.nodes[l].ld * item
        some_down(s, b, out + first * ldo * item, min(rows - first, <Py_ssize_t>FBP_FOLD_ROWS), ldo)
        first += FBP_FOLD_ROWS


cdef void some_down(const Sweep *s, Buffers *b, char *out, Py_ssize_t rows, Py_ssize_t ldo) noexcept nogil:
    """The same of so few rows that their deltas are folded sums."""
    cdef const Node *node
    cdef Py_ssize_t l, item = s.kernels.item, ld = s.nodes[0].ld_in
    cdef bint found = False
    cdef char *part
    backward_rows(b.some_changes, b.some_slopes, s.arena, b.scratch, s.kernels, s.nodes, s.n_nodes, rows, rows)
    for l in range(s.n_nodes - 1, -1, -1):
        node = &s.nodes[l]
        if node.below >= 0:
            continue
        part = b.part if found else b.dx
        if node.op == DENSE:
            s.kernels.dense_delta(part, b.some_changes[l], s.arena + node.weight, part, b.scratch, rows, rows, node.n_in, node.n_out,
                                  ld, node.ld, node.ld, fbp_activation(FBP_LINEAR, 0))
        else:
            memcpy(part, b.some_changes[l], rows * ld * item)
        if found:
            s.kernels.add_rows(b.dx, b.dx, b.part, rows, s.n_in, ld, ld, ld)
        found = True
    copy_rows(out, b.dx, rows, s.n_in * item, ldo * item, ld * item)


cdef void up(const Sweep *s, Buffers *b, const char *u, char *out, Py_ssize_t rows) noexcept nogil:
    """Write J u of some rows to out[rows][n_out]: each node's tangent from those below it."""
    cdef const Node *node
    cdef Py_ssize_t l, item = s.kernels.item, ld_source
    cdef const char *source
    for l in range(s.n_nodes):
        node = &s.nodes[l]
        source, ld_source = u, s.n_in
        if node.source >= 0:
            source, ld_source = b.changes[node.source], node.ld_in
        if node.op == DENSE:
            # the derivative of softmax is symmetric, and the others are diagonal: that of the backward pass serves
            s.kernels.dense_forward(b.changes[l], NULL, source, s.arena + node.weight, b.zeros, rows, node.n_in, node.n_out, node.ld,
                                    ld_source, node.ld, fbp_activation(FBP_LINEAR, 0))
            s.kernels.activation_delta(b.changes[l], b.slopes[l], rows, node.n_out, node.ld, node.slope)
        elif node.op == GATE:
            gate_tangent(s, b, node, l, rows)
        elif node.op == ADD:
            s.kernels.add_rows(b.changes[l], source, b.changes[node.other], rows, node.n_out, node.ld, ld_source, node.ld)
    node = &s.nodes[s.n_nodes - 1]
    copy_rows(out, b.changes[s.n_nodes - 1], rows, s.n_out * item, s.n_out * item, node.ld * item)


cdef void gate_tangent(const Sweep *s, Buffers *b, const Node *node, Py_ssize_t l, Py_ssize_t rows) noexcept nogil:
    """The sum over the pieces of the gate's derivative by each, the delta that 1 hands down, times its tangent."""
    cdef Py_ssize_t j, item = s.kernels.item, line = FBP_LINE_BYTES // item
    cdef Py_ssize_t stride = (node.n_out + line - 1) // line * line
    memset(b.ones, 0, rows * node.ld * item)
    for j in range(node.n_out):
        set_column(s, b.ones, j, 1, rows, node.ld)
    s.kernels.gate_delta(b.gate, b.ones, b.outputs[node.source], rows, node.n_out, node.pieces, node.ld, node.ld_in, node.gate,
                         node.gate_activation)
    s.kernels.activation_delta(b.gate, b.changes[node.source], rows, node.pieces * stride, node.ld_in,
                               fbp_activation(FBP_SAVED_SLOPE, 0))
    memset(b.changes[l], 0, rows * node.ld * item)
    for j in range(node.pieces):
        s.kernels.add_rows(b.changes[l], b.changes[l], b.gate + j * stride * item, rows, node.n_out, node.ld, node.ld, node.ld_in)
