from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

def in_form(x: object, dtype: np.dtype[Any], n_columns: int = -1) -> TypeGuard[NDArray[Any]]: ...
def all_finite(array: NDArray[Any]) -> bool: ...
