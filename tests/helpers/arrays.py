"""Arrays as the kernels take them: padded rows, 64-byte aligned, with canary bytes around."""

from __future__ import annotations

import numpy as np

from fastbp.engine import runtime

LINE_BYTES = 64
GUARD_BYTES = 8 * LINE_BYTES  # wider than the widest register tile
CANARY = 0xA5


class Padded:
    """`values` [n] or [rows, n] copied into rows of `leading_dimension` elements.

    `array` is what a kernel takes, `values` the part without padding. `offset` elements push the
    rows off the 64-byte boundary; `padding` fills the padding (zero is what the kernels rely on).
    """

    def __init__(self, values: np.ndarray, ld: int | None = None, offset: int = 0, padding=0):
        n = values.shape[-1]
        ld = runtime.leading_dimension(n, values.dtype) if ld is None else ld
        shape = (*values.shape[:-1], ld)
        size = int(np.prod(shape)) * values.itemsize
        raw = np.full(size + 2 * GUARD_BYTES + 2 * LINE_BYTES, CANARY, np.uint8)
        start = GUARD_BYTES + -(raw.ctypes.data + GUARD_BYTES) % LINE_BYTES
        start += offset * values.itemsize
        self._raw, self._span = raw, slice(start, start + size)
        self.array = raw[self._span].view(values.dtype).reshape(shape)
        self.array[...] = padding
        self.values = self.array[..., :n]
        self.values[...] = values
        self._before = raw.copy()

    def assert_unwritten(self) -> None:
        """An input: not a byte of it or around it has changed."""
        assert np.array_equal(self._raw, self._before), "an input array was written to"

    def assert_written_inside(self, zero_padding: bool = True) -> None:
        """An output: nothing written around it, and the padding still zero (of a finite result)."""
        for side in (slice(0, self._span.start), slice(self._span.stop, None)):
            assert (self._raw[side] == CANARY).all(), "written outside the array"
        padding = self.array[..., self.values.shape[-1] :]
        assert not (zero_padding and padding.any()), "padding is not zero"


def padded(values: np.ndarray, **layout) -> Padded:
    """An input of a kernel. Test data that is constant would hide faults, so it is refused."""
    assert values.size < 3 or np.unique(values).size > 1, "constant test data"
    return Padded(values, **layout)


def blank(shape: tuple[int, ...], dtype) -> Padded:
    """An output of a kernel, full of NaN, so that whatever is not written shows."""
    return Padded(np.full(shape, np.nan, dtype))


def call(kernel, outputs: list[Padded], inputs: list[Padded], *scalars) -> None:
    """Call a kernel: nothing but the outputs may be written, and their padding stays zero.

    An output may be None.
    """
    kernel(*(a if a is None else a.array for a in [*outputs, *inputs]), *scalars)
    for a in outputs:
        if a is not None:
            a.assert_written_inside()
    for a in inputs:
        a.assert_unwritten()


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal in dtype, shape and every bit: tells 0 from -0, and NaN equals the same NaN."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
