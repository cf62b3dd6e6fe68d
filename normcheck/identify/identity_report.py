"""The identity report of a callable: what it computes and which conventions it follows, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from normcheck.core.floats import FLOAT32, FLOAT64
from normcheck.core.result import number
from normcheck.identify import measure, reference_fit


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityReport:
    """What a callable computes.

    kind and title are empty if it is no entry of the catalog; bound_as is the kind as which it was called.
    """

    target: str
    kind: str
    title: str
    bound_as: str
    distance: float
    nearest: tuple[tuple[str, float], ...]  # entries with the relative distance of their outputs, the nearest first
    contract: Mapping[str, str]  # conventions that differ from the default
    sharing: measure.Sharing
    affine: measure.Affine
    centered: bool | None  # None: neither all of the mean nor none of it is subtracted
    scaled_by: str
    divisor: str
    eps_place: str
    eps: Mapping[str, float]  # by format: the fixed value, or the default of the argument
    eps_argument: str  # "obeyed", "without effect", or "none"
    gradient: reference_fit.Gradient | None
    running: reference_fit.Running | None
    momentum: float | None  # its default
    half: Mapping[str, reference_fit.Half]
    largest_offset: float | None
    row: Mapping[str, str]  # of Table 1, derived from what was found
    row_measured: Mapping[str, str]
    seconds: float = field(default=0.0, compare=False)

    @property
    def machine_epsilon(self) -> bool:
        """Whether eps is the machine epsilon of each format."""
        return all(self.eps.get(format.name) == 2.0 * format.u for format in (FLOAT64, FLOAT32))

    @property
    def line(self) -> str:
        """The command that checks it as its kind; empty if it is no entry of the catalog."""
        if not self.kind:
            return ""
        declared = [f"--norm-contract {key}={value}" for key, value in self.contract.items()]
        return " ".join([f"pytest --norm {self.kind}={self.target}", *declared])

    def record(self) -> dict[str, Any]:
        """The report as plain data that strict JSON can hold."""
        out = _plain(asdict(self))
        assert isinstance(out, dict)
        return out | {
            "shares": self.sharing.words,
            "machine_epsilon": self.machine_epsilon,
            "line": self.line,
            "nearest": [{"kind": kind, "distance": number(distance)} for kind, distance in self.nearest],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return number(value) if isinstance(value, float) else value
