from typing import Any

from numpy.typing import NDArray

def dense_forward(
    y: NDArray[Any],
    x: NDArray[Any],
    weight: NDArray[Any],
    bias: NDArray[Any],
    n_in: int,
    n_out: int,
    activation: str,
    isa: str | None = None,
) -> None: ...
def apply_activation(activation: str, z: NDArray[Any], isa: str | None = None) -> NDArray[Any]: ...
def elementary(function: str, x: NDArray[Any], isa: str | None = None) -> NDArray[Any]: ...
