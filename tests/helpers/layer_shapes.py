"""Layer sizes that catch a kernel at every edge: a covering set, not the full cube."""

from __future__ import annotations

# Around every vector length L in use (4, 8 and 16 elements: L-1, L, L+1, 2L+1), around the register
# tiles of 3 vectors (12, 24 and 48 elements) and the blocks of 64 units, and odd sizes beyond; 129
# needs 8 lines or more, where rows are padded by one line extra.
SIZES = [
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    12,
    15,
    16,
    17,
    23,
    24,
    25,
    31,
    33,
    47,
    48,
    49,
    63,
    64,
    65,
    97,
    129,
]
# None, one, around the 8 rows where the order of the delta sum changes and of the register tile,
# then past one and two blocks of 256 rows.
BATCHES = [0, 1, 2, 3, 7, 8, 9, 12, 31, 97, 257, 520]
# Deeper than one block of 256 along the sum, where the chain pauses in memory.
DEEP = [(1, 513, 33), (2, 257, 40), (9, 300, 17), (9, 17, 300), (31, 5, 257)]


def covering() -> list[tuple[int, int, int]]:
    """(batch, n_in, n_out): every size twice as n_in and as n_out, every batch four times."""
    n = len(SIZES)
    return [
        (BATCHES[i % len(BATCHES)], SIZES[(7 * i + 5 * (i // n) + 3) % n], SIZES[i % n])
        for i in range(2 * n)
    ]


SHAPES = covering() + DEEP
# Every size once as n_in and once as n_out: for what differs in the epilogue of a kernel alone.
HALF = covering()[: len(SIZES)]


def shapes_of(activation) -> list[tuple[int, int, int]]:
    """All with the plain sum, which the activations share; with them every size once."""
    return SHAPES if activation == "linear" else HALF
