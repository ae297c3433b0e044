"""Shuffling in compiled code, with random numbers from NumPy's bit generators."""

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint32_t, uint64_t
from numpy.random cimport bitgen_t

cnp.import_array()


cdef int64_t below(bitgen_t *bits, int64_t n) noexcept nogil:
    """Uniform integer in [0, n): multiply, shift, reject the few that would be biased (Lemire 2019)."""
    cdef uint32_t bound = <uint32_t>n, low
    cdef uint64_t product
    if n > <int64_t>0x7FFFFFFF:
        return <int64_t>(bits.next_uint64(bits.state) % <uint64_t>n)
    while True:
        product = <uint64_t>bits.next_uint32(bits.state) * bound
        low = <uint32_t>product
        if low >= bound or low >= (0 - bound) % bound:
            return <int64_t>(product >> 32)


cdef int shuffle(cnp.ndarray order, bit_generator) except -1:
    """order = 0 .. n-1 shuffled (Fisher-Yates), int64. What it held before does not matter."""
    cdef bitgen_t *bits = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
    cdef int64_t *item = <int64_t *>cnp.PyArray_DATA(order)
    cdef int64_t i, j, n = cnp.PyArray_SIZE(order)
    with bit_generator.lock, nogil:
        for i in range(n):
            item[i] = i
        for i in range(n - 1, 0, -1):
            j = below(bits, i + 1)
            item[i], item[j] = item[j], item[i]
    return 0
