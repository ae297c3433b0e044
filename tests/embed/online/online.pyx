"""Predicts a signal from its last values, and learns from each value that comes; without the GIL."""

from fastbp cimport *

fastbp_import()


cdef int check(int code) except -1:
    if code != FASTBP_OK:
        raise RuntimeError(fastbp_error_text(code).decode())
    return 0


cdef class Predictor:
    cdef fastbp_trainer *trainer
    cdef fastbp_network *network
    cdef fastbp_sizes sizes

    def __cinit__(self, trainer):
        check(fastbp_open_trainer(<void *>trainer, FASTBP_FLOAT64, FASTBP_FLOAT64, 1, &self.trainer))
        check(fastbp_trainer_network(self.trainer, &self.network))
        check(fastbp_network_sizes(self.network, &self.sizes))

    def __dealloc__(self):
        fastbp_close_network(self.network)  # that of NULL is a code, as that of a closed one
        fastbp_close_trainer(self.trainer)

    def follow(self, const double[::1] signal, double[::1] predicted):
        """Fill predicted[i] from the values before signal[i], and do a step on these."""
        cdef ptrdiff_t i, n = self.sizes.n_inputs
        cdef int code = FASTBP_OK
        with nogil:
            for i in range(n, min(signal.shape[0], predicted.shape[0])):
                code = fastbp_predict(self.network, &signal[i - n], 1, &predicted[i])
                if code == FASTBP_OK:
                    code = fastbp_step(self.trainer, &signal[i - n], &signal[i], NULL, NULL, 1, NULL)
                if code != FASTBP_OK:
                    break
        check(code)
