"""Path-SGD: the reference by enumeration of paths, the bound on correct code in several styles, what targets are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError
from normcheck.core.result import FAILED, PASSED
from normcheck.explain.pages import page
from normcheck.families import bind as subject
from normcheck.families.path_optimizer import reference
from normcheck.families.path_optimizer.case import OptimizerCase, layers
from normcheck.families.path_optimizer.space import OptimizerDraw, optimizer_case
from normcheck.implementations.path_sgd import PathSGD
from normcheck.report.message import case_words

ENTRY = families.get("path_sgd")
CHECKS = [check for check in families.CHECKS if check.concerns(ENTRY)]


def case(**changes) -> OptimizerCase:
    return optimizer_case(ENTRY, OptimizerDraw(**changes))


def enumerated(weights) -> tuple[float, list[np.ndarray]]:
    """J and kappa by walking every path of a net without biases."""
    kappas = [np.zeros_like(w) for w in weights]
    total = 0.0
    sizes = [weights[0].shape[1], *(len(w) for w in weights)]
    for nodes in product(*map(range, sizes)):
        squares = [w[nodes[i + 1], nodes[i]] ** 2 for i, w in enumerate(weights)]
        total += np.prod(squares)
        for i, kappa in enumerate(kappas):
            kappa[nodes[i + 1], nodes[i]] += np.prod(squares[:i] + squares[i + 1 :])
    return float(total), kappas


@pytest.mark.parametrize("nodes", [(3, 4, 2), (2, 3, 3, 2), (4, 1, 3), (2, 4, 3, 5, 1)])
def test_kappa_is_the_sum_over_paths(nodes) -> None:
    net = case(nodes=nodes)
    total, kappas = enumerated(net.parameters)

    assert total == pytest.approx(reference.path_norm(net.parameters), rel=1e-12)
    for expected, got in zip(kappas, reference.kappas(net.parameters), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("biases", [False, True])
def test_kappa_is_half_the_second_derivative(biases) -> None:
    """J is quadratic in each edge alone, so a second difference of any width is exact."""
    parameters = case(nodes=(2, 3, 3, 2), biases=biases).parameters
    kappas = reference.kappas(parameters)
    for i, p in enumerate(parameters):
        for where in np.ndindex(p.shape):
            norms = []
            for move in (-1.0, 0.0, 1.0):
                moved = [q.copy() for q in parameters]
                moved[i][where] += move
                norms.append(reference.path_norm(moved))
            assert (norms[0] - 2 * norms[1] + norms[2]) / 2 == pytest.approx(kappas[i][where], rel=1e-9)


@pytest.mark.parametrize("biases", [False, True])
def test_gradients_are_those_of_torch(biases) -> None:
    net = case(nodes=(2, 4, 3, 2), biases=biases)
    target = np.random.default_rng(3).standard_normal((5, 2))
    held = [torch.tensor(p, requires_grad=True) for p in net.parameters]
    h = torch.tensor(net.x)
    for level, (weight, bias) in enumerate(layers(held)):
        h = h @ weight.T + (0 if bias is None else bias)
        h = torch.relu(h) if level < 2 else h
    (0.5 * (h - torch.tensor(target)).square().sum(dim=1).mean()).backward()
    for got, p in zip(reference.gradients(net.parameters, net.x, target), held, strict=True):
        np.testing.assert_allclose(got, p.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("factors", ["twos", "threes"])
@pytest.mark.parametrize("format", ["float64", "float32"])
def test_a_rescaled_case_is_exact_and_computes_the_same_function(factors, format) -> None:
    for seed in range(20):
        net = case(seed=seed, nodes=(5, 17, 4, 3), biases=True, factors=factors, format=format)
        other = net.rescaled
        for p in (*net.parameters, *other.parameters, *net.gradients[0], *other.gradients[0]):
            assert np.array_equal(net.format.round(p), p)
            assert (p != 0).all()
        np.testing.assert_allclose(
            reference.activations(net.parameters, net.x)[-1],
            reference.activations(other.parameters, net.x)[-1],
            rtol=1e-12,
        )


def test_path_sgd_keeps_nets_alike_and_sgd_does_not() -> None:
    """Neyshabur 2015, section 4: the witness. Two nets that compute one function, one step each."""
    net = case(nodes=(5, 17, 3), seed=4)
    far = []
    for step in (reference.step, lambda p, g, rate: tuple(q - rate * d for q, d in zip(p, g, strict=True))):
        outputs = [
            reference.activations(step(n.parameters, n.gradients[0], n.rate), n.x)[-1] for n in (net, net.rescaled)
        ]
        far.append(float(np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[0]).max()))

    assert far[0] < 1e-13
    assert far[1] > 0.1


@pytest.mark.parametrize("target", [torch.optim.SGD, torch.optim.Adam])
def test_another_optimizer_is_found_out(target) -> None:
    bound = subject(Implementation("path_sgd", target))
    check = families.CHECKS_BY_NAME["path-function"]
    assert run_check(bound, check, check.space.explicit_examples(bound)).status == FAILED


class ByAutograd(PathSGD):
    """kappa as half the derivative of J by the squares, which torch computes."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        held = [(p, g["lr"]) for g in self.param_groups for p in g["params"]]
        with torch.enable_grad():
            squares = [p.detach().square().requires_grad_() for p, _ in held]
            h = torch.ones_like(squares[0][0])
            for square in squares:
                h = square @ h if square.ndim == 2 else h + square
            kappas = torch.autograd.grad(h.sum(), squares)
        for (p, lr), kappa in zip(held, kappas, strict=True):
            if p.grad is not None:
                p.add_(torch.nan_to_num(p.grad / kappa), alpha=-lr)
        return loss


class ByRoots(PathSGD):
    """kappa by lengths of paths, squared at the end, as the paper writes it for any p."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        held = [(p, g["lr"]) for g in self.param_groups for p in g["params"]]
        if any(p.ndim == 1 for p, _ in held):
            raise ValueError("only weights")
        weights = [p.abs() for p, _ in held]
        arrived = [torch.ones_like(weights[0][0])]
        for w in weights:
            arrived.append(((w * arrived[-1]) ** 2).sum(1).sqrt())
        leaving = torch.ones_like(arrived[-1])
        moved = []
        for (p, lr), w, tail in zip(held[::-1], weights[::-1], arrived[-2::-1], strict=True):
            length = leaving[:, None] * tail
            moved.append((p, lr, length**2))
            leaving = ((w * leaving[:, None]) ** 2).sum(0).sqrt()
        for p, lr, kappa in moved:
            if p.grad is not None:
                p.sub_(lr * torch.where(kappa == 0, 0.0, p.grad / kappa))
        return loss


@pytest.mark.parametrize("style", [PathSGD, ByAutograd, ByRoots])
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_correct_code_uses_at_most_half_of_a_bound(style, check) -> None:
    bound = subject(Implementation("path_sgd", style))
    if check.lacks(bound):
        assert (style, check.name) == (ByRoots, "path-bias")  # which takes no biases
        return
    outcome = run_check(bound, check, [*check.space.explicit_examples(bound), *draws(bound, check, 20, 5)])

    assert outcome.status == PASSED, outcome.finding
    assert outcome.bound_ratio <= 0.5


def test_the_bound_of_a_step_is_not_idle() -> None:
    """Correct code in float32 uses a twentieth of it: what is twenty bounds wrong is no matter of taste."""
    bound = subject(Implementation("path_sgd", PathSGD))
    check = families.CHECKS_BY_NAME["path-step"]
    assert (
        run_check(bound, check, [*check.space.explicit_examples(bound), *draws(bound, check, 40, 2)]).bound_ratio > 0.05
    )


def test_a_promised_eps_is_part_of_the_closed_form() -> None:
    class Dampened(PathSGD):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p, kappa in zip(group["params"], reference.kappas([q.detach().numpy() for q in group["params"]]),
                                    strict=True):  # fmt: skip
                    p.sub_(group["lr"] * p.grad / (torch.tensor(kappa) + 0.01))

    check = families.CHECKS_BY_NAME["path-step"]
    plain = subject(Implementation("path_sgd", Dampened))
    promised = subject(Implementation("path_sgd", Dampened, {"eps": "0.01"}))

    assert run_check(plain, check, check.space.explicit_examples(plain)).status == FAILED
    assert run_check(promised, check, check.space.explicit_examples(promised)).status == PASSED
    assert families.CHECKS_BY_NAME["path-rescaling"].lacks(promised) == (
        "kappa + 0.01, as the contract has it, follows no rescaling"
    )


@pytest.mark.parametrize(("target", "contract", "said"), [
    (torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), {}, "an optimizer of some net already"),
    (torch.nn.Linear, {}, "is no optimizer: name a class or function that takes (params, lr)"),
    (3, {}, "is no optimizer: name a class or function that takes (params, lr)"),
    (lambda params, lr, net: None, {}, "also requires net; give defaults: it is called as (params, lr)"),
    (PathSGD, {"momentum": "old"}, "contract momentum: an optimizer has no such convention; known: eps, formats"),
])  # fmt: skip
def test_what_is_no_optimizer_is_said_in_a_sentence(target, contract, said) -> None:
    with pytest.raises(UsageError) as error:
        subject(Implementation("path_sgd", target, contract))

    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_an_optimizer_refuses_is_reported_as_absent() -> None:
    bound = subject(Implementation("path_sgd", ByRoots))
    assert bound.absent["biases"] == "step() raised ValueError: only weights"
    assert not bound.domain.biases


def test_the_page_tells_how_it_is_called() -> None:
    said = " ".join(text for _, some in page("path_sgd").sections for text in some)
    assert "C(params, lr=...)" in said
    assert "Neyshabur" in said
    assert "kappa_e" in said


def test_a_case_is_told_by_its_nodes() -> None:
    assert case_words(case(nodes=(2, 3, 1)).describe()).startswith("float64, nodes 2x3x1, biases False, lr")
