"""Recurrent nets of torch: bound by `binder`, which finds their parameters by name (`names`)."""

from __future__ import annotations

from normcheck.families.recurrent.torch.binder import subject

__all__ = ["subject"]
