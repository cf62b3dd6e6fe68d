"""The batches that checks of whitening draw: a draw is a few integers and words, from which the case follows.

Values are small multiples of a power of two, so that a batch, shifted, scaled by powers of two or turned by the integer
matrix d I - 2 (a reflection times d) is exact in every format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from normcheck.core.floats import FLOAT64, FORMATS, WIDE_NAMES, Array
from normcheck.core.space import ChoiceSpace
from normcheck.families.whitening.case import WhiteningCase, unfold
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.subject import WhiteningSubject

MEMBERS = 24
"""Cases times positions."""


@dataclass(frozen=True, slots=True)
class WhiteningDraw:
    """The choices of one case; everything else follows from the seed."""

    seed: int = 0
    channels: int = 4
    groups: int = 1
    rank: int = 2
    format: str = FLOAT64.name
    spectrum: str = "plain"
    affine: bool = True
    training: bool = True
    eps: float = 2.0**-10


def _mixed(rng: np.random.Generator, channels: int) -> Array:
    x = rng.standard_normal((channels, MEMBERS))
    return np.rint((x + 0.75 * x[::-1] + 0.5 * rng.standard_normal((channels, 1))) * 64.0) / 64.0


def _white(rng: np.random.Generator, channels: int) -> Array:
    """Orthogonal columns of mean zero: all eigenvalues are exactly equal, for up to seven channels."""
    pair = np.array([[1.0, 1.0], [1.0, -1.0]])
    square = np.kron(np.kron(pair, pair), pair)[1:]
    return np.asarray(np.tile(rng.permutation(square)[:channels], (1, MEMBERS // 8)))


SPECTRA: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "plain": _mixed,
    "equal": _white,
    "pairs": lambda rng, c: _white(rng, c) * (2.0 ** (np.arange(c) // 2))[:, None],
    "wide": lambda rng, c: _mixed(rng, c) * (2.0 ** -np.arange(c))[:, None],
    "offset": lambda rng, c: _mixed(rng, c) + 16.0,
    "flat": lambda rng, c: np.where(np.arange(c)[:, None] == 0, 0.0, _mixed(rng, c)),
}
"""How eigenvalues lie: apart, all equal, equal in pairs, far apart, apart with a large mean, one of them zero."""

POSITIONS = {2: (), 3: (3,), 4: (2, 3)}
"""The axes behind the channels, by the rank of the input."""


def whitening_case(entry: Whitening, draw: WhiteningDraw) -> WhiteningCase:
    """The case of a draw."""
    rng, format = np.random.default_rng(draw.seed), FORMATS[draw.format]
    space = POSITIONS[draw.rank]
    shape = (MEMBERS // int(np.prod(space)), draw.channels, *space)
    x = unfold(SPECTRA[draw.spectrum](rng, draw.channels), shape)
    size = draw.channels // draw.groups
    wild = rng.standard_normal((draw.groups, size, size))
    return WhiteningCase(
        x=x,
        dy=format.round(rng.standard_normal(shape)),
        weight=format.round(rng.uniform(0.5, 2.0, draw.channels)) if draw.affine else None,
        bias=format.round(rng.standard_normal(draw.channels)) if draw.affine else None,
        running_mean=format.round(rng.standard_normal(draw.channels)),
        running_cov=format.round(wild @ np.swapaxes(wild, -1, -2) + np.eye(size)),
        eps=draw.eps,
        momentum=0.25,
        groups=draw.groups,
        format=format,
        training=draw.training,
        drawn={"spectrum": draw.spectrum, "seed": draw.seed},
    )


@dataclass(frozen=True, slots=True)
class WhiteningSpace(ChoiceSpace):
    """The choices of a check of whitening; the first of each is the plain one."""

    entries: ClassVar[type] = Whitening
    plain: ClassVar[WhiteningDraw] = WhiteningDraw()

    recipe: Callable[[Whitening, WhiteningDraw], WhiteningCase] = whitening_case
    format: tuple[str, ...] = WIDE_NAMES
    channels: tuple[int, ...] = (4, 6, 2)
    groups: tuple[int, ...] = (1, 2)
    rank: tuple[int, ...] = (2, 3, 4)
    spectrum: tuple[str, ...] = tuple(SPECTRA)
    affine: tuple[bool, ...] = (True, False)
    training: tuple[bool, ...] = (True,)
    eps: tuple[float, ...] = (2.0**-10, 0.25)

    def able(self, subject: WhiteningSubject, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """The choices that the subject serves; eps is the subject's own where it cannot be changed."""
        able, fixed = subject.domain, subject.contract.eps
        serves: dict[str, Callable[[Any], bool]] = {
            "rank": lambda rank: rank in able.ranks,
            "groups": lambda count: able.groups or count == 1,
            "affine": lambda there: able.affine or not there,
        }
        out = {name: tuple(v for v in some if name not in serves or serves[name](v))
               for name, some in choices.items()}  # fmt: skip
        return out | {"affine": out["affine"] or (False,), "eps": choices["eps"] if fixed is None else (fixed,)}

    def words(self) -> str:
        """What is drawn, in one sentence."""
        return (
            f"Formats {', '.join(self.format)}; {MEMBERS} members of up to {max(self.channels)} channels in 1 or 2 "
            f"groups, ranks 2 to 4; spectra: {', '.join(self.spectrum)}."
        )
