"""Options of ``fastbp train`` for tests."""

from __future__ import annotations

# What is quick and still learns.
QUICK = ["--epochs", 4, "--hidden", 16, "--batch-size", 8, "--learning-rate", 0.05, "--dropout", 0]
