"""The forward pass through all nodes for a range of rows."""

from fastbp.engine.runtime cimport code_of, fbp_activation, fbp_activation_code, fbp_kernels, fbp_sparse

from fastbp.engine.runtime import ACTIVATIONS


PARAMETERS = {"leaky_relu": 0.01, "elu": 1.0}  # defaults


cdef fbp_activation activation_of(value) except *:
    """An activation from its name, or from a pair of name and parameter."""
    name, parameter = value if isinstance(value, tuple) else (value, PARAMETERS.get(value, 0))
    return fbp_activation(<fbp_activation_code>code_of(ACTIVATIONS, name, "activation"), parameter)


cdef void forward_rows(char **outputs, char **slopes, const char *x, const fbp_sparse *sparse, const char *arena,
                       const fbp_kernels *kernels, const Node *nodes, Py_ssize_t first, Py_ssize_t n_nodes, Py_ssize_t rows,
                       Py_ssize_t ldx, bint to_logits, const Dropout *dropout, Py_ssize_t row) noexcept nogil:
    """Compute outputs[l][rows] of the nodes from `first` on from x [rows][ldx], and slopes[l] where a node saves them.

    `sparse`, unless NULL, is the data in place of x, for a chain. `slopes` is NULL if no backward pass follows. With to_logits the last node stops at z, because the loss applies its activation.
    `dropout` may be NULL; `row` is the first row's index in the batch.
    """
    cdef const char *source
    cdef char *slope
    cdef Py_ssize_t ld_source, l
    cdef fbp_activation activation
    cdef const Node *node
    for l in range(first, n_nodes):
        node = &nodes[l]
        source, ld_source = x, ldx
        if node.source >= 0:
            source, ld_source = outputs[node.source], node.ld_in
        if node.op == DENSE:
            slope = saved_slope(node, slopes[l], 0) if slopes != NULL else NULL
            activation = up_to(node, to_logits and l == n_nodes - 1)
            if sparse != NULL and node.source < 0:
                kernels.sparse_forward(outputs[l], slope, sparse, arena + node.weight, arena + node.bias, rows, node.n_out,
                                       node.ld, node.ld, activation)
            else:
                kernels.dense_forward(outputs[l], slope, source, arena + node.weight, arena + node.bias, rows, node.n_in,
                                      node.n_out, node.ld, ld_source, node.ld, activation)
            drop(outputs[l], slopes[l] if slopes != NULL else NULL, kernels, node, l, row, rows, 0, node.n_out, dropout)
        elif node.op == GATE:
            kernels.gate_forward(outputs[l], source, rows, node.n_out, node.pieces, node.ld, ld_source, node.gate,
                                 node.gate_activation)
        elif node.op == ADD:
            kernels.add_rows(outputs[l], source, outputs[node.other], rows, node.n_out, node.ld, ld_source, node.ld)
