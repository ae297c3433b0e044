"""The C functions of include/fastbp.h for `from fastbp cimport ...`; call fastbp_import() once before any other."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, int64_t

cdef extern from "fastbp.h" nogil:
    enum:
        FASTBP_ABI_MAJOR
        FASTBP_ABI_MINOR
    enum fastbp_dtype:
        FASTBP_FLOAT32
        FASTBP_FLOAT64
    enum fastbp_code:
        FASTBP_OK
        FASTBP_ERROR_NULL
        FASTBP_ERROR_HANDLE
        FASTBP_ERROR_SIZE
        FASTBP_ERROR_DTYPE
        FASTBP_ERROR_INPUT
        FASTBP_ERROR_TARGET
        FASTBP_ERROR_WEIGHT
        FASTBP_ERROR_VALUE
        FASTBP_ERROR_BUSY
        FASTBP_ERROR_CHANGED
        FASTBP_ERROR_RATES
        FASTBP_ERROR_DIVERGED
        FASTBP_ERROR_FORM
        FASTBP_ERROR_UNSUPPORTED
        FASTBP_ERROR_MEMORY
        FASTBP_ERROR_FILE
        FASTBP_ERROR_PYTHON
    ctypedef struct fastbp_network:
        pass
    ctypedef struct fastbp_trainer:
        pass
    ctypedef struct fastbp_api:
        pass
    ctypedef struct fastbp_sizes:
        ptrdiff_t n_inputs, n_outputs, n_parameters, max_rows
        int32_t dtype, x_dtype

    int fastbp_import() except -1 with gil
    int fastbp_use(const fastbp_api *table) noexcept
    const char *fastbp_error_text(int code) noexcept
    const char *fastbp_message() noexcept

    int fastbp_open_network(void *network, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out) noexcept
    int fastbp_load_network(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out) noexcept
    int fastbp_refresh_network(fastbp_network *network) noexcept
    int fastbp_close_network(fastbp_network *network) noexcept
    int fastbp_network_object(fastbp_network *network, void **out) noexcept
    int fastbp_network_sizes(fastbp_network *network, fastbp_sizes *out) noexcept
    ptrdiff_t fastbp_scratch_bytes(fastbp_network *network, ptrdiff_t n) noexcept
    int fastbp_predict(fastbp_network *network, const void *x, ptrdiff_t n, void *y) noexcept
    int fastbp_predict_with(fastbp_network *network, const void *x, ptrdiff_t n, void *y, void *scratch, ptrdiff_t bytes) noexcept
    int fastbp_backward(fastbp_network *network, const void *x, const void *dy, ptrdiff_t n, void *dw, void *dx) noexcept
    int fastbp_get_parameters(fastbp_network *network, void *out, ptrdiff_t n_parameters) noexcept
    int fastbp_set_parameters(fastbp_network *network, const void *values, ptrdiff_t n_parameters) noexcept
    int fastbp_copy_parameters(fastbp_network *to, fastbp_network *source) noexcept
    int fastbp_lerp(fastbp_network *to, fastbp_network *source, double tau) noexcept

    int fastbp_open_trainer(void *trainer, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out) noexcept
    int fastbp_load_trainer(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out) noexcept
    int fastbp_refresh_trainer(fastbp_trainer *trainer) noexcept
    int fastbp_close_trainer(fastbp_trainer *trainer) noexcept
    int fastbp_trainer_object(fastbp_trainer *trainer, void **out) noexcept
    int fastbp_trainer_network(fastbp_trainer *trainer, fastbp_network **out) noexcept
    int fastbp_trainer_sizes(fastbp_trainer *trainer, fastbp_sizes *out) noexcept
    int fastbp_trainer_steps(fastbp_trainer *trainer, int64_t *out) noexcept
    int fastbp_gradient(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels, const double *weights,
                        ptrdiff_t n, double *loss, void *dw, void *dx) noexcept
    int fastbp_step(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels, const double *weights,
                    ptrdiff_t n, double *loss) noexcept
    int fastbp_step_from(fastbp_trainer *trainer, const void *x, const void *dy, ptrdiff_t n, double loss) noexcept
