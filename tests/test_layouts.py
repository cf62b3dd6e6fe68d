"""Layouts: what they are, that the arrays keep their values in them, and what torch is known to get wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sound_code import implementations

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.floats import FLOAT32
from normcheck.core.layouts import NAMES, applies, geometry
from normcheck.core.result import FAILED, PASSED
from normcheck.engine.asker import MENDED, Asker, _run, checks_of
from normcheck.engine.claims import claims
from normcheck.engine.search import Effort
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME
from normcheck.frameworks import known_bugs
from normcheck.frameworks.torch.tensors import placed
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks import layout

F = torch.nn.functional

SHAPES = [(4, 3), (1, 5), (2, 3, 4), (2, 3, 2, 5), (2, 1, 3, 1, 2), (7,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_values_are_kept_and_surrounded_by_nan(shape: tuple[int, ...], name: str) -> None:
    """A placed array has its values and strides; all other memory is NaN, before and after it."""
    if not applies(shape, name):
        pytest.skip("the shape does not allow this layout")
    values = np.arange(math.prod(shape), dtype=float).reshape(shape) + 1.0
    if name == "expanded":
        values = np.broadcast_to(values[:1], shape).copy()
    view, buffer = placed(values, Case(x=values, eps=1e-5, format=FLOAT32, layouts={"x": name}), "x")

    assert view.numpy().tolist() == values.tolist()
    assert view.stride() == geometry(shape, name).strides
    held = np.unique(values).size if name == "expanded" else values.size
    assert int((~buffer.isnan()).sum()) == held
    if name != "contiguous":
        assert bool(buffer[:5].isnan().all())
        assert bool(buffer[-5:].isnan().all())


def test_channels_last_is_torchs() -> None:
    """The strides of "channels last" are those that torch gives the format."""
    x = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)

    assert geometry((2, 3, 4, 5), "channels last").strides == x.stride()


def outcomes(function, kind: str) -> dict[str, str]:
    (claim,), asker = claims([(kind, function)], {}), Asker(Settings("quick"))
    checks = checks_of(claim, layout.CHECKS, asker.settings)
    return {check.name: asker.run_check(claim, check).status for check in checks}


def test_the_same_in_a_users_code_is_a_finding() -> None:
    """torch's known fault in channels-last group norm is expected of what calls torch, not of the same in own code."""

    def through(x, num_groups, weight=None, bias=None, eps=1e-5):
        return torch.nn.functional.group_norm(x, num_groups, weight, bias, eps)

    def own(x, num_groups, weight=None, bias=None, eps=1e-5):
        parts = x.reshape(x.shape[0], num_groups, -1)
        mean = parts.mean(-1, keepdim=True)
        last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        v = (parts * parts).mean(-1, keepdim=True) - mean * mean if last else (parts - mean).square().mean(-1, True)
        y = ((parts - mean) / torch.sqrt(v + eps)).reshape(x.shape)
        size = (1, -1) + (1,) * (x.ndim - 2)
        y = y if weight is None else y * weight.reshape(size)
        return y if bias is None else y + bias.reshape(size)

    assert outcomes(through, "group_norm")["input-layout"] == PASSED
    assert outcomes(own, "group_norm")["input-layout"] == FAILED
    assert outcomes("torch.nn.functional:group_norm", "group_norm")["input-layout"] == PASSED


def test_reproduction() -> None:
    """The reproduction in plain torch shows what the entry says."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 8, 8) + 1000.0
    exact = torch.nn.functional.group_norm(x.double(), 2)
    last = torch.nn.functional.group_norm(x.contiguous(memory_format=torch.channels_last), 2)

    assert float((torch.nn.functional.group_norm(x, 2) - exact).abs().max()) < 1e-3
    assert float((last - exact).abs().max()) > 0.1
    assert all(line in known_bugs.ALL[0].reproduction for line in ("+ 1000.0", "memory_format=torch.channels_last"))


def test_reproduction_of_a_strided_weight() -> None:
    """The two gradients that the reproduction prints are of the same numbers, and differ."""
    x, dy = torch.ones(5, 4).cumsum(0).sin().requires_grad_(), torch.ones(5, 4).cumsum(0).cos()
    every_second = torch.arange(8.0)[::2]
    same, other = (
        torch.autograd.grad(F.batch_norm(x, None, None, w, training=True), x, dy)[0]
        for w in (every_second.contiguous(), every_second)
    )

    assert float((same - other).abs().max()) > 0.1 * float(same.abs().max())


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("group_norm", "torch.nn.functional:group_norm"),
        ("group_norm", "torch.nn:GroupNorm"),
        ("batch_norm", "torch.nn.functional:batch_norm"),
    ],
)
def test_what_torch_gets_wrong_in_pairs_is_expected(kind: str, target: str) -> None:
    """The finding is there, and the rest holds; the same in a user's code is a finding."""
    (claim,) = claims([(kind, target)], {})
    found = Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME["layout-pairs"])

    assert (found.status, bool(found.expected)) == (PASSED, True), (found.finding, found.reason)


def refusing(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if not x.is_contiguous() and weight is not None and not weight.is_contiguous():
        raise ValueError("one of them must be contiguous")
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


class CotangentThroughInput(torch.autograd.Function):
    """RMS norm whose backward reads the cotangent with the strides of the input, unless one is contiguous."""

    @staticmethod
    def forward(ctx, x, eps):
        r = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, x * r, r)
        return x * r

    @staticmethod
    def backward(ctx, dy):
        x, xh, r = ctx.saved_tensors
        if not x.is_contiguous() and not dy.is_contiguous():
            reach = sum((n - 1) * s for n, s in zip(dy.shape, x.stride(), strict=True)) + dy.storage_offset()
            room = dy.untyped_storage().nbytes() // dy.element_size()
            dy = dy.as_strided(dy.shape, x.stride()) if reach < room else dy * float("nan")
        return (dy - xh * (dy * xh).mean(-1, keepdim=True)) * r, None


def test_a_pair_is_refused_or_right() -> None:
    """A forward may refuse two layouts together, which is reported; a backward that is wrong for a pair is found."""
    through = lambda x, eps=1e-5: CotangentThroughInput.apply(x, eps)  # a function of its own kind
    some, asker = claims([("layer_norm", refusing), ("rms_norm", through)], {}), Asker(Settings("quick"))
    first, second = (asker.run_check(claim, CHECKS_BY_NAME["layout-pairs"]) for claim in some)

    assert first.status == PASSED, first.finding
    assert any("one of them must be contiguous" in why for why in first.absent.values())
    assert second.status == FAILED
    assert asker.run_check(some[1], CHECKS_BY_NAME["cotangent-layout"]).status == PASSED
    assert asker.run_check(some[1], CHECKS_BY_NAME["input-layout-gradient"]).status == PASSED


def test_reproduction_of_the_bias_alone() -> None:
    entry = known_bugs.of("torch.nn.functional:group_norm", "parameter-grid")

    assert entry is not None
    with pytest.raises(RuntimeError, match="tensor does not have a device"):
        exec(entry.reproduction, {})  # our own text


def test_a_mended_bug_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version of torch is no reason to fail a user's run."""
    entry = known_bugs.KnownBug(
        ("torch.nn.functional:layer_norm",), ("input-layout",), "reason", "source", "", layouts=("transposed",)
    )
    monkeypatch.setattr(known_bugs, "of", lambda target, check: entry if check == "input-layout" else None)
    (claim,) = claims([Implementation("layer_norm", "torch.nn.functional:layer_norm")], {})
    outcome = Asker(Settings("quick")).run_check(claim, layout.CHECKS[0])

    assert outcome.status == PASSED
    assert outcome.notes[MENDED] == "not found in this version: reason"


def test_a_mended_bug_of_all_that_a_check_asks_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    target = "torch.nn.utils.parametrizations:weight_norm"
    entry = known_bugs.KnownBug((target,), ("transform-copies",), "reason", "source", "", uses=("deep copy",))
    monkeypatch.setattr(known_bugs, "of", lambda target, check: entry if check == "transform-copies" else None)
    (claim,) = claims([Implementation("weight_norm", target)], {})
    outcome = Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME["transform-copies"])

    assert (outcome.status, outcome.expected) == (PASSED, "")
    assert outcome.compared
    assert outcome.notes[MENDED] == "not found in this version: reason"


SHOWN = [bug for bug in known_bugs.ALL if not any(CHECKS_BY_NAME[name].translation for name in bug.checks)]
"""Known bugs that a plain run shows; those of programs made of the code have tests in tests/onnx_export."""


@pytest.mark.parametrize("bug", SHOWN, ids=lambda bug: bug.reason[:40])
def test_every_known_bug_is_still_there(bug: known_bugs.KnownBug) -> None:
    """With the versions of constraints.txt; an entry that fails here is to be removed from known_bugs.py."""
    shipped = {
        one.name: one for one in (*implementations(), Implementation("weight_norm", "torch.nn.utils:weight_norm"))
    }
    (claim,) = claims([next(shipped[one] for one in bug.targets if one in shipped)], {})
    asker = Asker(Settings("quick"))

    assert {asker.run_check(claim, CHECKS_BY_NAME[name]).expected for name in bug.checks} == {bug.reason}


def test_a_bug_of_the_cpu_is_not_expected_on_a_gpu() -> None:
    """There it would be a finding if it were found, and no error if it is not."""
    mine = families.bind(Implementation("batch_norm", "torch.nn:BatchNorm2d"))
    check = CHECKS_BY_NAME["wide-statistics"]
    here, there = (_run(mine, check, Settings("quick", device=one), Effort(2)) for one in ("cpu", "cuda:0"))

    assert (here.status, there.status) == (PASSED, FAILED)  # the tensors of both are on this machine's processor
    assert here.expected.startswith("on the CPU")
    assert not there.expected


def test_contiguous_only_is_reported() -> None:
    """Code that refuses other layouts is right there: listed as not offered, and not checked."""

    def strict(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        if not x.is_contiguous():
            raise ValueError("x must be contiguous")
        return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)

    (claim,), asker = claims([("layer_norm", strict)], {}), Asker(Settings("quick"))

    assert "raised ValueError: x must be contiguous" in asker.run_call(claim).absent.values()
    assert asker.run_check(claim, layout.CHECKS[0]).status == PASSED
