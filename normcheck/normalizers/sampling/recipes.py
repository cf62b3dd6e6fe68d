"""Recipes: from a draw, a seed and a few choices, to a test case.

Drawing a few integers instead of thousands of floats makes drawing cheap and shrinking short. The sets of one case
differ in distribution, scale and offset, so one call tests many conditions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import FLOAT16, FLOAT64, FORMATS, Array, Format, powers
from normcheck.core.kept import keeping
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer

DISTRIBUTIONS = ("normal", "uniform", "sorted", "outlier", "constant", "one ulp off constant")
DY_KINDS = ("random", "random", "null space")

WIDTHS = (1, 2, 3, 7, 17, 63, 64, 65, 127, 128, 129, 512, 769, 1023, 1024, 1025, 4095, 4096, 4097)
"""Numbers of members of a set, around thresholds at which kernels change their path (blocks, warps, vector tails)."""


SMALL = (*range(2, 18), 31, 33, 64, 65)
"""Numbers of members for random cases: small enough to be fast, odd and even, below and above a warp of 32."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a layer that are fixed when it is constructed: units or channels, groups, normalized_shape."""

    units: int | None  # None: only the number of groups is fixed
    groups: int = 1
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Draw:
    """The choices that determine a case; all its numbers follow from the seed."""

    seed: int = 0
    n: int = 8  # members of a set
    sets: int = 6
    rank: int = 2
    normalized: int = 1  # trailing axes that are normalized together
    format: str = FLOAT64.name
    offset: float = 1.0  # largest ratio of mean to standard deviation among the sets
    eps: float = 1e-5
    affine: str = "both"  # parameters of the case: "both", "weight", "bias", "none"
    dy: str = "contiguous"
    dy_kind: str = "random"
    dim: int | None = 0
    delta: float = 2.0
    fixed: Sizes | None = None  # of a layer whose sizes are fixed
    scale: int = 0  # exponent of two that scales the whole input
    program: tuple[str, ...] = ()  # operations on one layer, in order: names from `programs`
    layouts: tuple[str, ...] = ()  # of input, weight, bias and cotangent
    input_shape: tuple[int, ...] = ()  # of the input, instead of the one that follows from the other sizes

    @property
    def weighted(self) -> bool:
        """Whether a case has a weight, if its normalizer has one."""
        return self.affine in ("both", "weight")

    @property
    def biased(self) -> bool:
        """Whether a case has a bias, if its normalizer has one."""
        return self.affine in ("both", "bias")

    def words(self) -> dict[str, object]:
        """The choices that a case is described by."""
        return {"seed": self.seed, "offset": self.offset}


def split(count: int, parts: int, first: int = 1) -> tuple[int, ...]:
    """`count` as a product of `parts` sizes, as even as its divisors allow, the earlier ones at least `first`.

    >>> split(12, 2)
    (3, 4)
    """
    if parts == 1:
        return (count,)
    target = max(first, round(count ** (1.0 / parts)))
    near = [d for d in range(1, count + 1) if count % d == 0] if count <= 8192 else [1, count]
    head = min(near, key=lambda d: (abs(d - target), d)) if near else 1
    return (head, *split(count // max(head, 1), parts - 1))


def shape(normalizer: Normalizer, draw: Draw) -> tuple[tuple[int, ...], int]:
    """Input shape with n members in each of about `sets` sets, and the number of groups."""
    if draw.input_shape:
        return draw.input_shape, _groups(normalizer, draw)
    if normalizer.sets.layout == "trailing":
        lead = draw.rank - draw.normalized
        tail = draw.fixed.shape if draw.fixed is not None else split(draw.n, draw.normalized)
        return (*(split(draw.sets, lead) if lead else ()), *tail), 1
    if normalizer.sets.layout == "rows":
        return _vectors(draw), 1
    return _channels(normalizer.sets.members, draw)


MOST_GROUPS = 32
"""Groups of channels of an input shape that is given: as many as divide the channels, up to those of most networks."""


def _groups(normalizer: Normalizer, draw: Draw) -> int:
    """The number of groups of channels for the input shape of a draw; one channel is no group where there are more."""
    sets = normalizer.sets
    if sets.layout != "channels" or "unit" not in sets.members or "case" in sets.members:
        return 1
    if draw.fixed is not None:
        return draw.fixed.groups
    channels = draw.input_shape[1]
    return max((g for g in range(1, MOST_GROUPS + 1) if channels % g == 0 and g < channels), default=1)


def _vectors(draw: Draw) -> tuple[int, ...]:
    """A weight with `sets` vectors of n entries along its axis `dim`."""
    if draw.dim is None:
        return split(draw.n, draw.rank)
    rest = split(draw.n, draw.rank - 1) if draw.rank > 1 else ()
    axis = draw.dim % draw.rank
    return (*rest[:axis], draw.sets, *rest[axis:])


def _channels(members: frozenset[str], draw: Draw) -> tuple[tuple[int, ...], int]:
    """Shape (cases, channels, *space) and groups, with n entries along the axes in `members`."""
    axes = draw.rank - 2
    if "case" in members:
        cases, *space = split(draw.n, axes + 1, 2)
        return (cases, draw.sets, *space), 1
    cases = max(1, min(3, draw.sets // 2))
    if "unit" not in members:
        channels = max(1, draw.sets // cases) if draw.fixed is None or draw.fixed.units is None else draw.fixed.units
        return (cases, channels, *split(draw.n, axes)), 1
    if draw.fixed is None or draw.fixed.units is None:
        units, *space = split(draw.n, axes + 1)
        groups = max(2, draw.sets // cases) if draw.fixed is None else draw.fixed.groups
        return (cases if draw.fixed is None else max(1, draw.sets // groups), groups * units, *space), groups
    per = max(1, draw.fixed.units // draw.fixed.groups)
    space = list(split(max(1, draw.n // per), axes)) if axes else []
    return (cases, draw.fixed.units, *space), draw.fixed.groups


def _offsets(rng: np.random.Generator, draw: Draw, sets: int) -> Array:
    """Mean over standard deviation of each set, (sets, 1): first 0, last the largest, between them log-uniform."""
    top = math.log10(max(draw.offset, 1.0))
    out: Array = powers(10.0, rng.uniform(0.0, top, sets)) if top else np.ones(sets)
    out *= rng.choice((-1.0, 1.0), sets)
    out[0] = 0.0
    if sets > 1:
        out[-1] = draw.offset
    return out[:, None]


def _spread(rng: np.random.Generator, n: int, kinds: list[str]) -> Array:
    """Rows of about unit variance, one for each kind of distribution."""
    out = rng.standard_normal((len(kinds), n))
    for i, kind in enumerate(kinds):
        if kind == "uniform":
            out[i] = rng.uniform(-1.7320508, 1.7320508, n)
        elif kind == "sorted":
            out[i].sort()
        elif kind == "outlier":
            out[i] *= 0.1
            out[i, rng.integers(n)] += math.sqrt(n)
        elif kind in ("constant", "one ulp off constant"):
            out[i] = 0.0
    return out


def rows(rng: np.random.Generator, draw: Draw, sets: int, n: int, format: Format) -> Array:
    """Values of the format, (sets, n); each set has its own distribution, scale and offset."""
    kinds = ["normal"] + [str(k) for k in rng.choice(DISTRIBUTIONS[:4], max(sets - 1, 0))]
    if sets > 3:
        kinds[2] = DISTRIBUTIONS[4 + int(rng.integers(2))]
    reach = 2 if format == FLOAT16 else 6
    scale = 2.0 ** (draw.scale + rng.integers(-reach, reach + 1, (sets, 1)).astype(np.float64))
    scale[0] = 2.0**draw.scale
    if sets > 1 and draw.eps > 0:  # one set with a variance near eps
        scale[1] = math.sqrt(draw.eps) * 2.0 ** int(rng.integers(-3, 4))
    x = format.round((_spread(rng, n, kinds) + _offsets(rng, draw, sets)) * scale)
    for i, kind in enumerate(kinds):
        if kind == "one ulp off constant":
            base = x[i, 0] if x[i, 0] != 0 else scale[i, 0]
            x[i] = format.round(np.asarray(base))
            x[i, n // 2] = x[i, 0] * (1 + 2 * format.u)
    return format.round(x)


def parameters(rng: np.random.Generator, shape: tuple[int, ...], format: Format) -> tuple[Array, Array]:
    """Weight and bias with distinct entries of both signs; those of the weight are not near 0."""
    weight = rng.uniform(0.4, 2.0, shape) * rng.choice((-1.0, 1.0, 1.0), shape)
    return format.round(weight), format.round(rng.standard_normal(shape) + 0.1)


def has_weight(normalizer: Normalizer, draw: Draw) -> bool:
    """Whether a case has a weight; a normalizer of weights always has one."""
    return normalizer.acts_on == "weight" or (normalizer.weight and draw.weighted)


@keeping
def values(normalizer: Normalizer, draw: Draw) -> Case:
    """A case for accuracy and gradients, with read-only arrays."""
    rng = np.random.default_rng(draw.seed)
    format = FORMATS[draw.format]
    size, groups = shape(normalizer, draw)
    part = normalizer.sets.over(size, groups=groups, normalized=draw.normalized, dim=draw.dim)
    flat = rows(rng, draw, part.sets, part.n, format)
    x = part.scatter(flat)
    weight, bias = parameters(rng, part.parameter, format)
    dy = _cotangent(rng, draw, part.scatter(_standard(flat)), size, format, part.spread(weight))
    return Case(
        x=x,
        eps=draw.eps if normalizer.eps is not None else 0.0,
        format=format,
        weight=weight if has_weight(normalizer, draw) else None,
        bias=bias if normalizer.bias and draw.biased else None,
        dy=dy,
        groups=groups,
        normalized=draw.normalized,
        dim=draw.dim if normalizer.sets.layout == "rows" else 0,
        part=0.25 if normalizer.partial else 1.0,
        layouts={"dy": draw.dy},
        drawn=draw.words(),
    )


def _standard(flat: Array) -> Array:
    """Roughly normalized rows, to aim the cotangent with; never compared."""
    deviation: Array = flat.std(axis=1, keepdims=True)
    out: Array = (flat - flat.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1.0)
    return out


def _cotangent(
    rng: np.random.Generator, draw: Draw, xh: Array, size: tuple[int, ...], format: Format, spread: Array
) -> Array:
    """A cotangent with a mean and a component along xh, so that every term of the backward matters."""
    if draw.dy == "expanded":  # one value everywhere, stride 0: the cotangent of y.sum().backward()
        return np.full(size, float(format.round(np.asarray(rng.uniform(0.5, 2.0)))))
    if draw.dy_kind == "null space":  # dL/dxh in the span of 1 and xh, which a full gradient annihilates
        return format.round((rng.uniform(0.5, 2.0) + rng.uniform(0.5, 2.0) * xh) / spread)
    return format.round(rng.standard_normal(size) + 0.5 + 0.5 * xh)


def state(normalizer: Normalizer, draw: Draw, *, training: bool) -> Case:
    """A case with running statistics unlike their initial values; the variance is 1 if the normalizer keeps none."""
    case = values(normalizer, draw)
    rng = np.random.default_rng((draw.seed, 1))
    units = case.x.shape[1]
    mean = case.format.round(rng.standard_normal((units,)))
    var = case.format.round(rng.uniform(0.3, 3.0, (units,)))
    momentum = float(rng.choice((0.1, 0.25, 0.7)))
    var = var if normalizer.scaled else np.ones_like(var)
    return case.but(running_mean=mean, running_var=var, momentum=momentum, training=training, program=draw.program)


def small(normalizer: Normalizer, draw: Draw) -> Case:
    """A well-conditioned case of unit scale, for laws that compare outputs of the implementation with each other."""
    rng = np.random.default_rng(draw.seed)
    format = FORMATS[draw.format]
    size, groups = shape(normalizer, draw)
    part = normalizer.sets.over(size, groups=groups, normalized=draw.normalized, dim=draw.dim)
    x = part.scatter(format.round(rng.standard_normal((part.sets, part.n)) + draw.offset * rng.uniform(-1, 1)))
    return values(normalizer, draw).but(x=x)
