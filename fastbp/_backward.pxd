"""The backward pass over a range of rows, and the update over a range of one layer's weight rows."""

from fastbp._forward cimport Layer
from fastbp._runtime cimport fbp_kernels, fbp_update

cdef void backward_rows(char **deltas, char **outputs, const char *arena, char *scratch, const fbp_kernels *kernels,
                        const Layer *layers, Py_ssize_t n_layers, Py_ssize_t batch, Py_ssize_t first,
                        Py_ssize_t rows) noexcept nogil

cdef void update_layer(char *arena, char *velocity, const char *x, const char *delta, char *scratch,
                       const fbp_kernels *kernels, const Layer *layer, Py_ssize_t batch, Py_ssize_t first,
                       Py_ssize_t rows, const fbp_update *update) noexcept nogil
