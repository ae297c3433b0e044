"""Checks of targets, for Python's arrays and for the memory of C programs."""

cdef enum Domain:
    # Where targets must lie: see `fastbp._check.domain_fault`.
    REAL, UNIT, COUNT, DISTRIBUTION, ONE_HOT, SIGN, BIT

cdef Domain domain_of(str name) except *
cdef bint in_domain(const void *y, Py_ssize_t row, Py_ssize_t n, int dtype_code, Domain domain) noexcept nogil
