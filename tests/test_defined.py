"""Normalizers that are defined by their forward: rows, gradients and bounds are proved, and every fault is found.

Every check is asked of every slip. This file as a script writes the matrix of slips anew.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.check import Check
from normcheck.core.contract import Contract
from normcheck.core.errors import UsageError
from normcheck.core.floats import FLOAT32, FLOAT64
from normcheck.core.result import FAILED, PASSED
from normcheck.families.defined import FAMILY, bounds, proofs, reference
from normcheck.families.defined.checks import CHECKS, table
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.faults import SLIPS
from normcheck.families.defined.kinds import ENTRIES
from normcheck.families.defined.space import DefinedDraw, defined_case
from normcheck.families.defined.tracing.arithmetic import Arithmetic
from normcheck.families.defined.tracing.gradients import constant, gradients
from normcheck.families.defined.tracing.traced import Traced

GOLDEN = Path(__file__).with_name("defined_matrix.txt")
EXAMPLES, COUNT, SEED = 6, 2, 1
KINDS = {entry.name: entry for entry in ENTRIES}
STRUCTURE = [name for name in FAMILY.faults if name not in {slip.name for slip in SLIPS}]


@lru_cache(maxsize=1024)
def some(kind: str, check: Check) -> tuple[Any, ...]:
    """What the suite always asks, and a few draws at random."""
    plain = FAMILY.faulty(KINDS[kind], None, Contract())
    return (*islice(check.space.explicit_examples(plain), EXAMPLES), *draws(plain, check, COUNT, SEED))


def asked(kind: str) -> list[Check]:
    return [check for check in CHECKS if check.concerns(KINDS[kind])]


def finders(name: str, kind: str) -> list[str]:
    """The checks that find a fault on a kind."""
    broken = FAMILY.faulty(KINDS[kind], FAMILY.faults[name], Contract())
    return [check.name for check in asked(kind) if run_check(broken, check, some(kind, check)).status == FAILED]


def kind_of(name: str) -> str:
    (kind,) = [kind for kind, entry in KINDS.items() if FAMILY.faults[name].concerns(entry)]
    return kind


def line(name: str) -> str:
    return f"{name} / {kind_of(name)}: {' '.join(finders(name, kind_of(name)))}".rstrip()


def kept() -> dict[str, str]:
    return {one.partition(" / ")[0]: one for one in GOLDEN.read_text().splitlines()}


@sweep("name", [slip.name for slip in SLIPS], of=6, group=kind_of)
def test_slips_are_found_as_kept(name: str) -> None:
    """Each slip is found on its kind, by the checks that found it before."""
    assert not line(name).endswith(":")
    assert line(name) == kept().get(name)


def test_no_other_slip_is_kept() -> None:
    assert set(kept()) == {slip.name for slip in SLIPS}


@sweep("kind", KINDS)
def test_faults_by_structure_are_found(kind: str) -> None:
    """Each fault that the structure of a forward can have is found on it."""
    able = [name for name in STRUCTURE if FAMILY.faults[name].concerns(KINDS[kind])]
    missed = []
    for name in able:
        broken = FAMILY.faulty(KINDS[kind], FAMILY.faults[name], Contract())
        if not any(run_check(broken, check, some(kind, check)).status == FAILED for check in asked(kind)):
            missed.append(name)

    assert len(able) >= 3
    assert missed == []


def test_every_fault_by_structure_concerns_some_kind_and_every_check_finds_one() -> None:
    concerned = {name for name in STRUCTURE if any(map(FAMILY.faults[name].concerns, ENTRIES))}
    found = {word for one in kept().values() for word in one.partition(": ")[2].split()}
    for name, kind in (
        ("defined-input-overwritten", "l2_norm"),
        ("defined-strides-ignored", "l2_norm"),
        ("defined-result-kept", "l2_norm"),
        ("defined-state-not-updated", "batch_renorm"),
        ("defined-leak", "l2_norm"),
    ):
        found |= set(finders(name, kind))

    assert concerned == set(STRUCTURE)
    assert {check.name for check in CHECKS} - found == set()


@pytest.mark.parametrize("kind", KINDS)
def test_three_slips_with_stories(kind: str) -> None:
    slips = KINDS[kind].slips

    assert len(slips) >= 3
    assert all(slip.story.endswith(".") for slip in slips)


@pytest.mark.parametrize("kind", KINDS)
def test_a_correct_implementation_passes(kind: str) -> None:
    subject = FAMILY.faulty(KINDS[kind], None, Contract())
    outcomes = [run_check(subject, check, some(kind, check)) for check in asked(kind)]

    assert not [(o.check, o.status, o.finding) for o in outcomes if o.status != PASSED]


@pytest.mark.parametrize("kind", KINDS)
def test_the_measured_row_is_the_derived_one(kind: str) -> None:
    """The rows were derived by hand from the structure."""
    assert table.row(KINDS[kind]) == KINDS[kind].derived


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_proved(kind: str) -> None:
    """The traced gradients agree with the complex step or with differences, and closed forms with them."""
    for option in range(2):
        found, closed = proofs.prove(KINDS[kind], defined_case(KINDS[kind], DefinedDraw(seed=3, option=option)))

        assert {name: proof for name, proof in found.items() if proof.share > 1.0} == {}
        assert all(share <= 1.0 for share in closed.values())
        assert all(proof.numbers for proof in found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_covers_the_same_forward_in_float32(kind: str) -> None:
    """The forward itself, run by numpy in float32, stays within a quarter of its bound: the constant is not slack."""
    entry = KINDS[kind]
    for seed in range(3):
        case = defined_case(entry, DefinedDraw(seed=seed, format=FLOAT32.name, values="mixed"))
        values = {name: v.astype(np.float32) for name, v in reference.named(entry, case).items()}
        off = bounds.allowed(entry, case, graded=False).y
        got = np.asarray(reference.called(entry, entry.forward, values, case.constants), dtype=np.float64)
        known = np.isfinite(off)

        assert known.any()
        assert np.all(np.abs(got - reference.output(entry, case))[known] <= off[known] / 2.0)


def test_one_pass_variance_is_beyond_the_bound() -> None:
    """A bound that admits E[x^2] - E[x]^2 at an offset would admit too much."""
    entry = KINDS["positional_norm"]
    case = defined_case(entry, DefinedDraw(format=FLOAT32.name))
    case = case.but(x=case.format.round(case.x + 1000.0))
    x = case.x.astype(np.float32)
    mean = x.mean(axis=1, keepdims=True, dtype=np.float32)
    square = np.square(x).mean(axis=1, keepdims=True, dtype=np.float32)
    with np.errstate(all="ignore"):
        y = (x - mean) / np.sqrt(square - mean * mean + np.float32(1e-5))
    off = bounds.allowed(entry, case, graded=False).y
    error = np.nan_to_num(np.abs(y - reference.output(entry, case)), nan=np.inf)

    assert np.isfinite(off).all()
    assert np.max(error / off) > 10.0


def test_traced_code_and_numpy_agree() -> None:
    """Every way to write a sum, a move or a choice has the value of numpy and the gradient of the complex step."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4))
    dy = rng.standard_normal((3, 4))

    def ways(v: Any) -> list[Any]:
        return [
            np.mean(v, axis=0) * v,
            v / np.linalg.norm(v, axis=-1, keepdims=True)
            if not np.iscomplexobj(v)
            else v / np.sqrt((v * v).sum(-1, keepdims=True)),
            np.concatenate([v[:, 2:], v[:, :2]], axis=1) * v,
            np.stack([v[:, 0], v[:, 1], v[:, 2], v[:, 3]], axis=1) ** 3,
            np.where(np.real(x) > 0, v, v * v),
            np.pad(v, ((0, 0), (1, 0)))[:, :4] * np.roll(v, 1, axis=0),
            v.T.swapaxes(0, 1) @ (v.reshape(4, 3) @ v),
            np.exp(v) / np.exp(v).sum(axis=1, keepdims=True),
            np.max(v, axis=1, keepdims=True) - v
            if not np.iscomplexobj(v)
            else v[np.arange(3), x.argmax(1)][:, None] - v,
            np.log1p(np.square(v)) + np.sin(v) * np.cos(v) + np.arctan(v),
            constant(v.sum()) * v,
            np.linalg.solve(np.eye(3) + v[:, :3] @ v[:, :3].T, v) @ np.linalg.inv(2.0 * np.eye(4) - np.tril(v.T @ v)),
        ]

    by = Arithmetic(FLOAT64.u)
    for i, plain in enumerate(ways(x)):
        leaf = Traced(x, np.zeros(x.shape), by, live=True)
        y = ways(leaf)[i]
        (g,) = gradients(y, dy, [leaf])
        exact = np.zeros(x.shape)
        for at in np.ndindex(x.shape):
            z = x.astype(complex)
            z[at] += 1e-30j
            exact[at] = (dy * ways(z)[i]).sum().imag / 1e-30
        assert np.allclose(y.value, plain, rtol=0, atol=1e-14), i
        assert np.all(np.abs(g.value - exact) <= g.off + FLOAT64.u * np.abs(exact)), i


@pytest.mark.parametrize("choose", [np.maximum, lambda a, b: np.where(a.value > b.value, a, b)])
def test_a_sum_of_no_selected_terms_has_the_error_of_all_terms(choose: Any) -> None:
    """relu(x - b) + b is max(x, b) too, and sums all terms of db to 0 less their rounding."""
    by, dy = Arithmetic(FLOAT64.u), np.random.default_rng(4).standard_normal((5, 3))
    x, b = (Traced(v, np.zeros(v.shape), by, live=True) for v in (np.full((5, 3), 2.0), np.ones((1, 3))))
    _, found = gradients(choose(x, b), dy, [x, b])

    assert np.all(found.value == 0.0)
    assert np.allclose(found.off, 5 * FLOAT64.u * np.abs(dy).sum(0), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda x: np.sort(x) * 2.0, "np.sort"),
        (lambda x: np.arcsinh(x) * 2.0, "np.arcsinh"),
        (lambda x: np.linalg.det(x) * 2.0, "np.det"),
    ],
)
def test_what_cannot_be_traced_is_said(forward: Any, said: str) -> None:
    entry = DefinedNormalizer(name="untraced", forward=forward)
    with pytest.raises(UsageError, match=said):
        reference.answer(entry, defined_case(entry, DefinedDraw()))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "no name"}, "identifier"),
        ({"layout": "sideways"}, "unknown layout"),
        ({"shapes": {"gain": "one"}}, "no parameter gain"),
        ({"options": {"gain": (1, 2)}}, "no parameter gain"),
        ({"forward": lambda *x: x}, "takes the input"),
    ],
)
def test_a_definition_that_cannot_be_used_is_refused(changes: dict[str, Any], said: str) -> None:
    values: dict[str, Any] = {"name": "mine", "forward": lambda x, weight, eps=1e-5: weight * x}
    with pytest.raises(UsageError, match=said):
        DefinedNormalizer(**values | changes)


def test_there_are_at_least_45_kinds() -> None:
    assert len(families.ENTRIES) >= 45


def test_slips_are_data() -> None:
    assert all(isinstance(slip, Slip) for entry in ENTRIES for slip in entry.slips)
    assert len({slip.name for slip in SLIPS}) == len(SLIPS) == sum(len(entry.slips) for entry in ENTRIES)


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        GOLDEN.write_text("".join(f"{one}\n" for one in pool.map(line, [slip.name for slip in SLIPS])))
