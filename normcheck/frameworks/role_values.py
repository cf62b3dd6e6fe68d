"""The value of each role of a callable's parameters for a case, except roles whose values are arrays."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.case import Case


def role_values(case: Case, shape_as: type) -> dict[str, Any]:
    """Values by role (see `roles.NAMES`); shape_as: the type of `normalized_shape` for one axis, tuple or int."""
    shape = tuple(case.x.shape[1:2] if case.units_first else case.x.shape[case.x.ndim - case.normalized :])
    return {
        "normalized_shape": shape[0] if shape_as is int and len(shape) == 1 else shape,
        "num_groups": case.groups,
        "num_channels": case.x.shape[1] if case.x.ndim > 1 else case.x.shape[0],
        "training": case.training,
        "use_input_stats": case.training,
        "momentum": case.momentum,
        "eps": case.eps,
        "p": case.part,
        "dim": case.dim,
        "backend": False,
    }
