"""Parameters that follow those of another model: by a share of the way, and as the average of the steps of a run."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from fastbp.engine.model cimport Model
from fastbp.engine.runtime cimport flush_denormals, restore_denormals


cdef fused number:
    float
    double


def lerp(Model model, Model other, double tau):
    """Set the parameters to (1 - tau) * own + tau * those of another model of the same form, both products and the sum rounded."""
    move(model, other, 1 - tau, tau)


cdef int move(Model model, Model other, double own, double tau) except -1:
    with nogil:
        mix_bytes(model.memory.data, other.memory.data, model.memory.bytes, model.item, own, tau)
    return 0


cdef void mix_bytes(char *a, const char *b, Py_ssize_t n_bytes, size_t item, double of_a, double of_b) noexcept nogil:
    """a = of_a * a + of_b * b, of so many bytes of float32 or float64; both products and the sum rounded."""
    if item == sizeof(float):
        mix(<float *>a, <const float *>b, n_bytes // <Py_ssize_t>item, <float>of_a, <float>of_b)
    else:
        mix(<double *>a, <const double *>b, n_bytes // <Py_ssize_t>item, of_a, of_b)


cdef void mix(number *a, const number *b, Py_ssize_t n, number of_a, number of_b) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        a[i] = of_a * a[i] + of_b * b[i]


cdef class Averaging:
    """An exponential average of the parameters of a model, step by step.

    After the first step it is equal to them, later decay * average + (1 - decay) * parameters.

    Parameters
    ----------
    model : Model
        Whose parameters are the average.
    decay : float
    warms_up : bool
        Whether the decay after n + 1 steps is at most (1 + n) / (10 + n).
    first : int
        Steps of the training before the first that counts.
    """

    def __init__(self, Model model, double decay, bint warms_up, int64_t first):
        self.model, self.decay, self.warms_up, self.first = model, decay, warms_up, first

    cdef int follow(self, Model model, int64_t step) except -1:
        """Take the parameters after a step into the average; `step` counts all steps of the training."""
        cdef int64_t n = step - self.first - 1
        cdef double decay = self.decay
        if n <= 0:
            memcpy(self.model.memory.data, model.memory.data, model.memory.bytes)
            return 0
        if self.warms_up:
            decay = min(decay, (1.0 + n) / (10.0 + n))
        # as in a step, whatever mode the host has set: the average goes into checkpoints
        cdef uint64_t mode = flush_denormals()
        move(self.model, model, decay, 1 - decay)
        restore_denormals(mode)
        return 0
