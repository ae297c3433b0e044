from collections.abc import Sequence
from typing import Any

REGIMES: dict[str, int]

def describe(
    widths: Sequence[int], batch: int, n_threads: int, item: int = 4, l2: float | None = None
) -> dict[str, Any]: ...
def force(
    active: bool,
    regime: str | None = None,
    packs: bool | None = None,
    helps: bool = True,
    region_steps: int = 0,
) -> None: ...
def region_steps() -> int: ...
