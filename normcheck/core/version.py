"""The version of normcheck, as records and reports have it."""

from __future__ import annotations

__version__ = "0.1.0"
