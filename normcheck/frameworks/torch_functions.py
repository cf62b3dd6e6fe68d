"""Torch's own function of each kind, as a target: implementations are compared with it in speed and in known bugs."""

from __future__ import annotations

from normcheck.normalizers import catalog

FUNCTIONS = {
    "batch_norm": "torch.nn.functional:batch_norm",
    "group_norm": "torch.nn.functional:group_norm",
    "instance_norm": "torch.nn.functional:instance_norm",
    "layer_norm": "torch.nn.functional:layer_norm",
    "rms_norm": "torch.nn.functional:rms_norm",
    "weight_norm": "torch:_weight_norm",
}
"""The function of torch that computes a kind in one call; other kinds have none."""

assert set(FUNCTIONS) <= set(catalog.ALL)
