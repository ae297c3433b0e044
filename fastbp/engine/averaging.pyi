from .model import Model

class Averaging:
    model: Model
    decay: float
    warms_up: bool
    first: int

    def __init__(self, model: Model, decay: float, warms_up: bool, first: int) -> None: ...

def lerp(model: Model, other: Model, tau: float) -> None: ...
