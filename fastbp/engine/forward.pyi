from typing import Any

from numpy.typing import NDArray

Activation = str | tuple[str, float]

PARAMETERS: dict[str, float]

def dense_forward(
    y: NDArray[Any],
    x: NDArray[Any],
    weight: NDArray[Any],
    bias: NDArray[Any],
    n_in: int,
    n_out: int,
    activation: Activation,
    isa: str | None = None,
    slope: NDArray[Any] | None = None,
) -> None: ...
def drop_units(
    y: NDArray[Any],
    slope: NDArray[Any],
    n: int,
    seed: int,
    step: int,
    layer: int,
    row: int,
    unit: int,
    rate: float,
    isa: str | None = None,
) -> None: ...
def apply_activation(
    activation: Activation, z: NDArray[Any], isa: str | None = None
) -> NDArray[Any]: ...
def elementary(function: str, x: NDArray[Any], isa: str | None = None) -> NDArray[Any]: ...
