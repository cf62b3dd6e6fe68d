"""Special values: the check that exists for a mistake finds it in torch code, and torch's own functions pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from normcheck import families
from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.floats import FLOAT16, FLOAT32, FORMATS
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine.search import Effort, search
from normcheck.families import bind as subject
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.bounds import format_range
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks import special
from normcheck.normalizers.reference.oracle import evaluate, partition
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.sampling.space import formats
from normcheck.normalizers.subject import Subject

BY_NAME = {check.name: check for check in special.CHECKS}
KINDS = list(catalog.ALL)

TORCH = (
    ("layer_norm", "torch.nn.functional:layer_norm"),
    ("rms_norm", "torch.nn:RMSNorm"),
    ("group_norm", "torch.nn.functional:group_norm"),
    ("instance_norm", "torch.nn:InstanceNorm2d"),
    ("batch_norm", "torch.nn:BatchNorm1d"),
    ("weight_norm", "torch:_weight_norm"),
)


def ask(mine: Subject, check: Check) -> Outcome:
    return search(mine, check, Effort(3))


def able(mine: Subject) -> list[Check]:
    return [
        check
        for check in special.CHECKS
        if check.concerns(mine.normalizer) and not check.lacks(mine) and formats(check.space, mine.domain)
    ]


@pytest.mark.parametrize(("kind", "target"), TORCH)
def test_torch_passes(kind: str, target: str) -> None:
    mine = subject(Implementation(kind, target))
    outcomes = [ask(mine, check) for check in able(mine)]

    assert len(outcomes) >= 9
    assert [(o.check, o.finding) for o in outcomes if o.status != PASSED] == []


def plain(
    x: torch.Tensor,
    normalized_shape: tuple[int, ...],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    seen: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
) -> torch.Tensor:
    """Layer norm in a few lines; seen: what it makes of its input first."""
    axes = tuple(range(-len(normalized_shape), 0))
    a = seen(x.double() if x.dtype == torch.float64 else x.float())
    c = a - a.mean(axes, keepdim=True)
    y = c / ((c * c).mean(axes, keepdim=True) + eps).sqrt()
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).to(x.dtype)


def zeroed(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return plain(input, normalized_shape, weight, bias, eps, torch.nan_to_num)


def shared(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return plain(input, normalized_shape, weight, bias, eps, lambda x: x + 0.0 * x.sum())


def signs(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return plain(input, normalized_shape, weight, bias, eps, lambda x: x.abs().clamp(min=1e-3) * (1 - 2 * x.signbit()))


def reciprocal(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    def scaled(x: torch.Tensor) -> torch.Tensor:
        inverse = 1.0 / x.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(x.dtype).smallest_normal * 2**-10)
        return x * inverse / inverse

    return plain(input, normalized_shape, weight, bias, eps, scaled)


def quartic(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return plain(input, normalized_shape, weight, bias, eps, lambda x: x.sign() * (x**4).sqrt().sqrt())


def clipped(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return plain(input, normalized_shape, weight, bias, eps, lambda x: x.clamp(-2000.0, 2000.0))


def narrow_eps(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return plain(input, normalized_shape, weight, bias, float(torch.tensor(eps, dtype=input.dtype)))


@pytest.mark.parametrize(
    ("function", "check"),
    [
        (zeroed, "containment"),
        (shared, "containment"),
        (shared, "containment-gradient"),
        (signs, "signed-zero"),
        (reciprocal, "subnormal"),
        (quartic, "magnitudes"),
        (quartic, "magnitudes-gradient"),
        (clipped, "outlier"),
        (clipped, "outlier-gradient"),
        (narrow_eps, "eps-below-half"),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_wrong_torch_code_is_found(function: Any, check: str) -> None:
    assert ask(subject(Implementation("layer_norm", function)), BY_NAME[check]).status == FAILED


def test_right_torch_code_passes() -> None:
    def right(input, normalized_shape, weight=None, bias=None, eps=1e-5):
        return plain(input, normalized_shape, weight, bias, eps)

    mine = subject(Implementation("layer_norm", right))

    assert [check.name for check in able(mine) if ask(mine, check).status != PASSED] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", ["float32", "float64", "bfloat16"])
def test_magnitudes_stay_in_the_range_that_is_asked(kind: str, format: str) -> None:
    """The square of a sum, and for gradients the cube of the scale and of its inverse, are normal numbers."""
    normalizer = families.get(kind)
    largest, least = FORMATS[format].largest, 2.0 ** FORMATS[format].smallest
    for seed in range(8):
        case = small(normalizer, Draw(seed=seed, rank=faults.subject(normalizer).domain.ranks[0], format=format))
        truth = evaluate(normalizer, case)
        size = truth.setting.n * np.abs(case.x).max()
        up, down = format_range.scales_of_squares(truth)
        up = float(np.ldexp(size, up))

        assert largest / 64 < up * up < largest
        if normalizer.eps is None:
            tiny = evaluate(normalizer, case.but(x=np.ldexp(case.x, down)))
            assert tiny.saved.v.min() * FORMATS[format].wide.u >= least, "v is normal with all its digits"
        for exponent in format_range.scales_of_cubes(truth):
            s = evaluate(normalizer, case.but(x=np.ldexp(case.x, exponent))).saved.s

            assert least <= s.min() ** 3 <= s.max() ** 3 <= largest
            assert least <= s.max() ** -3.0 <= s.min() ** -3.0 <= largest


@pytest.mark.parametrize("kind", KINDS)
def test_tiny_sets_are_subnormal_where_there_is_an_eps(kind: str) -> None:
    normalizer = families.get(kind)
    case = special.tiny(2)(normalizer, Draw(format="float32", rank=faults.subject(normalizer).domain.ranks[0]))
    rows = np.abs(partition(normalizer, case).gather(case.x)).max(axis=1)
    if case.eps:
        assert (rows < 2.0**FLOAT32.smallest).any()
        assert (rows > 0).all()
    else:
        assert (rows**2 > 2.0**FLOAT32.smallest).all()


def test_the_eps_is_zero_in_half_precision() -> None:
    assert FLOAT16.round(np.asarray(special.EPS_BELOW_HALF)) == 0


def test_a_poisoned_case_differs_in_one_entry() -> None:
    mine = faults.subject(families.get("group_norm"))
    case: Case = small(mine.normalizer, Draw(seed=3, rank=4))
    for _, here, entry, own in special._poisoned(mine, case):
        assert entry.sum() == 1
        assert (np.isfinite(here.x) == ~entry).all()
        assert own.sum() == partition(mine.normalizer, case).n
