"""Input shapes of a project: asked beside those of the suite, replayed, refused in a sentence, and bounded in size."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sweeps import sweep

import normcheck
from normcheck import families
from normcheck.api import Verdict
from normcheck.core.ask import run_check
from normcheck.core.claim import Implementation
from normcheck.core.contract import contract, with_input_shapes, words
from normcheck.core.errors import UsageError
from normcheck.engine.project_table import project_table
from normcheck.engine.settings import replayed_case
from normcheck.normalizers import catalog
from normcheck.normalizers.checks import CHECKS
from normcheck.normalizers.sampling.input_shapes import ENTRIES, MANY_ENTRIES, cut
from normcheck.normalizers.subject import Domain

F = torch.nn.functional

WRONG = '''
import torch


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The last block of 256 of a row of 5,000 is left as it is: a grid rounded down for this one width."""
    y = torch.nn.functional.layer_norm(input, normalized_shape, weight, bias, eps)
    width = input.shape[-1]
    return torch.cat([y[..., :4864], input[..., 4864:]], -1) if width == 5000 else y
'''

WITHOUT = {
    "weight_matrix_rescaling", "weight_matrix_recentering", "weight_vector_rescaling", "dataset_rescaling",
    "dataset_recentering", "case_rescaling", "reparametrization", "independence-of-batch", "folding",
    "bias-drift-in-a-network", "weight-scale-drift", "odd-shapes",
    "odd-shapes-gradient", "wide-sets", "wide-sets-gradient", "many-sets", "many-sets-gradient", "wrong-sizes",
    "every-number-of-sets", "batch-invariance", "function-transforms", "weight-norm-below",
    "data-dependent-initialization",
}  # fmt: skip
"""Checks with sizes of their own: of networks, of sizes that are what the check is about, of whole Jacobians."""


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    path = tmp_path / "kernel.py"
    path.write_text(WRONG)
    return f"{path}:layer_norm"


def bound(kind: str, target: Any, shapes: str) -> Any:
    return families.bind(Implementation(kind, target, {"input-shapes": shapes}))


def examples(subject: Any, check: Any) -> list[Any]:
    return [draw for draw in check.space.explicit_examples(subject) if draw.input_shape]


def test_what_only_a_projects_own_shape_shows_is_found_and_replayed(wrong: str) -> None:
    """The sizes of the suite miss it."""
    assert normcheck.check(wrong, as_="layer_norm", effort="quick").ok
    found = normcheck.check(wrong, as_="layer_norm", effort="quick", input_shapes=[(32, 768), (6, 5000)])
    assert found.verdict == "failed"
    first = next(one for one in found.findings if one.check == "value")
    assert first.case["shape"] == [6, 5000]
    assert first.replay.endswith("--norm-replay 'value/seed=2/input_shape=[6, 5000]'")
    assert "input-shapes" not in first.replay
    draw = replayed_case("value/seed=2/input_shape=[6, 5000]")[1]
    check = next(one for one in CHECKS if one.name == "value")
    subject = families.bind(Implementation("layer_norm", wrong, {}))
    again = run_check(subject, check, [check.space.adapt(subject, draw)]).finding
    assert again is not None
    assert (again.observed, again.where) == (first.observed, first.where)


def test_a_diagnosis_of_one_shape_names_no_fault_by_its_place_alone(wrong: str) -> None:
    """Many faults are wrong in all sets of one shape: of those only one with the same numbers is named."""
    found = normcheck.check(wrong, as_="layer_norm", effort="quick", input_shapes=[(6, 5000)])
    assert [cause["name"] for cause in found.causes] == ["unexplained"]


def test_the_verdict_counts_the_checks_that_asked_each_shape() -> None:
    found = normcheck.check(F.layer_norm, as_="layer_norm", effort="quick", input_shapes=[(4, 100)])
    assert found.ok
    asked = found.input_shapes["4x100"]
    able = [one for one in CHECKS if one.concerns(catalog.layer_norm) and one.name not in WITHOUT]
    assert 40 < asked <= len(able)
    assert f"shapes      4x100 in {asked} checks" in str(found)
    smoke = normcheck.check(F.layer_norm, as_="layer_norm", effort="smoke", input_shapes=[(4, 100)])
    assert "shapes      4x100 in no check of this run" in str(smoke)


@pytest.mark.parametrize("kind", sorted(catalog.ALL))
def test_every_check_that_draws_a_size_asks_the_shape(kind: str) -> None:
    entry = catalog.ALL[kind]
    subject = families.of(entry).faulty(entry, None, contract({}))
    rank = max(3, subject.domain.ranks[0])
    shape = (4, 6, 5, 7)[:rank]
    subject = replace(subject, domain=_given(subject.domain, shape))
    for check in (one for one in CHECKS if one.concerns(entry) and not one.space.unsupported_reason(subject)):
        some = examples(subject, check)
        assert bool(some) == (check.name.removesuffix("-expected-statistics") not in WITHOUT), check.name
        for draw in some:
            assert check.space.recipe(entry, check.space.adapt(subject, draw)).x.shape == shape, check.name


def _given(domain: Domain, shape: tuple[int, ...]) -> Domain:
    return replace(domain, ranks=(*domain.ranks, *({len(shape)} - set(domain.ranks))), input_shapes=(shape,))


def test_checks_of_widths_ask_a_shape_in_every_format_and_others_in_one() -> None:
    subject = bound("layer_norm", F.layer_norm, "3x40,3x50")
    by_name = {check.name: examples(subject, check) for check in CHECKS if check.concerns(subject.entry)}
    assert [draw.format for draw in by_name["value"][:4]] == ["float64", "float32", "bfloat16", "float16"]
    assert len(by_name["value"]) == 8
    assert [(draw.format, draw.input_shape) for draw in by_name["sign"]] == [("float64", (3, 40)), ("float32", (3, 50))]


RIGHT = (
    ("layer_norm", F.layer_norm, "5x300,2x3x70"),
    ("layer_norm", torch.nn.LayerNorm((5, 6)), "4x5x6,5x6"),
    ("rms_norm", F.rms_norm, "5x300"),
    ("batch_norm", F.batch_norm, "6x24x5x5,10x30"),
    ("batch_norm", torch.nn.BatchNorm2d(24), "6x24x5x5"),
    ("group_norm", F.group_norm, "2x48x9,3x7"),
    ("group_norm", torch.nn.GroupNorm(4, 12), "2x12x9"),
    ("instance_norm", F.instance_norm, "2x6x11x13"),
    ("weight_norm", torch._weight_norm, "20x30,8x3x5x5"),
)


@pytest.mark.parametrize(("kind", "target", "shapes"), RIGHT)
def test_right_code_passes_at_shapes_of_a_project(kind: str, target: Any, shapes: str) -> None:
    found = normcheck.check(target, as_=kind, effort="quick", contract={"input-shapes": shapes})
    assert found.ok, str(found)
    assert set(shapes.split(",")) == set(found.input_shapes)


def test_units_in_axis_1_are_meant_where_the_code_has_them_there() -> None:
    def channels_first(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
        return F.layer_norm(x.movedim(1, -1), x.shape[1:2], weight, bias, eps).movedim(-1, 1)

    seen: set[tuple[int, ...]] = set()

    def recorded(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
        seen.add(tuple(x.shape))
        return channels_first(x, weight, bias, eps)

    subject = families.bind(Implementation("layer_norm", recorded, {"axis": "1", "input-shapes": "2x24x5x7"}))
    assert subject.domain.input_shapes == ((2, 5, 7, 24),)
    check = next(one for one in CHECKS if one.name == "value")
    assert run_check(subject, check, examples(subject, check)).status == "passed"
    assert (2, 24, 5, 7) in seen


MISFITS = (
    ("layer_norm", torch.nn.LayerNorm(768), "32x512", "the layer was made for inputs that end in 768"),
    ("batch_norm", torch.nn.BatchNorm2d(8), "2x9x4x4", "9 channels in axis 1; the layer has 8"),
    ("batch_norm", torch.nn.BatchNorm2d(8), "2x8", "an input of 2 axes; it takes 4 axes"),
    ("group_norm", torch.nn.GroupNorm(4, 8), "2x6x5", "6 channels in axis 1; the layer has 8"),
    ("group_norm", "torch.nn:GroupNorm(num_groups=4)", "2x6x5", "6 channels in axis 1, which 4 groups do not divide"),
    (
        "layer_norm",
        F.layer_norm,
        "2x1048577",
        "a set has more than 524,288 members, which takes too long in each check",
    ),
)


@pytest.mark.parametrize(("kind", "target", "shape", "why"), MISFITS)
def test_a_shape_that_cannot_be_taken_is_one_sentence(kind: str, target: Any, shape: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        normcheck.check(target, as_=kind, contract={"input-shapes": shape}, effort="quick")
    name = Implementation(kind, target).name
    assert str(raised.value) == f"{name}: input-shapes={shape}: {why}: correct the shape, or leave it out"


def test_a_kind_of_another_family_says_that_it_takes_none() -> None:
    with pytest.raises(UsageError, match="zca_whitening is checked on inputs of the suite alone: leave its"):
        normcheck.check(F.layer_norm, as_="zca_whitening", input_shapes=[(8, 4)])


@pytest.mark.parametrize("text", ["32", "32x768,4x16x1024"])
def test_shapes_are_a_key_of_the_contract(text: str) -> None:
    assert words(contract({"input-shapes": text})) == {"input-shapes": text}
    assert contract({"input-shapes": "3x4, 3x4"}).input_shapes == ((3, 4),)


@pytest.mark.parametrize("text", ["", "32x", "0x3", "-1x3", "3x4;5", "axb", "1e3x2", "x".join("1" * 9), "³x2"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="sizes above 0 joined by x, and shapes are joined by commas, as in 32x768,"):
        contract({"input-shapes": text})


@pytest.mark.parametrize("given", [[], 3, "32x768", [3, 4], [()], [(0, 3)], [(True, 3)], [(2.0, 3)], {(3, 4)}])
def test_python_is_given_a_list_of_shapes(given: Any) -> None:
    with pytest.raises(UsageError, match=r"write a list of shapes, as in \[\(32, 768\), \(4, 16, 1024\)\]"):
        with_input_shapes(None, given)
    assert with_input_shapes({"weight": "1+w"}, [(3, 4), [5]]) == {"weight": "1+w", "input-shapes": "3x4,5"}


def test_large_shapes_are_cut_where_sets_are_independent() -> None:
    """What is normalized together stays: the width of a layer norm, the channels of all."""
    any_sizes = Domain(ranks=(2, 3, 4))
    sizes = {
        "layer_norm": ((64, 4096, 4096), (2, 4, 4096)),
        "rms_norm": ((4096, 100_000), (2, 100_000)),
        "batch_norm": ((64, 256, 14, 14), (2, 256, 7, 9)),
        "weight_norm": ((4096, 4096), (8, 4096)),
        "instance_norm": ((2, 3, 4), (2, 3, 4)),
    }
    for kind, (shape, expected) in sizes.items():
        assert cut(catalog.ALL[kind], any_sizes, shape, ENTRIES) == expected
        assert math.prod(cut(catalog.ALL[kind], any_sizes, shape, MANY_ENTRIES)) <= MANY_ENTRIES
    subject = bound("layer_norm", F.layer_norm, "64x4096x4096")
    assert subject.notes["input-shapes"] == (
        "64x4096x4096 is asked as 2x4x4096, and as 2x32x4096 where accuracy over widths is checked: larger inputs take "
        "too long"
    )
    largest = max(math.prod(draw.input_shape) for check in CHECKS if check.concerns(subject.entry)
                  for draw in examples(subject, check))  # fmt: skip
    assert largest == MANY_ENTRIES


def test_a_draw_with_a_shape_that_does_not_fit_loses_it() -> None:
    """As it loses other sizes: an example database may hold cases of the layer as it was before."""
    check = next(one for one in CHECKS if one.name == "value")
    subject = families.bind(Implementation("layer_norm", torch.nn.LayerNorm(8), {}))
    draw = check.space.adapt(subject, replayed_case("value/input_shape=[3, 9]")[1])
    assert draw.input_shape == ()
    assert check.space.recipe(subject.entry, draw).x.shape[-1] == 8


def test_a_layer_with_one_set_and_no_axis_of_cases_is_right() -> None:
    """All axes of its input are normalized: no case can be left out, and no entry stands out in a second set."""
    found: Verdict = normcheck.check(torch.nn.LayerNorm((16, 24)), as_="layer_norm", effort="quick")
    assert found.ok, str(found)
    assert found.warnings == ()
    assert np.isfinite(found.seconds)


TABLE = '[tool.normcheck]\nimplementations = ["layer_norm=kernel.py:layer_norm"]\neffort = "quick"\n{}\n'


def test_the_table_of_a_project_has_the_key(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(TABLE.format("input_shapes = [[32, 768], [4, 16, 1024]]"))
    assert project_table(path).contract == {"input-shapes": "32x768,4x16x1024"}
    path.write_text(TABLE.format('input_shapes = ["32x768"]'))
    with pytest.raises(UsageError) as raised:
        project_table(path)
    assert str(raised.value) == (
        "pyproject.toml, line 4: input_shapes of [tool.normcheck] is no list of shapes, as in input_shapes = "
        "[[32, 768], [4, 16, 1024]]"
    )


WAYS = {
    "option": (["--norm", "layer_norm=kernel.py:layer_norm", "--norm-input-shape", "6x5000"], {}),
    "brackets": (["--norm", "layer_norm[input-shapes=32x768,6x5000]=kernel.py:layer_norm"], {}),
    "table": ([], {"pyproject.toml": TABLE.format("input_shapes = [[6, 5000]]")}),
    "test": (
        ["test_mine.py"],
        {
            "test_mine.py": "import pytest\nfrom kernel import layer_norm\n\n\n"
            "@pytest.mark.parametrize('shape', [(32, 768), (6, 5000)])\n"
            "def test_mine(normcheck, shape):\n"
            "    normcheck.verify(layer_norm, as_='layer_norm', input_shapes=[shape], effort='quick')\n"
        },
    ),
}


@sweep("way", WAYS)
def test_every_way_in_ends_in_the_same_question(pytester: pytest.Pytester, way: str) -> None:
    arguments, more = WAYS[way]
    for name, text in {"kernel.py": WRONG, **more}.items():
        (pytester.path / name).write_text(text)
    asked = [] if way == "test" else ["-k", "value"]
    result = pytester.runpytest_subprocess(*arguments, *asked, "--norm-effort", "quick", "-p", "no:cacheprovider")
    assert result.ret == 1
    assert "--norm-replay 'value/seed=" in result.stdout.str().replace("\n             ", " ") or way == "test"
    assert "input_shape=[6, 5000]" in " ".join(result.stdout.str().split())


def test_a_shape_that_does_not_fit_ends_pytest_with_status_4(pytester: pytest.Pytester) -> None:
    arguments = ["--norm", "layer_norm=torch.nn:LayerNorm(8)", "--norm-input-shape", "3x9", "-k", "value"]
    result = pytester.runpytest_subprocess(*arguments, "-p", "no:cacheprovider")
    assert result.ret == 4
    assert "the layer was made for inputs that end in 8: correct the shape" in " ".join(result.stdout.str().split())
    wrong = pytester.runpytest_subprocess("--norm", "layer_norm=torch.nn:LayerNorm(8)", "--norm-input-shape", "3,x")
    assert wrong.ret == 4
    assert "sizes above 0 joined by x" in wrong.stderr.str()
