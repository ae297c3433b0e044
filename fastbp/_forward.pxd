"""The dense layer as the compiled modules share it, and the forward pass over a range of rows."""

from fastbp._runtime cimport fbp_activation, fbp_kernels

cdef struct Layer:
    Py_ssize_t n_in, n_out
    Py_ssize_t ld_in, ld            # elements between rows of this layer's input (in a workspace) and of its weight and output
    Py_ssize_t weight, bias         # where they start in the arena, in bytes
    fbp_activation activation

cdef void forward_rows(char **outputs, const char *x, const char *arena, const fbp_kernels *kernels, const Layer *layers,
                       Py_ssize_t n_layers, Py_ssize_t rows, Py_ssize_t ldx, bint to_logits) noexcept nogil
