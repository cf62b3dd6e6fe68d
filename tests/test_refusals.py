"""What torch's functions refuse: a warning where code takes it in a plain meaning, a finding where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import normcheck
from normcheck.core.claim import Implementation
from normcheck.core.errors import ON_SHAPES
from normcheck.core.result import FAILED, PASSED
from normcheck.engine.search import Effort, search
from normcheck.families import CHECKS_BY_NAME
from normcheck.families import bind as subject

CODE = Path(__file__).parent / "user_code"
F = torch.nn.functional


def asked(kind: str, target: object, check: str = "wrong-sizes", **conventions: str):
    named = str(CODE / target) if isinstance(target, str) and ".py:" in target else target
    mine = subject(Implementation(kind, named, {k.replace("_", "-"): v for k, v in conventions.items()}))
    return search(mine, CHECKS_BY_NAME[check], Effort(4, shrinks=False))


def not_asked(kind: str, target: str, **conventions: str) -> str:
    mine = subject(Implementation(kind, target, {k.replace("_", "-"): v for k, v in conventions.items()}))
    return CHECKS_BY_NAME["wrong-sizes"].lacks(mine)


@pytest.mark.parametrize("kind", ["batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"])
def test_the_functions_of_torch_refuse_everything(kind: str) -> None:
    found = asked(kind, f"torch.nn.functional:{kind}", wrong_sizes="refused")

    assert (found.status, found.warnings, dict(found.notes)) == (PASSED, (), {})


@pytest.mark.parametrize(
    ("kind", "target"), [("group_norm", "torch.nn:GroupNorm"), ("batch_norm", "torch.nn:BatchNorm2d")]
)
def test_the_layers_of_torch_refuse_everything(kind: str, target: str) -> None:
    assert asked(kind, target, wrong_sizes="refused").status == PASSED


def test_parameters_of_a_layer_have_its_sizes() -> None:
    assert not_asked("layer_norm", "torch.nn:LayerNorm") == "its parameters are its own"


def test_it_can_be_left_out() -> None:
    target = "torch.nn.functional:group_norm"
    assert not_asked("group_norm", target, wrong_sizes="any") == "wrong-sizes=any is declared"


def test_one_entry_for_all_is_a_note() -> None:
    found = asked("layer_norm", "correct/layer_norm_functions.py:two_pass")

    assert (found.status, found.warnings) == (PASSED, ())
    assert found.notes["wrong-sizes"].startswith("a weight of 1 entry for 6; a bias of 1 entry for 6: taken for all")


def test_it_is_a_finding_where_refusals_are_declared() -> None:
    found = asked("layer_norm", "correct/layer_norm_functions.py:two_pass", wrong_sizes="refused")

    assert found.status == FAILED
    assert found.finding.detail.startswith("accepted, where torch's functions raise: a weight of 1 entry for 6")


@pytest.mark.parametrize("name", ["two_pass", "group_by_group", "through_layer_norm"])
def test_groups_of_a_plain_meaning_are_a_warning(name: str) -> None:
    """Of 2 1/2 channels each, or of two and three."""
    target = f"correct/group_norm_functions.py:{name}"
    found = asked("group_norm", target)

    assert found.status == PASSED
    assert [(one.name, one.declare) for one in found.warnings] == [("wrong-sizes", "wrong-sizes=any")]
    assert "5 channels in 2 groups: raise a ValueError" in found.warnings[0].text


def test_training_on_one_value_is_a_note() -> None:
    """The bias, as the formula has it: harmless where no running statistics are kept."""
    found = asked("batch_norm", "correct/batch_norm_functions.py:two_pass")

    assert (found.status, found.warnings) == (PASSED, ())
    assert found.notes["one value for each channel in training"] == "accepted, where torch's functions raise"


def test_training_on_one_value_is_a_finding_where_refusals_are_declared() -> None:
    found = asked("batch_norm", "correct/batch_norm_functions.py:two_pass", wrong_sizes="refused")

    assert found.status == FAILED
    assert "one value for each channel in training: raise a ValueError" in found.finding.detail


@pytest.mark.parametrize("size", [2, 3])
def test_groups_of_unequal_sizes_have_a_plain_meaning(size: int) -> None:
    """The last group is smaller, or larger, and divided by its own number of members."""

    def chunks(x, num_groups, weight=None, bias=None, eps=1e-5):
        fits = x.shape[1] % num_groups == 0
        sizes = [x.shape[1] // num_groups] * num_groups if fits else [size, x.shape[1] - size]
        parts = [F.group_norm(part, 1, eps=eps) for part in x.split(sizes, 1)]
        shape = (1, -1, *(1,) * (x.dim() - 2))
        y = torch.cat(parts, 1)
        y = y if weight is None else y * weight.reshape(shape)
        return y if bias is None else y + bias.reshape(shape)

    found = asked("group_norm", chunks)

    assert (found.status, len(found.warnings)) == (PASSED, 1)


def test_a_finding_says_which_call() -> None:
    found = asked("layer_norm", "wrong/refusals.py:pointer_of_weight")

    assert found.finding.law == "a weight of 1 entry for 6: refused, or taken in a plain meaning"


class _Square(torch.autograd.Function):
    """The backward keeps the last axis of the input for its positions, which a map does not have in one axis."""

    @staticmethod
    def forward(ctx, x, groups, weight, bias, eps):
        ctx.save_for_backward(x, weight, bias)
        ctx.rest = groups, eps
        return F.group_norm(x, groups, weight, bias, eps)

    @staticmethod
    def backward(ctx, dy):
        x, weight, bias = ctx.saved_tensors
        groups, eps = ctx.rest
        with torch.enable_grad():
            leaves = [None if t is None else t.detach().requires_grad_() for t in (x, weight, bias)]
            y = F.group_norm(leaves[0], groups, *leaves[1:], eps)
        grads = iter(torch.autograd.grad(y, [t for t in leaves if t is not None], dy))
        dx, dweight, dbias = (None if t is None else next(grads) for t in leaves)
        if x.dim() > 4:
            dx = dx.reshape(-1).narrow(0, 0, dy.shape[0] * dy.shape[1] * dy.shape[-1] // 2).view(x.shape)
        return dx, None, dweight, dbias, None


def flat_maps(x, num_groups, weight=None, bias=None, eps=1e-5):
    return _Square.apply(x, num_groups, weight, bias, eps)


def test_a_backward_that_raises_names_every_shape_that_its_forward_takes() -> None:
    found = asked("group_norm", flat_maps, "odd-shapes-gradient")

    assert found.status == FAILED
    shapes = found.finding.detail.partition(ON_SHAPES)[2].split("; ")
    assert len(shapes) == 2
    assert all(shape.split(" in ")[0].count("x") == 4 for shape in shapes)
    assert asked("group_norm", flat_maps, "odd-shapes").status == PASSED


def test_a_backward_without_a_width_is_no_missing_capability() -> None:
    found = asked("layer_norm", "wrong/refusals.py:kernels_below_8192", "every-width")

    assert found.status == FAILED
    assert found.finding.detail.endswith(f"{ON_SHAPES}3x8192; 3x8193")


def test_a_form_decides_which_sizes_fit() -> None:
    """A weight for groups of the width is as long as a row: no length of a plain weight is wrong there."""
    target = "tests/user_code/forms/groups.py:head_norm"
    found = normcheck.check(target, as_="rms_norm", effort="smoke", contract={"form": "groups"})

    assert found.ok, str(found)
