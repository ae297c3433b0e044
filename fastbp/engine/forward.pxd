"""The nodes of a network, and the forward pass over a range of rows."""

from libc.stdint cimport int64_t, uint64_t

from fastbp.engine.runtime cimport FBP_SAVED_SLOPE, FBP_LINEAR, fbp_activation, fbp_dropout, fbp_dropout_key, fbp_gate, fbp_kernels, fbp_sparse

cdef enum Op:
    DENSE                           # f(x W + b)
    GATE                            # the pieces of a dense node's outputs are combined
    BRANCH                          # a second path begins at the source
    ADD                             # the sum of two nodes' outputs

cdef struct Node:
    # One operation of the network. Only a dense node has a weight and a bias; n_in is 0 in the others.
    Py_ssize_t n_in, n_out
    Py_ssize_t ld_in, ld            # elements between rows of the input (in a workspace), and of weight and output
    Py_ssize_t weight, bias         # byte offsets in the arena
    fbp_activation activation
    double dropout                  # the probability of an output to be dropped
    fbp_activation slope            # how slopes[l] of a slot gives f': from the output, or FBP_SAVED_SLOPE, a saved slope
    Op op
    Py_ssize_t source               # the node whose outputs it reads; -1: the data
    Py_ssize_t below                # the node that gets its delta: the source, or the branch before it
    Py_ssize_t other                # of ADD, the second summand
    fbp_activation below_slope      # factor that makes the delta handed down dL/dz: f' below, linear if a path follows
    Py_ssize_t pieces
    fbp_gate gate
    fbp_activation gate_activation
    bint frozen                     # the update leaves weight, bias and their optimizer state alone
    double rate_factor              # of the learning rate
    double decay_factor             # of the penalties and of the weight decay
    int64_t missed                  # steps of the optimizer's age that the node was frozen in

cdef struct Dropout:
    # Seed and step of the dropout; node, row and unit are hashed with them.
    uint64_t seed
    int64_t step

cdef fbp_activation activation_of(value) except *
cdef void forward_rows(char **outputs, char **slopes, const char *x, const fbp_sparse *sparse, const char *arena,
                       const fbp_kernels *kernels, const Node *nodes, Py_ssize_t first, Py_ssize_t n_nodes, Py_ssize_t rows,
                       Py_ssize_t ldx, bint to_logits, const Dropout *dropout, Py_ssize_t row) noexcept nogil

cdef inline bint is_chain(const Node *nodes, Py_ssize_t n_nodes) noexcept nogil:
    """Whether all nodes are dense, each above the one before."""
    cdef Py_ssize_t l
    for l in range(n_nodes):
        if nodes[l].op != DENSE:
            return False
    return True

cdef inline Py_ssize_t lowest_trained(const Node *nodes, Py_ssize_t n_nodes) noexcept nogil:
    """The first node with a weight that is trained; n_nodes if there is none. No node below it needs a delta."""
    cdef Py_ssize_t l
    for l in range(n_nodes):
        if nodes[l].op == DENSE and not nodes[l].frozen:
            return l
    return n_nodes

cdef inline bint any_frozen(const Node *nodes, Py_ssize_t n_nodes) noexcept nogil:
    cdef Py_ssize_t l
    for l in range(n_nodes):
        if nodes[l].frozen:
            return True
    return False

cdef inline char *saved_slope(const Node *node, char *slopes, Py_ssize_t at) noexcept nogil:
    """The saved slopes of a node from byte `at` on; NULL if its slope is computed from the output."""
    return slopes + at if node.slope.code == FBP_SAVED_SLOPE else NULL

cdef inline void drop(char *y, char *slope, const fbp_kernels *kernels, const Node *node, Py_ssize_t l, Py_ssize_t row,
                      Py_ssize_t rows, Py_ssize_t unit, Py_ssize_t n, const Dropout *dropout) noexcept nogil:
    """Apply dropout, if there is any, to rows and units of node l, whose outputs and saved slopes are at y and slope."""
    cdef fbp_dropout of_node
    if dropout != NULL and node.dropout > 0:
        of_node = fbp_dropout(key=fbp_dropout_key(dropout.seed, dropout.step, l), row=row, unit=unit, rate=node.dropout)
        kernels.drop_units(y, slope, rows, n, node.ld, &of_node)

cdef inline fbp_activation up_to(const Node *node, bint logits) noexcept nogil:
    """The node's activation; linear where the output stops at the logits."""
    return fbp_activation(FBP_LINEAR, 0) if logits else node.activation
