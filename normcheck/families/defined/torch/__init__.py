"""Defined normalizers in torch: `binder` binds functions and modules, `weight_layers` layers that use their weight."""

from __future__ import annotations

from normcheck.families.defined.torch.binder import subject

__all__ = ["subject"]
