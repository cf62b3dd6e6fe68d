"""What an implementation is timed beside: torch's fused function of its kind, bound like any other target."""

from __future__ import annotations

from normcheck import catalog
from normcheck.adapters.base import Subject
from normcheck.adapters.bind import subject
from normcheck.claim import Implementation

FUSED = {
    "batch_norm": "torch.nn.functional:batch_norm",
    "group_norm": "torch.nn.functional:group_norm",
    "instance_norm": "torch.nn.functional:instance_norm",
    "layer_norm": "torch.nn.functional:layer_norm",
    "rms_norm": "torch.nn.functional:rms_norm",
    "weight_norm": "torch:_weight_norm",
}
"""The function of torch that computes a kind in one call, where there is one."""

assert set(FUSED) <= set(catalog.ALL)


def fused(kind: str) -> Subject | None:
    """Torch's function of a kind, bound; None where torch has none."""
    return subject(Implementation(kind, FUSED[kind])) if kind in FUSED else None
