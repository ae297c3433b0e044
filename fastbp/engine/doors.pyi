from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import Model
from .run import OpenEpoch, Run

CAPSULE: object

def use(**functions: Callable[[Any, str, str, int], Opened]) -> None: ...

class Opened:
    owner: Any

    def __init__(
        self,
        owner: Any,
        model: Model,
        x_dtype: str,
        mean: NDArray[np.float64] | None,
        scale: NDArray[np.float64] | None,
        pieces: NDArray[np.int64],
        form: bytes,
        max_rows: int,
    ) -> None: ...
    def trains(
        self,
        run: Run,
        good: Any,
        open_epoch: OpenEpoch,
        rates: NDArray[np.float64],
        constant_rate: bool,
        loss: str,
        parameter: float,
        domain: str,
        takes_labels: bool,
        limits: bool,
    ) -> None: ...
