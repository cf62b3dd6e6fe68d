"""Divided normalizers of torch, in processes that call each other by torch.distributed."""

from __future__ import annotations

from normcheck.families.synchronized.torch.processes import subject as subject
