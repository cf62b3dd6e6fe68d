"""The float64 reference proved three ways: by complex step, by 50 digits of mpmath, and by torch in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from normcheck import families
from normcheck.core.contract import GRADIENTS, contract
from normcheck.core.floats import FLOAT64, Array
from normcheck.normalizers import catalog
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference import oracle, standardize
from normcheck.normalizers.reference.standardize import Setting, Steps

SHAPES: dict[str, tuple[dict[str, Any], ...]] = {
    "batch_norm": ({"shape": (5, 3)}, {"shape": (3, 2, 2)}),
    "mean_only_batch_norm": ({"shape": (5, 3)}, {"shape": (3, 2, 2)}),
    "layer_norm": ({"shape": (3, 5)}, {"shape": (2, 2, 3), "normalized": 2}),
    "rms_norm": ({"shape": (3, 5)}, {"shape": (2, 2, 3), "normalized": 2}),
    "partial_rms_norm": ({"shape": (3, 8), "part": 0.25}, {"shape": (2, 7), "part": 0.5}),
    "group_norm": ({"shape": (2, 6), "groups": 2}, {"shape": (2, 4, 2), "groups": 2}),
    "instance_norm": ({"shape": (2, 3, 4)}, {"shape": (2, 2, 2, 3)}),
    "weight_norm": (
        {"shape": (3, 4), "dim": 0},
        {"shape": (3, 4), "dim": 1},
        {"shape": (2, 3, 2), "dim": -1},
        {"shape": (3, 4), "dim": None},
    ),
}
"""For every catalog entry, inputs of a few ranks, small enough to differentiate entry by entry."""

CONVENTIONS: tuple[dict[str, str], ...] = (
    {},
    {"variance": "unbiased"},
    {"eps-place": "outside"},
    {"weight": "1+w"},
    {"variance": "unbiased", "eps-place": "outside", "weight": "1+w"},
)

STEP = 1e-30
"""Of the complex-step derivative: nothing is subtracted, so the step costs no digits."""


def apart(actual: Array, expected: Array) -> float:
    """The largest difference, in units of the largest expected entry."""
    return float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))


def a_case(kind: str, shape: tuple[int, ...], eps: float, affine: str = "both", **more: Any) -> Case:
    """A well-conditioned case with a cotangent that no term of the backward is blind to."""
    normalizer = families.get(kind)
    rng = np.random.default_rng(11)
    x = rng.standard_normal(shape) + 0.7
    case = Case(x=x, eps=0.0 if normalizer.eps is None else eps, dy=rng.standard_normal(shape) + 0.4, **more)
    parameter = oracle.partition(normalizer, case).parameter
    weight, bias = rng.uniform(0.4, 2.0, parameter), rng.standard_normal(parameter)
    return case.but(
        weight=None if not normalizer.weight or (affine == "none" and normalizer.acts_on == "activation") else weight,
        bias=bias if affine == "both" and normalizer.bias else None,
    )


def frozen(mode: str) -> Steps:
    """The forward in complex numbers; a statistic that the gradient does not pass through keeps its real part."""
    through_mean, through_variance = GRADIENTS[mode]

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        if through_mean or not k.centered:
            return standardize.center(x, k)
        mu = x.mean(axis=1, keepdims=True).real + 0j
        c = x - mu
        return mu, c - c.mean(axis=1, keepdims=True).real

    def variance(c: Array, x: Array, k: Setting) -> Array:
        v = standardize.variance(c, x, k)
        return v if through_variance else v.real + 0j

    return Steps(compute=lambda format: np.complex128, center=center, variance=variance)


def complex_step(kind: str, case: Case, conventions: dict[str, str], mode: str, leaf: str) -> Array:
    """d<dy, y>/d(leaf), entry by entry, from the forward only."""
    at = getattr(case, leaf).astype(np.complex128)
    out = np.empty(at.shape)
    for i in np.ndindex(*at.shape):
        moved = at.copy()
        moved[i] += 1j * STEP
        y = oracle.evaluate(
            families.get(kind), case.but(**{leaf: moved, "dy": None}), contract(conventions), steps=frozen(mode)
        ).y
        out[i] = (case.dy * y.imag).sum() / STEP
    return out


def settings() -> list[Any]:
    """Every catalog entry on every shape."""
    return [
        pytest.param(kind, how, id=f"{kind}-" + "".join(map(str, how.values())).replace(" ", ""))
        for kind in catalog.ALL
        for how in SHAPES[kind]
    ]


def every_eps(kind: str) -> tuple[float, ...]:
    return (0.0,) if families.get(kind).eps is None else (0.0, 1e-5, 0.3)


@pytest.mark.parametrize("mode", GRADIENTS)
@pytest.mark.parametrize(("kind", "how"), settings())
def test_dx_is_the_complex_step_derivative(kind: str, how: dict[str, Any], mode: str) -> None:
    """The hand-derived dx of each mode is the derivative of the forward with that mode's statistics held fixed."""
    for conventions in CONVENTIONS:
        for eps in every_eps(kind):
            case = a_case(kind, eps=eps, **how)
            truth = oracle.evaluate(families.get(kind), case, contract(conventions | {"gradient": mode}))
            derived = complex_step(kind, case, conventions, mode, "x")

            assert apart(truth.dx, derived) < 1e-13, (conventions, eps)
            assert np.array_equal(oracle.gradient(truth, mode), truth.dx)


@pytest.mark.parametrize("mode", GRADIENTS)
@pytest.mark.parametrize("kind", catalog.ALL)
def test_dx_without_parameters(kind: str, mode: str) -> None:
    """Without bias, and without weight where none is needed, dx is the complex-step derivative too."""
    for affine in ("weight", "none"):
        case = a_case(kind, eps=1e-5, affine=affine, **SHAPES[kind][0])
        truth = oracle.evaluate(families.get(kind), case, contract({"gradient": mode}))

        assert apart(truth.dx, complex_step(kind, case, {}, mode, "x")) < 1e-13
        assert truth.dbias is None


@pytest.mark.parametrize(("kind", "how"), settings())
def test_parameter_gradients_are_complex_step_derivatives(kind: str, how: dict[str, Any]) -> None:
    """dweight and dbias are derivatives of the forward, under every convention, and the same in every mode."""
    for conventions in CONVENTIONS:
        for eps in every_eps(kind):
            case = a_case(kind, eps=eps, **how)
            for leaf in (name for name in ("weight", "bias") if getattr(case, name) is not None):
                derived = complex_step(kind, case, conventions, "full", leaf)
                for mode in GRADIENTS:
                    truth = oracle.evaluate(families.get(kind), case, contract(conventions | {"gradient": mode}))

                    assert apart(getattr(truth, f"d{leaf}"), derived) < 1e-13, (conventions, eps)


@pytest.mark.parametrize("kind", [kind for kind in catalog.ALL if families.get(kind).state])
def test_evaluation_is_an_affine_map(kind: str) -> None:
    """With given statistics dx is the complex-step derivative of an affine map, whatever the mode claimed."""
    case = a_case(kind, eps=1e-3, **SHAPES[kind][1])
    units = case.x.shape[1]
    case = case.but(training=False, running_mean=np.linspace(-1, 1, units), running_var=np.linspace(0.5, 2, units))
    derived = complex_step(kind, case, {}, "full", "x")
    for mode in GRADIENTS:
        truth = oracle.evaluate(families.get(kind), case, contract({"gradient": mode}))

        assert apart(truth.dx, derived) < 1e-13
        assert np.array_equal(truth.running_mean, case.running_mean)
        assert np.array_equal(truth.running_var, case.running_var)


# 50 digits


def fifty_digits(kind: str, case: Case, conventions: dict[str, str]) -> list[mpmath.mpf]:
    """y, flattened, with every operation in 50 digits; sets and parameters as the partition gathers them."""
    normalizer, made = families.get(kind), contract(conventions)
    part = oracle.partition(normalizer, case)
    k = oracle.setting(normalizer, case, made, part)
    gain = np.ones(()) if case.weight is None else part.spread(case.weight)
    shift = np.zeros(()) if case.bias is None else part.spread(case.bias)
    gains, shifts, places = (
        part.gather(np.broadcast_to(a, case.x.shape))
        for a in (gain, shift, np.arange(case.x.size).reshape(case.x.shape))
    )
    out: list[mpmath.mpf] = [mpmath.mpf(0)] * case.x.size
    offset = 1 if made.weight == "1+w" else 0
    for row, w, b, at in zip(part.gather(case.x), gains, shifts, places, strict=True):
        values = [mpmath.mpf(float(v)) for v in row]
        mu = mpmath.fsum(values) / len(values) if normalizer.centered else mpmath.mpf(0)
        v = mpmath.fsum((value - mu) ** 2 for value in values[: k.part]) / mpmath.mpf(k.divisor)
        eps = mpmath.mpf(case.eps)
        s = mpmath.sqrt(v) + eps if made.eps_place == "outside" else mpmath.sqrt(v + eps)
        s = s if normalizer.scaled else mpmath.mpf(1)
        for value, weight, bias, i in zip(values, w, b, at, strict=True):
            out[i] = (value - mu) / s * (mpmath.mpf(float(weight)) + offset) + mpmath.mpf(float(bias))
    return out


def wide_case(kind: str, n: int, fill: Callable[[np.random.Generator, tuple[int, int]], Array]) -> Case:
    """A case with n members in each of a few sets, filled set by set."""
    normalizer = families.get(kind)
    shape, more = {
        "batch_norm": ((n, 4), {}),
        "mean_only_batch_norm": ((n, 4), {}),
        "layer_norm": ((4, n), {}),
        "rms_norm": ((4, n), {}),
        "partial_rms_norm": ((4, n), {"part": 0.5}),
        "group_norm": ((2, 2 * n), {"groups": 2}),
        "instance_norm": ((2, 2, n), {}),
        "weight_norm": ((4, n), {}),
    }[kind]
    case = a_case(kind, shape, 1e-5, **more)
    part = oracle.partition(normalizer, case)
    return case.but(x=part.scatter(fill(np.random.default_rng(n), (part.sets, part.n))), dy=None)


FILLS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "offset 1e6": lambda rng, size: rng.standard_normal(size) + 1e6,
    "offset 1e9": lambda rng, size: rng.standard_normal(size) - 1e9,
    "constant": lambda rng, size: np.broadcast_to(rng.standard_normal((size[0], 1)) * 1e3, size).copy(),
    "tiny": lambda rng, size: rng.standard_normal(size) * 1e-6,
}


def error_and_truth(kind: str, case: Case, conventions: dict[str, str]) -> tuple[Array, oracle.Truth]:
    """|y - exact y| entry by entry, and the reference's answer."""
    truth = oracle.evaluate(families.get(kind), case, contract(conventions))
    with mpmath.workdps(50):
        exact = fifty_digits(kind, case, conventions)
        error = [float(abs(mpmath.mpf(float(y)) - e)) for y, e in zip(truth.y.flat, exact, strict=True)]
    return np.array(error).reshape(case.x.shape), truth


CENTERED = [kind for kind in catalog.ALL if families.get(kind).centered]
TO_FIFTY_DIGITS: tuple[dict[str, str], ...] = ({}, {"eps-place": "outside"}, {"variance": "unbiased"})


@pytest.mark.parametrize("n", [3, 17, 64])
@pytest.mark.parametrize("fill", ["offset 1e6", "offset 1e9", "constant"])
@pytest.mark.parametrize("kind", CENTERED)
def test_ill_conditioned_rows_to_fifty_digits(kind: str, fill: str, n: int) -> None:
    """On ill-conditioned rows the reference is off by less than a tenth of what a sound float64 code may lose."""
    case = wide_case(kind, n, FILLS[fill])
    for conventions in TO_FIFTY_DIGITS:
        error, truth = error_and_truth(kind, case, conventions)
        allowed = bounds.forward(truth, bounds.SOUND).total

        assert bounds.resolved(truth, bounds.SOUND).all()
        assert float(np.max(error / allowed)) < 0.1, conventions


@pytest.mark.parametrize("n", [3, 17, 64])
@pytest.mark.parametrize(("kind", "fill"), [
    (kind, fill) for kind in catalog.ALL for fill in FILLS if fill == "tiny" or kind not in CENTERED
])  # fmt: skip
def test_well_conditioned_rows_to_fifty_digits(kind: str, fill: str, n: int) -> None:
    """Where nothing is lost by centering the reference is off by four roundings of the terms of y at most.

    A tenth of the float64 bound is out of reach on these rows: the bound is about ten roundings, and the last
    rounding of an exact answer is one of them.
    """
    case = wide_case(kind, n, FILLS[fill])
    for conventions in TO_FIFTY_DIGITS:
        if (
            oracle.setting(
                families.get(kind), case, contract(conventions), oracle.partition(families.get(kind), case)
            ).divisor
            == 0
        ):
            continue  # one entry read, unbiased: 0 / 0
        error, truth = error_and_truth(kind, case, conventions)
        gain = 1.0 if truth.weight is None else np.abs(truth.weight)
        size = gain * np.abs(truth.xh) + (0.0 if truth.bias is None else np.abs(truth.bias))

        assert float(np.max(error / (FLOAT64.u * size))) < 4.0, conventions
        assert (error <= bounds.forward(truth, bounds.SOUND).total).all()


@pytest.mark.parametrize("kind", CENTERED)
def test_the_rounding_of_the_mean_is_removed(kind: str) -> None:
    """At an offset of 1e9 the reference is still off by a few roundings only: the mean's own is taken out again."""
    error, truth = error_and_truth(kind, wide_case(kind, 17, FILLS["offset 1e9"]), {})
    gain = 1.0 if truth.weight is None else np.abs(truth.weight)
    size = gain * (1.0 + np.abs(truth.xh)) + np.abs(truth.bias)

    assert float(np.max(error / (FLOAT64.u * size))) < 8.0


# torch in float64


def leaves(case: Case) -> list[torch.Tensor | None]:
    return [None if a is None else torch.tensor(a, requires_grad=True) for a in (case.x, case.weight, case.bias)]


def torch_says(kind: str, case: Case, x: Any, weight: Any, bias: Any, state: Any = (None, None)) -> torch.Tensor:
    """torch's answer to a case."""
    shape = case.x.shape[case.x.ndim - case.normalized :]
    if kind == "layer_norm":
        return F.layer_norm(x, shape, weight, bias, case.eps)
    if kind == "rms_norm":
        return F.rms_norm(x, shape, weight, case.eps)
    if kind == "group_norm":
        return F.group_norm(x, case.groups, weight, bias, case.eps)
    if kind == "instance_norm":
        return F.instance_norm(x, *state, weight, bias, case.training, case.momentum, case.eps)
    if kind == "batch_norm":
        return F.batch_norm(x, *state, weight, bias, case.training, case.momentum, case.eps)
    if kind == "mean_only_batch_norm":
        centered = x - x.mean([axis for axis in range(x.ndim) if axis != 1], keepdim=True)
        return centered if bias is None else centered + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    if case.dim is None:
        return x * weight / x.norm()
    return torch._weight_norm(x, weight, case.dim % case.x.ndim)


def assert_as_torch(kind: str, case: Case, state: Any = (None, None)) -> None:
    truth = oracle.evaluate(families.get(kind), case)
    tensors = leaves(case)
    y = torch_says(kind, case, *tensors, state)
    y.backward(torch.tensor(case.dy))

    assert apart(truth.y, y.detach().numpy()) < 1e-12
    for leaf, mine in zip(tensors, (truth.dx, truth.dweight, truth.dbias), strict=True):
        assert (leaf is None) == (mine is None)
        if leaf is not None:
            assert mine.shape == tuple(leaf.shape)
            assert apart(mine, leaf.grad.numpy()) < 1e-12


@pytest.mark.parametrize("affine", ["both", "weight", "none"])
@pytest.mark.parametrize(("kind", "how"), [p for p in settings() if p.values[0] != "partial_rms_norm"])
def test_values_and_gradients_are_those_of_torch(kind: str, how: dict[str, Any], affine: str) -> None:
    """torch's float64 function agrees in y, dx, dweight and dbias."""
    for eps in (1e-5, 0.3):
        assert_as_torch(kind, a_case(kind, eps=eps, affine=affine, **how))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 3, 4), (4, 3, 2, 2)])
@pytest.mark.parametrize("kind", ["batch_norm", "instance_norm"])
def test_running_statistics_are_those_of_torch(kind: str, shape: tuple[int, ...], training: bool) -> None:
    """torch agrees in values, gradients and updated buffers, in training and in evaluation."""
    case = a_case(kind, shape, 1e-5, training=training, momentum=0.25)
    case = case.but(running_mean=np.linspace(-1.0, 1.0, shape[1]), running_var=np.linspace(0.5, 2.0, shape[1]))
    buffers = (torch.tensor(case.running_mean), torch.tensor(case.running_var))
    assert_as_torch(kind, case, buffers)
    truth = oracle.evaluate(families.get(kind), case)

    assert apart(truth.running_mean, buffers[0].numpy()) < 1e-12
    assert apart(truth.running_var, buffers[1].numpy()) < 1e-12


def test_batch_norm_of_vectors_keeps_torch_statistics() -> None:
    """On vectors, too, the stored variance is torch's unbiased one."""
    case = a_case("batch_norm", (4, 3), 1e-5).but(running_mean=np.zeros(3), running_var=np.ones(3))
    buffers = (torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    assert_as_torch("batch_norm", case, buffers)
    truth = oracle.evaluate(families.get("batch_norm"), case)

    assert apart(truth.running_var, buffers[1].numpy()) < 1e-12


def test_partial_rms_norm_with_all_entries_is_rms_norm() -> None:
    """With p = 1 every entry is read, and the answer is that of RMSNorm, bit for bit."""
    case = a_case("partial_rms_norm", (3, 8), 1e-5, part=1.0)
    partial, whole = (oracle.evaluate(families.get(kind), case) for kind in ("partial_rms_norm", "rms_norm"))

    assert np.array_equal(partial.y, whole.y)
    assert np.array_equal(partial.dx, whole.dx)


def test_partial_rms_norm_reads_the_first_entries() -> None:
    """With p = 1/4 of 8 entries the divisor is the root mean square of the first two."""
    case = a_case("partial_rms_norm", (3, 8), 0.0, affine="none", part=0.25)
    truth = oracle.evaluate(families.get("partial_rms_norm"), case)
    by_hand = case.x / np.sqrt((case.x[:, :2] ** 2).mean(axis=1, keepdims=True))

    assert apart(truth.y, by_hand) < 1e-15


def test_momentum_of_the_old_state() -> None:
    """With momentum=old, 0.75 keeps what 0.25 keeps with momentum=new."""
    case = a_case("batch_norm", (4, 3), 1e-5).but(running_mean=np.ones(3), running_var=np.ones(3), momentum=0.25)
    new = oracle.evaluate(families.get("batch_norm"), case)
    old = oracle.evaluate(families.get("batch_norm"), case.but(momentum=0.75), contract({"momentum": "old"}))

    assert np.array_equal(new.running_mean, old.running_mean)
    assert np.array_equal(new.running_var, old.running_var)


def test_running_variance_biased() -> None:
    """With running-variance=biased the stored variance divides by n."""
    case = a_case("batch_norm", (4, 3), 1e-5).but(running_mean=np.zeros(3), running_var=np.zeros(3), momentum=1.0)
    truth = oracle.evaluate(families.get("batch_norm"), case, contract({"running-variance": "biased"}))

    assert apart(truth.running_var, case.x.var(axis=0)) < 1e-15


def test_a_fault_is_one_replaced_step() -> None:
    """A replaced step changes the answer, and nothing else of the kernel needs to know."""
    case = a_case("layer_norm", (3, 5), 0.3)
    right = oracle.evaluate(families.get("layer_norm"), case)
    exact = Steps(compute=standardize.exactly)
    wrong = oracle.evaluate(families.get("layer_norm"), case, steps=replace(exact, scale=standardize.scale_eps_outside))
    claimed = oracle.evaluate(families.get("layer_norm"), case, contract({"eps-place": "outside"}))

    assert not np.array_equal(right.y, wrong.y)
    assert np.array_equal(claimed.y, wrong.y)
