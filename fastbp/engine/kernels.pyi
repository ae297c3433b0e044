from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Activation = str | tuple[str, float]

def table(isa: str | None, dtype: DTypeLike) -> int: ...
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
def dense_delta(
    dx: NDArray[Any],
    dy: NDArray[Any],
    weight: NDArray[Any],
    x: NDArray[Any],
    n_in: int,
    n_out: int,
    activation: Activation | None,
    isa: str | None = None,
) -> None: ...
def dense_update(
    weight: NDArray[Any],
    bias: NDArray[Any],
    weight_velocity: NDArray[Any] | None,
    bias_velocity: NDArray[Any] | None,
    x: NDArray[Any],
    dy: NDArray[Any],
    n_in: int,
    n_out: int,
    rule: str,
    learning_rate: float,
    momentum: float,
    l2: float,
    isa: str | None = None,
    rows_of_parts: list[int] | None = None,
) -> None: ...
def apply_gradient(
    weight: NDArray[Any],
    m: NDArray[Any] | None,
    v: NDArray[Any] | None,
    gradient: NDArray[Any],
    rule: str,
    isa: str | None = None,
    **numbers: float,
) -> None: ...
def loss_delta(
    delta: NDArray[Any],
    row_loss: NDArray[np.float64],
    correct: NDArray[np.uint8] | None,
    output: NDArray[Any],
    target: NDArray[Any],
    n_out: int,
    loss: str,
    activation: Activation,
    scale: float,
    isa: str | None = None,
    slope: NDArray[Any] | None = None,
    parameter: float = 0,
    classes: bool = False,
) -> None: ...
def weigh_rows(
    delta: NDArray[Any],
    row_loss: NDArray[np.float64],
    weights: NDArray[np.float64],
    n_out: int,
    count: float,
    total: float,
    isa: str | None = None,
) -> None: ...
def smooth_rows(
    target: NDArray[Any], n_out: int, smoothing: float, isa: str | None = None
) -> None: ...
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
