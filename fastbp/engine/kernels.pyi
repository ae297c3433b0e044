from typing import Any

from numpy.typing import NDArray

Activation = str | tuple[str, float]

def gate_forward(
    y: NDArray[Any],
    z: NDArray[Any],
    n: int,
    pieces: int,
    gate: str,
    activation: Activation = "linear",
    isa: str | None = None,
) -> None: ...
def gate_delta(
    dz: NDArray[Any],
    dy: NDArray[Any],
    z: NDArray[Any],
    n: int,
    pieces: int,
    gate: str,
    activation: Activation = "linear",
    isa: str | None = None,
) -> None: ...
def add_rows(
    out: NDArray[Any], a: NDArray[Any], b: NDArray[Any], n: int, isa: str | None = None
) -> None: ...
