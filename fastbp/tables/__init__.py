"""Tables from files of any kind, ready for a model."""

from .table import Table

__all__ = ["Table"]
