"""What an implementation is timed beside computes what the implementation does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from normcheck import families
from normcheck.bench.baselines import COMPILED, EAGER, FUNCTIONS, FUSED, available_baselines, parse_names
from normcheck.bench.grid import GRIDS, LARGEST_INPUT, ROWS, SQUARE_SIZES, WIDTHS, SpeedQuestion
from normcheck.bench.speed import case_of, within_bounds
from normcheck.bench.traffic import PASSES
from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError
from normcheck.core.floats import FORMATS
from normcheck.families import bind as subject
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.subject import Subject

LAYER_NORM = subject(Implementation("layer_norm", "torch.nn.functional:layer_norm"))


def of(kind: str) -> Subject:
    return faults.subject(families.get(kind), None)


@pytest.mark.parametrize("format", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("kind", catalog.ALL)
def test_every_baseline_of_a_kind_is_right(kind: str, format: str) -> None:
    found = of(kind)
    case = case_of(found, SpeedQuestion(6, 32, "forward", format))
    there, absent = available_baselines(found, case, (FUSED, EAGER))

    assert (FUSED in there) == (kind in FUNCTIONS)
    assert set(absent) == {FUSED} - set(there)
    for one in there.values():
        assert within_bounds(found, case, one.call(case, True)), one.name


def test_the_compiled_composition_is_right_and_compiled() -> None:
    """For several shapes, as torch compiles one function for a few only."""
    for n in (8, 16, 32):
        case = case_of(LAYER_NORM, SpeedQuestion(4, n, "forward"))
        there, absent = available_baselines(LAYER_NORM, case, (COMPILED,))
        if absent:
            pytest.skip(f"torch.compile does not work here: {absent[COMPILED]}")
        assert within_bounds(LAYER_NORM, case, there[COMPILED].call(case, True))


def test_a_baseline_that_cannot_be_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr("torch.compile", broken)
    _, absent = available_baselines(LAYER_NORM, case_of(LAYER_NORM, SpeedQuestion(4, 8, "forward")), (FUSED, COMPILED))

    assert absent == {COMPILED: "RuntimeError: no compiler here"}


def test_names_of_baselines_are_checked() -> None:
    assert parse_names("eager, fused,eager") == (EAGER, FUSED)
    with pytest.raises(UsageError, match="there is no baseline 'eagre'; did you mean 'eager'"):
        parse_names("eagre")
    with pytest.raises(UsageError, match="one or more of fused, eager, compiled"):
        parse_names(",")


def test_the_deep_grid_has_every_shape_that_fits() -> None:
    deep = set(GRIDS["deep"])
    square = {(rows, n) for rows in SQUARE_SIZES for n in SQUARE_SIZES if 4 * rows * n <= LARGEST_INPUT}
    wanted = square | {(rows, n) for rows in ROWS for n in WIDTHS}

    assert {(q.sets, q.n) for q in deep if q.format == "float32"} == wanted
    assert (1, 12288) in wanted
    assert (4096, 12288) in wanted
    assert {q.part for q in deep} == set(PASSES)
    assert {q.format for q in deep} == set(FORMATS)
    assert any(q.cold for q in deep)
    assert len(deep) == len(GRIDS["deep"])


def test_a_question_is_named_by_what_it_asks() -> None:
    assert str(SpeedQuestion(7, 1024, "both")) == "7x1024-float32-both"
    assert str(replace(SpeedQuestion(7, 1024, "both", "bfloat16"), cold=True)) == "7x1024-bfloat16-both-cold"
