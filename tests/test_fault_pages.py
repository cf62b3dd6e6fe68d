"""The page of a fault shows the very code and the very numbers by which the suite proves that it finds it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from normcheck import families
from normcheck.core.compare import compared_arrays, differ
from normcheck.core.contract import Contract
from normcheck.core.replay import decode
from normcheck.explain import pages
from normcheck.explain.fault_cases import FaultCase, fault_case
from normcheck.explain.fault_code import changes
from normcheck.explain.fault_picture import MOST, figure

FAULTS = [(family, name) for family in families.FAMILIES for name in family.faults]
SOME = (
    "eps-outside-root", "mean-term-missing", "running-variance-biased", "nan-leaks", "gates-in-another-order",
    "path-kappa-stale", "white-four-steps", "refresh-once", "spade-gamma", "sync-local-statistics",
)  # fmt: skip


def shown(name: str) -> FaultCase:
    family = next(family for family in families.FAMILIES if name in family.faults)
    found = fault_case(family, family.faults[name])
    assert found is not None
    return found


def test_compared_arrays_are_kept_inside_only() -> None:
    one, other = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    with compared_arrays() as arrays:
        differ("law", one, other, np.ones(2))
    differ("law", other, one, np.ones(2))

    assert [(a.observed is one, a.expected is other, a.comparison.where) for a in arrays] == [(True, True, (1,))]


@pytest.mark.parametrize("name", SOME)
def test_numbers_are_those_of_the_faulty_reference(name: str) -> None:
    """The case is one that the check draws, right and faulty differ there, and the right reference does not."""
    found = shown(name)
    check = families.CHECKS_BY_NAME[found.check]
    draw = decode(found.replay, check.space.plain)[1]
    entry = families.get(found.kind)
    family = families.of(entry)
    case = check.space.recipe(entry, draw)

    assert found.right is not None
    assert found.faulty is not None
    assert found.right.shape == found.faulty.shape
    assert not np.array_equal(found.right, found.faulty)
    assert not check.ask(family.faulty(entry, family.faults[name], Contract()), case).holds
    assert check.ask(family.faulty(entry, None, Contract()), case).holds


def test_a_law_without_numbers_is_told_in_words() -> None:
    found = shown("input-overwritten")

    assert (found.check, found.right) == ("forward-is-pure", None)
    assert "does not compare numbers: x was written to.</p>" in figure(found)


def drawn(right: list[float], faulty: list[float]) -> str:
    case = FaultCase("layer_norm", "value", {"shape": [2, 3], "format": "f", "bias": True, "weight": False, "eps": 0.1},
                     "value/n=3", "", np.array(right), np.array(faulty), (len(right) - 1,))  # fmt: skip
    return figure(case)


def test_picture() -> None:
    """Both series, a stem from each right number to the faulty one, and the case in words."""
    svg = drawn([0.0, 1.0], [0.5, -1.0])

    assert '<path class="right" d="M213.5 85h0M488.5 14h0"/>' in svg
    assert '<path class="faulty" d="M213.5 49.5h0M488.5 156h0"/>' in svg
    assert '<path class="stem" d="M213.5 85V49.5M488.5 14V156"/>' in svg
    assert ">right</span> and faulty: entries 0 to 1 of 2 that" in svg
    assert "on f 2x3, bias, eps 0.1." in svg
    assert "pytest --norm layer_norm=mypkg.kernels:mine --norm-replay value/n=3</code>" in svg


def test_a_small_difference_is_drawn_by_itself() -> None:
    """What could not be seen beside the numbers has an axis of its own, which says so."""
    svg = drawn([1.0, 100.0], [1.0, 100.5])

    assert "difference, faulty - right" in svg
    assert 'class="right"' not in svg
    assert ">0.5</text>" in svg


def test_what_is_not_finite_is_marked() -> None:
    svg = drawn([1.0, 2.0, 3.0], [1.0, float("nan"), float("inf")])

    assert svg.count("&#215;</text>") == 2
    assert "&#215; where it is not finite" in svg
    assert "nan" not in svg


def test_of_many_numbers_those_around_the_worst_are_drawn() -> None:
    svg = drawn([1.0] * 100, [2.0] * 100)

    assert f"entries {100 - MOST} to 99 of 100" in svg
    assert len(re.findall(r"h0", svg)) == 2 * MOST


@pytest.mark.parametrize(("family", "name"), FAULTS, ids=[name for _, name in FAULTS])
def test_every_fault_has_its_wrong_code_and_source(family: families.Family, name: str) -> None:
    """The page has lines of plain code, or the code that the suite puts into the reference."""
    sections = dict(pages.page(name).sections)

    assert [line for line in sections["wrong"] if line.startswith("    ") and line.strip()]
    assert sections["source"][0].strip()
    assert all(text == text.rstrip() for text in changes(family.faults[name]))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("dx-not-divided", "lambda"),
        ("sums-restart-at-blocks", "block = 1024\ndef total(a: Array, k: Setting) -> Array:"),
        ("pono-last-axis", "lambda x, eps: standard(x, -1, eps)"),
        ("white-eps-fixed", "lambda case: case.but(eps=1e-5)"),
        ("path-kappa-stale", "steps.stale = True"),
        ("refresh-once", "affine.frozen = True"),
        ("sync-momentum-multiplied", "lambda momentum, k: momentum * k"),
    ],
)
def test_code_of_a_fault(name: str, code: str) -> None:
    """A function as it is written, with the numbers that it is made with; a lambda alone; a setting."""
    assert any(text.startswith(code) for text in changes(families.fault(name)))
