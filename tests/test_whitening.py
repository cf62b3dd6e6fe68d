"""Whitening: the reference against torch and against differences, the bound on correct code, what targets are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import normcheck
from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract
from normcheck.core.errors import UsageError
from normcheck.core.result import FAILED, PASSED
from normcheck.engine.verdict import gradient_mode
from normcheck.explain.pages import page
from normcheck.families import bind as subject
from normcheck.families.whitening import reference
from normcheck.families.whitening.case import WhiteningCase, fold
from normcheck.families.whitening.entry import ENTRIES, Whitening
from normcheck.families.whitening.reference import CHOLESKY, ZCA, answer, flip
from normcheck.families.whitening.space import SPECTRA, WhiteningDraw, whitening_case
from normcheck.implementations import whitening
from normcheck.report.message import case_words

TARGETS = {
    "zca_whitening": (whitening.zca_whitening, whitening.ZCAWhitening),
    "cholesky_whitening": (whitening.cholesky_whitening, whitening.CholeskyWhitening),
    "iter_norm": (whitening.iter_norm, whitening.IterNorm),
}
PAIRS = [(kind, target) for kind, targets in TARGETS.items() for target in targets]
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)


def case(entry: Whitening, **changes) -> WhiteningCase:
    return whitening_case(entry, WhiteningDraw(**changes))


def by_torch(entry: Whitening, x: torch.Tensor, eps: float) -> torch.Tensor:
    """Plain torch, differentiated by it: (groups, channels, members)."""
    c = x - x.mean(-1, keepdim=True)
    s = c @ c.mT / x.shape[-1] + eps * torch.eye(x.shape[-2], dtype=x.dtype)
    if entry.root is ZCA:
        values, vectors = torch.linalg.eigh(s)
        return vectors @ torch.diag_embed(values**-0.5) @ vectors.mT @ c
    if entry.root is CHOLESKY:
        return torch.linalg.solve(torch.linalg.cholesky(s), c)
    t = s.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    p = torch.eye(x.shape[-2], dtype=x.dtype)
    for _ in range(5):
        p = 1.5 * p - 0.5 * torch.linalg.matrix_power(p, 3) @ (s / t)
    return p @ c / t.sqrt()


@each
@pytest.mark.parametrize("spectrum", ["plain", "wide", "offset"])
def test_output_and_gradient_are_those_of_torch(entry, spectrum) -> None:
    asked = case(entry, spectrum=spectrum, groups=2, channels=6, rank=3, affine=False)
    x = torch.tensor(fold(asked.x, 2), requires_grad=True)
    y = by_torch(entry, x, asked.eps)
    y.backward(torch.tensor(fold(asked.dy, 2)))
    found = answer(entry.root, asked)

    np.testing.assert_allclose(fold(found.y, 2), y.detach().numpy(), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(fold(found.dx, 2), x.grad.numpy(), rtol=1e-8, atol=1e-9)


@each
@pytest.mark.parametrize("spectrum", list(SPECTRA))
def test_gradient_is_that_of_differences_where_eigenvalues_meet(entry, spectrum) -> None:
    """Central differences along a random direction know nothing of eigenvalues."""
    root, asked = entry.root, case(entry, spectrum=spectrum, affine=False, eps=0.25)
    v = np.random.default_rng(1).standard_normal(asked.x.shape)
    h = 1e-5
    ends = [answer(root, asked.but(x=asked.x + sign * h * v)).y for sign in (1.0, -1.0)]
    along = float((asked.dy * (ends[0] - ends[1])).sum() / (2 * h))

    assert float((answer(root, asked).dx * v).sum()) == pytest.approx(along, rel=1e-6, abs=1e-7)


def test_the_equal_spectrum_is_exactly_equal() -> None:
    done = reference.forward(ZCA, fold(case(ENTRIES[0], spectrum="equal").x, 1), 0.0)
    np.testing.assert_array_equal(done.covariance[0], np.eye(4))


def test_torch_own_derivative_is_no_number_there() -> None:
    """Why the bundled ZCA has a backward of its own."""
    asked = case(ENTRIES[0], spectrum="equal", affine=False)
    x = torch.tensor(fold(asked.x, 1), requires_grad=True)
    by_torch(ENTRIES[0], x, asked.eps).backward(torch.tensor(fold(asked.dy, 1)))

    assert not torch.isfinite(x.grad).all()


@pytest.mark.parametrize("root", [ZCA, CHOLESKY], ids=["zca", "cholesky"])
def test_the_matrix_whitens(root) -> None:
    done = reference.forward(root, fold(case(ENTRIES[0]).x, 1), 0.25)
    np.testing.assert_allclose(done.matrix @ done.damped @ flip(done.matrix), np.eye(4)[None], atol=1e-12)


@pytest.mark.parametrize(("kind", "target"), PAIRS, ids=lambda v: getattr(v, "__name__", ""))
def test_the_bundled_layers_use_at_most_half_of_a_bound(kind, target) -> None:
    bound = subject(Implementation(kind, target))
    assert not bound.absent
    for check in (c for c in families.CHECKS if c.concerns(bound.entry) and not c.lacks(bound)):
        outcome = run_check(bound, check, [*check.space.explicit_examples(bound), *draws(bound, check, 10, 5)])
        assert outcome.status == PASSED, outcome.finding
        assert outcome.bound_ratio <= 0.5


@each
def test_the_bounds_are_not_idle(entry) -> None:
    """An error of one in a hundred thousand of an output or a gradient is seen in float64 at every spectrum."""
    right = subject(Implementation(entry.name, TARGETS[entry.name][0]))
    for name, factor in (("white-output", 1.0 + 1e-5), ("white-gradient", 1.0 + 1e-5)):
        check = families.CHECKS_BY_NAME[name]
        for spectrum in SPECTRA:
            asked = case(entry, spectrum=spectrum)

            class Off:
                domain, contract, absent = right.domain, right.contract, right.absent
                entry, name = right.entry, "off"

                def call(self, given, gradient, factor=factor):
                    found = right.call(given, gradient)
                    dx = None if found.dx is None else found.dx * factor
                    return type(found)(found.y * factor, dx, found.dweight, found.dbias)

            assert check.ask(right, asked).bound_ratio <= 1.0
            assert check.ask(Off(), asked).bound_ratio > 1.0


def test_autograd_through_eigh_is_found_out() -> None:
    """What is written most often: right but where eigenvalues are equal."""

    def naive(input, running_mean=None, running_cov=None, eps=1e-5):
        y = by_torch(ENTRIES[0], input.movedim(1, 0).reshape(1, input.shape[1], -1), eps)
        return y.reshape(input.shape[1], input.shape[0], *input.shape[2:]).movedim(0, 1)

    bound = subject(Implementation("zca_whitening", naive))
    check = families.CHECKS_BY_NAME["white-gradient"]
    found = run_check(bound, check, [d for d in check.space.explicit_examples(bound) if d.spectrum == "equal"])
    plain = run_check(bound, check, [WhiteningDraw(affine=False)])

    assert (found.status, plain.status) == (FAILED, PASSED)
    assert bound.absent["groups"] == "has no parameter for groups"


@pytest.mark.parametrize(("target", "contract", "said"), [
    (3, {}, "is no function or module class"),
    (lambda x, mystery, eps=1: x, {}, "requires mystery, which is no part of whitening"),
    (lambda x: x, {}, "takes no eps; say which it has with --norm-contract eps=E"),
    (type("Even", (torch.nn.Module,), {"__init__": lambda self, num_features, eps=1: [][num_features]}), {},
     "cannot be constructed for 2 channels: IndexError"),
    (whitening.iter_norm, {"momentum": "old"}, "whitening has no such convention; known: eps, formats, slack"),
])  # fmt: skip
def test_what_is_no_whitening_is_said_in_a_sentence(target, contract, said) -> None:
    with pytest.raises(UsageError) as error:
        subject(Implementation("iter_norm", target, contract))

    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("liar", [torch.zeros_like, lambda x: x * 1.0, lambda x: x * torch.nan], ids="0xN")
def test_a_liar_passes_no_check_of_the_output(liar) -> None:
    bound = subject(Implementation("zca_whitening", lambda x, eps=0.1: liar(x)))
    check = families.CHECKS_BY_NAME["white-output"]
    assert run_check(bound, check, check.space.explicit_examples(bound)).status == FAILED


@each
def test_the_page_tells_how_it_is_called(entry) -> None:
    said = " ".join(text for _, some in page(entry.name).sections for text in some)
    assert "running_cov" in said
    assert entry.paper.authors in said
    assert families.get(entry.name) is entry


@each
def test_the_gradient_that_it_has_is_named(entry) -> None:
    """Full in the bundled layer; through no statistic where they are detached."""
    check = families.CHECKS_BY_NAME["white-gradient"]
    full = subject(Implementation(entry.name, TARGETS[entry.name][0]))
    constant = families.of(entry).faulty(entry, families.fault("white-statistics-constant"), Contract())
    modes = [gradient_mode(check.ask(s, case(entry)).metrics, "full") for s in (full, constant)]

    assert modes == ["full", "statistics-constant"]


def test_a_case_is_told_with_its_shape() -> None:
    said = [case_words(case(ENTRIES[0], rank=4, affine=affine).describe()) for affine in (False, True)]
    assert said[0].startswith("float64 4x4x2x3, no parameters, groups 1")
    assert said[1].startswith("float64 4x4x2x3, weight and bias, groups 1")


class WithAxesOfMaps(whitening.ZCAWhitening):
    """Its weight and bias have the axes of maps."""

    def __init__(self, num_features, num_groups=1, eps=1e-5, momentum=0.1, affine=True):
        super().__init__(num_features, num_groups, eps, momentum, affine=False)
        if affine:
            self.weight = torch.nn.Parameter(torch.ones(1, num_features, 1, 1))
            self.bias = torch.nn.Parameter(torch.zeros(1, num_features, 1, 1))

    def forward(self, x):
        state, shape = (self.running_mean, self.running_cov), (1, -1, *[1] * (x.dim() - 2))
        y = whitening.zca_whitening(x, *state, None, None, self.training, self.momentum, self.eps, self.num_groups)
        return y if self.weight is None else y * self.weight.reshape(shape) + self.bias.reshape(shape)


def test_parameters_may_have_axes_of_length_one() -> None:
    assert normcheck.check(WithAxesOfMaps, as_="zca_whitening", effort="quick").ok
