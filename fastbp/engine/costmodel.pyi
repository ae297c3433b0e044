from collections.abc import Sequence
from typing import Any

def l2_bytes() -> int: ...
def describe(
    widths: Sequence[int], batch: int, n_threads: int, item: int = 4
) -> dict[str, Any]: ...
