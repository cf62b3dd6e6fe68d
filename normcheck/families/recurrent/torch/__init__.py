"""Recurrent nets of torch: `binder` binds them, `builder` builds and calls them, `names` finds their parameters."""

from __future__ import annotations

from normcheck.families.recurrent.torch.binder import subject

__all__ = ["subject"]
