"""Layers in refreshed coordinates: the reference against torch, correct code in other styles, witnesses, targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import linear as affine_of

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.result import FAILED, PASSED
from normcheck.explain.pages import page
from normcheck.families import bind as subject
from normcheck.families.reparametrized.bounds.truth import truth
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import ENTRIES, Reparametrized
from normcheck.families.reparametrized.reference import affine, perceptron
from normcheck.families.reparametrized.space import SPREADS, ReparametrizedDraw, reparametrized_case
from normcheck.implementations import refreshed

BUNDLED = {
    "mean_normalized_sgd": refreshed.MeanNormalizedLinear,
    "linear_transformations": refreshed.LinearTransformations,
    "natural_gradient_sgd": refreshed.NaturalGradientLinear,
    "natural_neural_network": refreshed.NaturalLinear,
}
AFFINE = [entry for entry in ENTRIES if entry.affine]
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
each_affine = pytest.mark.parametrize("entry", AFFINE, ids=lambda e: e.name)


def case(entry: Reparametrized, **changes) -> ReparametrizedCase:
    return reparametrized_case(entry, ReparametrizedDraw(**{"damping": entry.dampings[0], **changes}))


def outcomes(bound, *names: str) -> dict[str, str]:
    found = [
        c for c in families.CHECKS if c.concerns(bound.entry) and not c.lacks(bound) and (not names or c.name in names)
    ]
    return {
        c.name: run_check(bound, c, [*c.space.explicit_examples(bound), *draws(bound, c, 4, 2)]).status for c in found
    }


def failed(bound) -> set[str]:
    return {name for name, status in outcomes(bound).items() if status != PASSED}


@pytest.mark.parametrize("geometry", [affine.by_mean, affine.by_covariance], ids=["mean", "covariance"])
@pytest.mark.parametrize("style", ["symmetric", "triangular"])
def test_a_step_is_that_of_torch_in_new_coordinates(geometry, style) -> None:
    """V of V T x~ is stepped by torch, whichever root T is of the metric."""
    asked = case(AFFINE[0], spread="offset")
    g = geometry(*asked.batches[0], 0.25)
    values, vectors = np.linalg.eigh(g.metric)
    root = (vectors * np.sqrt(values)) @ vectors.T if style == "symmetric" else np.linalg.cholesky(g.metric).T
    root[:, -1] -= root @ g.center
    matrix = np.column_stack(asked.weights)
    x, dy = asked.batches[1]
    held = torch.tensor(matrix @ np.linalg.inv(root), requires_grad=True)
    (torch.tensor(affine.lifted(x) @ root.T) @ held.T).backward(torch.tensor(dy))
    stepped = (held - asked.rate * held.grad).detach().numpy() @ root

    np.testing.assert_allclose(matrix - asked.rate * affine.move(g, x, dy), stepped, rtol=1e-10, atol=1e-11)


def test_a_natural_gradient_is_a_sum_over_cases() -> None:
    """Case by case, as the paper writes it, with the sums of squares kept on both sides."""
    entry = families.get("natural_gradient_sgd")
    asked = case(entry)
    (x0, dy0), (x, dy) = asked.batches[:2]
    turned = []
    for estimate, rows in ((affine.lifted(x0), affine.lifted(x)), (dy0, dy)):
        fisher = sum(np.outer(r, r) for r in estimate) / len(estimate)
        g = fisher + 4.0 * np.trace(fisher) / len(fisher) * np.eye(len(fisher))
        out = np.array([np.linalg.solve(g, r) for r in rows])
        turned.append(out * np.sqrt((rows**2).sum() / (out**2).sum()))
    expected = sum(np.outer(d, r) for r, d in zip(*turned, strict=True))

    np.testing.assert_allclose(affine.move(affine.by_scatter(x0, dy0, 4.0), x, dy), expected, rtol=1e-12, atol=1e-13)


def test_gradients_of_a_bent_layer_are_those_of_torch() -> None:
    asked = case(families.get("linear_transformations"))
    x, dy = asked.batches[0]
    bend = perceptron.chosen(asked.weights, x)
    held = [torch.tensor(w, requires_grad=True) for w in asked.weights]
    a = torch.tensor(x) @ held[0].T + held[1]
    f = torch.tanh(a) + torch.tensor(bend.slope) * a + torch.tensor(bend.shift)
    (f @ held[2].T + torch.tensor(x) @ held[3].T + held[4]).backward(torch.tensor(dy))

    for got, p in zip(perceptron.gradients(asked.weights, bend, x, dy), held, strict=True):
        np.testing.assert_allclose(got, p.grad.numpy(), rtol=1e-11, atol=1e-12)


def test_a_bend_is_zero_on_average_in_value_and_slope_and_changes_no_function() -> None:
    asked = case(families.get("linear_transformations"))
    x, weights = asked.batches[0][0], asked.weights
    straight, bend = perceptron.none(weights), perceptron.chosen(weights, x)
    h = 1e-6
    a = perceptron.arriving(weights, x)
    slope = (np.tanh(a + h) - np.tanh(a - h)) / (2 * h) + bend.slope
    after = perceptron.compensated(weights, straight, bend)

    np.testing.assert_allclose(perceptron.hidden(weights, bend, x).mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(slope.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(
        perceptron.outputs(after, bend, asked.probe), perceptron.outputs(weights, straight, asked.probe), atol=1e-13
    )


MAPS = {
    "shift": (np.eye(4), np.arange(1.0, 5.0)),
    "rotation": (np.eye(4) - 0.5, np.zeros(4)),
    "linear": (np.tril(np.ones((4, 4))), np.zeros(4)),
}


@pytest.mark.parametrize("map_", MAPS)
@each_affine
def test_a_step_commutes_with_what_the_entry_says_and_with_no_more(entry, map_) -> None:
    """In float64, by the reference alone: a yes is an identity with eps 0, a no has a witness."""
    asked = case(entry, damping=0.0 if entry.geometry is affine.by_covariance else entry.dampings[0])
    inner, shift = MAPS[map_]
    mapped = truth(entry, asked.mapped(inner, shift, np.eye(2))).stepped().y
    gap = np.abs(mapped - truth(entry, asked).stepped().y).max()

    assert gap < 1e-9 if map_ in entry.commutes else gap > 1e-2


def test_with_eps_a_natural_network_follows_no_stretching() -> None:
    entry = families.get("natural_neural_network")
    asked = case(entry, damping=1.0)
    mapped = asked.mapped(*MAPS["linear"], np.eye(2))

    assert np.abs(truth(entry, mapped).stepped().y - truth(entry, asked).stepped().y).max() > 1e-2


def test_plain_gradient_descent_follows_rotations_alone() -> None:
    asked = case(AFFINE[0])
    for name, (inner, shift) in MAPS.items():
        ends = []
        for one in (asked, asked.mapped(inner, shift, np.eye(2))):
            matrix = np.column_stack(one.weights) - one.rate * affine.move(affine.flat(4, 2), *one.batches[1])
            ends.append(affine.lifted(one.probe) @ matrix.T)
        gap = np.abs(ends[0] - ends[1]).max()
        assert gap < 1e-12 if name == "rotation" else gap > 1e-2


@pytest.mark.parametrize("kind", BUNDLED)
def test_the_bundled_layers_use_at_most_half_of_a_bound(kind) -> None:
    bound = subject(Implementation(kind, BUNDLED[kind]))
    assert set(bound.absent) == {"gradient"}
    for check in (c for c in families.CHECKS if c.concerns(bound.entry) and not c.lacks(bound)):
        outcome = run_check(bound, check, [*check.space.explicit_examples(bound), *draws(bound, check, 8, 5)])
        assert outcome.status == PASSED, outcome.finding
        assert outcome.bound_ratio <= 0.5


@each
@pytest.mark.parametrize(("format", "error"), [("float64", 1e-10), ("float32", 1e-2)])
def test_the_bounds_are_not_idle(entry, format, error) -> None:
    """A step that is too long by a little is seen at every spread."""
    right = subject(Implementation(entry.name, BUNDLED[entry.name]))

    class Long:
        def __init__(self, given):
            self.life = right.start(given)
            self.refresh, self.outputs, self.gradient = self.life.refresh, self.life.outputs, self.life.gradient

        def step(self, x, dy, rate):
            self.life.step(x, dy, rate * (1.0 + error))

    wrong = families.of(entry).faulty(entry, None, Contract())
    wrong = type(wrong)("long", entry, Contract(), right.domain, Long)
    for spread in SPREADS:
        asked = case(entry, spread=spread, format=format)
        assert families.CHECKS_BY_NAME["refresh-step"].ask(right, asked).bound_ratio <= 1.0
        assert families.CHECKS_BY_NAME["refresh-step"].ask(wrong, asked).bound_ratio > 1.0


class Principal(refreshed.NaturalLinear):
    """Whitens to principal axes: another root of the same metric."""

    @torch.no_grad()
    def refresh(self, x):
        mean = x.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0).reshape(len(mean), -1))
        plain = self.weight @ self.whitening
        new = torch.diag((values + self.eps) ** -0.5) @ vectors.T
        self.bias.copy_(self.bias - plain @ self.mean + plain @ mean)
        self.weight.copy_(torch.linalg.solve(new.T, plain.T).T)
        self.whitening.copy_(new)
        self.mean.copy_(mean)


class Hooked(torch.nn.Linear):
    """Mean-normalized by an edit of gradients, as an optimizer does it: the weights stay those of W x + b."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features, dtype=linear.weight.dtype)
        self.load_state_dict(linear.state_dict())
        self.register_buffer("mean", torch.zeros_like(self.weight[0]))

    def forward(self, x):
        return _Edited.apply(x, self.weight, self.bias, self.mean)

    def refresh(self, x):
        self.mean = x.mean(dim=0)


class _Edited(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, mean):
        ctx.save_for_backward(x, weight, mean)
        return affine_of(x, weight, bias)

    @staticmethod
    def backward(ctx, dy):
        x, weight, mean = ctx.saved_tensors
        by_weight = dy.T @ (x - mean)
        return dy @ weight, by_weight, dy.sum(dim=0) - by_weight @ mean, None


class Averaged(refreshed.MeanNormalizedLinear):
    """Keeps an average of means."""

    def __init__(self, linear, momentum=0.1):
        super().__init__(linear)
        self.momentum = momentum

    def refresh(self, x):
        mean = self.mean + self.momentum * (x.mean(dim=0) - self.mean)
        super().refresh(mean.expand(2, -1))


class AveragedByOld(Averaged):
    """The same with momentum as the weight of what was."""

    def __init__(self, linear, momentum=0.9):
        super().__init__(linear, 1.0 - momentum)


@pytest.mark.parametrize(("kind", "target", "contract"), [
    ("natural_neural_network", Principal, {}),
    ("mean_normalized_sgd", Hooked, {}),
    ("mean_normalized_sgd", Averaged, {}),
    ("mean_normalized_sgd", AveragedByOld, {"momentum": "old"}),
    ("natural_neural_network", lambda linear: refreshed.NaturalLinear(linear, 0.5), {"eps": "0.5"}),
])  # fmt: skip
def test_correct_code_in_another_style_passes(kind, target, contract) -> None:
    assert failed(subject(Implementation(kind, target, contract))) == set()


def test_an_average_under_the_wrong_convention_is_found() -> None:
    """With a momentum that is the weight of what was, and 1 given, nothing is ever learned."""
    assert "refresh-step" in failed(subject(Implementation("mean_normalized_sgd", AveragedByOld)))


class Idle(torch.nn.Linear):
    """Plain gradient descent."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features, dtype=linear.weight.dtype)
        self.load_state_dict(linear.state_dict())

    def refresh(self, x):
        pass


def test_plain_gradient_descent_keeps_its_function_and_takes_another_step() -> None:
    found = outcomes(subject(Implementation("mean_normalized_sgd", Idle)))
    assert found["refresh-function"] == found["refresh-constant"] == found["refresh-rotation"] == PASSED
    assert found["refresh-step"] == found["refresh-shift"] == FAILED


@pytest.mark.parametrize("liar", [lambda y: y * 0.0, lambda y: y * torch.nan, lambda y: y + 1e-3], ids="0N+")
def test_a_liar_keeps_no_function(liar) -> None:
    class Liar(Idle):
        def forward(self, x):
            return liar(super().forward(x))

    assert outcomes(subject(Implementation("mean_normalized_sgd", Liar)), "refresh-function") == {
        "refresh-function": FAILED
    }


@pytest.mark.parametrize(("kind", "target", "contract", "said"), [
    ("mean_normalized_sgd", 3, {}, "is no class or function that makes a module of linear"),
    ("mean_normalized_sgd", lambda linear, mystery: linear, {}, "also requires mystery; give defaults"),
    ("natural_neural_network", Idle, {}, "takes no eps; say its value with --norm-contract eps=E"),
    ("natural_gradient_sgd", Idle, {}, "takes no alpha; say its value with --norm-contract eps=E"),
    ("mean_normalized_sgd", Idle, {"gradient": "full", "weight": "1+w"}, "known: eps, formats, momentum, slack"),
])  # fmt: skip
def test_what_is_no_refreshed_layer_is_said_in_a_sentence(kind, target, contract, said) -> None:
    with pytest.raises(UsageError) as error:
        subject(Implementation(kind, target, contract))

    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_module_without_refresh_is_said_so() -> None:
    with pytest.raises(CallError, match="returns Linear, which has no refresh"):
        subject(Implementation("mean_normalized_sgd", lambda linear: linear))


def test_a_parameter_of_another_shape_is_said_so() -> None:
    """The weights of outer are read by their shape."""

    class Flat(refreshed.LinearTransformations):
        def __init__(self, inner, outer, shortcut):
            super().__init__(inner, outer, shortcut)
            self.flat = torch.nn.Parameter(self.outer.detach().clone().reshape(-1))
            del self.outer

        def __getattr__(self, name):
            flat = name == "outer" and "outer" not in self._parameters
            return self.flat.reshape(-1, len(self.slope)) if flat else super().__getattr__(name)

    bound = subject(Implementation("linear_transformations", Flat))
    with pytest.raises(CallError, match="0 of its parameters have the shape 2x5; there must be one"):
        families.CHECKS_BY_NAME["refresh-mean-output"].ask(bound, case(bound.entry))


@each
def test_the_page_tells_how_it_is_called(entry) -> None:
    said = " ".join(text for _, some in page(entry.name).sections for text in some)
    assert "refresh(x)" in said
    assert entry.paper.authors in said


def test_a_run_with_nothing_changed_is_the_reference() -> None:
    for entry in AFFINE:
        asked = case(entry)
        life = families.of(entry).faulty(entry, None, Contract()).start(asked)
        life.refresh(*asked.batches[0])
        life.step(*asked.batches[1], asked.rate)
        np.testing.assert_allclose(life.outputs(asked.probe), truth(entry, asked).stepped().y, rtol=1e-12, atol=1e-12)
