"""Tables from files of any kind, ready for a model."""

from .columns import Columns, Decision
from .model import TableModel
from .report import report
from .table import Table
from .target import Target

__all__ = ["Columns", "Decision", "Table", "TableModel", "Target", "report"]
