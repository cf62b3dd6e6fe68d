"""References, bounds and cases are computed once for the same content, and nobody can change what is kept."""

from __future__ import annotations

import numpy as np
import pytest

from normcheck import families
from normcheck.core import kept
from normcheck.core.ask import run_case
from normcheck.core.contract import Contract
from normcheck.core.kept import content, freeze, keeping
from normcheck.families import CHECKS_BY_NAME
from normcheck.normalizers import faults
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference.oracle import Truth, evaluate, second
from normcheck.normalizers.sampling.recipes import Draw, values

NORMALIZER = families.get("layer_norm")


def a_case(**choices: int) -> Case:
    return values(NORMALIZER, Draw(**choices))


def test_the_same_content_is_evaluated_once() -> None:
    """Two cases with equal arrays share a truth; one entry, the contract or the kind makes another."""
    one, same, other = a_case(seed=1), a_case(seed=1), a_case(seed=2)

    assert evaluate(NORMALIZER, one) is evaluate(NORMALIZER, same)
    assert evaluate(NORMALIZER, one) is not evaluate(NORMALIZER, other)
    assert evaluate(NORMALIZER, one) is not evaluate(NORMALIZER, one, Contract(eps_place="outside"))
    assert evaluate(NORMALIZER, one) is not evaluate(NORMALIZER, one.but(eps=2e-5))
    assert evaluate(NORMALIZER, one).dx is not None
    assert evaluate(NORMALIZER, one.but(dy=None)).dx is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(3), -np.zeros(3)),  # equal numbers, other bits
        (np.ones((2, 3)), np.ones((3, 2)).T),  # equal numbers, added in another order
        (np.ones((2, 3)), np.ones((3, 2))),
        (np.ones(3), np.ones(3, dtype=np.float32)),
        ({"x": 1.0}, {"y": 1.0}),
        ((1.0, None), (1.0,)),
    ],
)
def test_what_differs_has_another_key(one: object, other: object) -> None:
    assert content(one) != content(other)
    assert content(one) == content(one)


def test_what_is_kept_is_read_only() -> None:
    truth = evaluate(NORMALIZER, a_case(seed=3))

    for array in (truth.y, truth.dx, truth.saved.xh, truth.case.x, bounds.forward(truth, bounds.SOUND).total):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


def test_large_results_and_the_oldest_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def made(size: float) -> np.ndarray:
        calls.append(size)
        return np.zeros(int(size))

    few = keeping(made, results=2)
    for size in (1.0, 2.0, 1.0, 2.0):
        few(size)
    assert calls == [1.0, 2.0]
    few(3.0)
    few(1.0)
    assert calls == [1.0, 2.0, 3.0, 1.0]

    monkeypatch.setattr(kept, "ENTRIES", 4)
    few(5.0)
    few(5.0)
    assert calls[-2:] == [5.0, 5.0]
    assert keeping(np.sum)(np.zeros(9)) == 0.0


def test_a_bound_is_computed_once_for_a_truth_and_class() -> None:
    truth = evaluate(NORMALIZER, a_case(seed=4))

    assert bounds.forward(truth, bounds.SOUND) is bounds.forward(truth, bounds.SOUND)
    assert bounds.forward(truth, bounds.SOUND) is not bounds.forward(truth, bounds.HALF)
    assert bounds.parameter(truth, bounds.SOUND, bias=True) is not bounds.parameter(truth, bounds.SOUND, bias=False)


def test_kept_and_computed_anew_are_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    case = a_case(seed=5).but(tangent=a_case(seed=6).x)
    first = evaluate(NORMALIZER, case), second(NORMALIZER, case)
    again = evaluate(NORMALIZER, case), second(NORMALIZER, case)
    monkeypatch.setattr(kept, "ENTRIES", 1)
    anew = evaluate(NORMALIZER, case), second(NORMALIZER, case)

    assert again[0] is first[0]
    assert anew[0] is not first[0]
    assert np.array_equal(first[1], anew[1])
    for name in ("y", "xh", "dx", "dweight", "dbias", "kappa"):
        assert np.array_equal(getattr(first[0], name), getattr(anew[0], name)), name


def test_checks_share_the_case_of_a_draw() -> None:
    """So do implementations, sound or not."""
    check = CHECKS_BY_NAME["value"]
    cases = [run_case(faults.subject(NORMALIZER, fault), check, Draw(seed=7))[0]
             for fault in (None, faults.get("eps-ignored"))]  # fmt: skip

    assert cases[0] is cases[1]
    assert not cases[0].x.flags.writeable


def test_freezing_reaches_every_array() -> None:
    case = a_case(seed=8)
    truth = Truth(case, **{name: None for name in Truth.__dataclass_fields__ if name != "case"})

    assert freeze({"truth": truth, "other": np.zeros(99)}) == 99
    assert not case.x.flags.writeable


def test_a_case_has_no_unknown_field() -> None:
    with pytest.raises(TypeError, match="a case has no wieght"):
        a_case().but(wieght=None)
