"""Recurrent nets of torch: bound (`binder`), with their parameters found by name (`names`)."""

from __future__ import annotations

from normcheck.families.recurrent.torch.binder import subject

__all__ = ["subject"]
