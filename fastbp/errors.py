"""The named errors of fastbp: one base, each also the built-in error a caller would expect.

Imports nothing, so that every layer, the compiled one included, may raise them.
"""

__all__ = [
    "BuildError",
    "BusyError",
    "ConfigError",
    "ConversionError",
    "CorruptModelError",
    "DTypeError",
    "DivergenceError",
    "FastbpError",
    "FormatVersionError",
    "InputError",
    "LabelError",
    "MissingDependencyError",
    "ShapeError",
]


# Of the text of a value in a message.
_LONGEST = 300


class FastbpError(Exception):
    """Base of every error fastbp raises on purpose."""


class InputError(FastbpError, ValueError):
    """Unusable values in ``x``: empty, missing, NaN, infinite or masked."""


class LabelError(FastbpError, ValueError):
    """Unusable values in ``y``: labels missing, unknown or of two kinds, NaN, bad probabilities."""


class ShapeError(FastbpError, ValueError):
    """An array of the wrong shape, or two arrays whose lengths disagree."""


class DTypeError(FastbpError, TypeError):
    """An array of strings, objects, complex numbers or dates where numbers were wanted."""


class ConfigError(FastbpError, ValueError):
    """An unknown name or an unusable option."""


class ConversionError(FastbpError, ValueError):
    """A model of another library without a counterpart here, or a network without one there."""


class BuildError(FastbpError, RuntimeError):
    """A build of fastbp that computes other numbers than the contract wants."""


class BusyError(FastbpError, RuntimeError):
    """Two calls wanted to write one network at the same time."""


class CorruptModelError(FastbpError, ValueError):
    """A file that is not a whole, unchanged fastbp model."""


class FormatVersionError(FastbpError, ValueError):
    """A file of a version of the format that this fastbp does not read."""


class MissingDependencyError(FastbpError, ImportError):
    """An optional library is needed and not installed."""


class DivergenceError(FastbpError, RuntimeError):
    """The loss or the weights stopped being finite.

    Attributes
    ----------
    epoch : int or None
        The epoch it happened in, counted from 1; None for `Trainer.step`.
    step : int or None
        The step it happened in, counted from 0 over the life of the trainer.
    learning_rate : float or None
        The learning rate of that step.
    layer : int or None
        Index of the first layer with non-finite weights or outputs.
    what : str or None
        The first that is not finite: "inputs", "weights", "outputs", "optimizer state", "targets"
        or "loss".
    """

    # Every argument has a default, so that the error survives pickling between processes.
    def __init__(
        self,
        message: str = "",
        epoch: int | None = None,
        step: int | None = None,
        learning_rate: float | None = None,
        layer: int | None = None,
        what: str | None = None,
    ) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step
        self.learning_rate = learning_rate
        self.layer = layer
        self.what = what


def brief(value: object) -> str:
    """Return the text of a value for a message: not too long, and never an error of its own.

    Python does not print an integer of more than 4,300 digits, and a class may have a `__repr__`
    that fails.
    """
    try:
        text = repr(value)
    except Exception:
        bits = f" of {value.bit_length()} bits" if isinstance(value, int) else ""
        text = f"<{type(value).__name__}{bits}>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
