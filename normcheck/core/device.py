"""The device of a run: where the arrays of cases and the modules under test lie."""

from __future__ import annotations

from contextvars import ContextVar

PROCESSOR = "cpu"
"""The device that every machine has."""

DEVICE: ContextVar[str] = ContextVar("DEVICE", default=PROCESSOR)
"""The device as the framework and `--norm-device` spell it."""
