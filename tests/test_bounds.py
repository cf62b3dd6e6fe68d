"""Bounds: never exceeded by correct code, not idle, exceeded by the algorithm that they are there to catch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from normcheck import families
from normcheck.core.floats import FLOAT32, FORMATS, Array
from normcheck.frameworks.probe import offered_affine
from normcheck.frameworks.roles import bind
from normcheck.frameworks.torch import function as torch_function
from normcheck.frameworks.torch.tensors import one_thread
from normcheck.implementations.mean_only_batch_norm import mean_only_batch_norm
from normcheck.implementations.partial_rms_norm import partial_rms_norm
from normcheck.normalizers import catalog
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.bounds.linear_maps import product
from normcheck.normalizers.bounds.networks import descent
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth, evaluate, partition
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.sampling.fit import ranks
from normcheck.normalizers.sampling.recipes import SMALL, Draw, values
from normcheck.normalizers.sampling.space import NormalizerSpace, choose
from normcheck.normalizers.subject import Answer, Domain

DRAWS = 80
SPACE = NormalizerSpace(values, widths=(*SMALL[1:], 127, 257, 1024), scales=(0, -4, 4))

TORCH: dict[str, Callable[..., Any]] = {
    "batch_norm": F.batch_norm,
    "layer_norm": F.layer_norm,
    "rms_norm": F.rms_norm,
    "partial_rms_norm": partial_rms_norm,
    "group_norm": F.group_norm,
    "instance_norm": F.instance_norm,
    "weight_norm": torch._weight_norm,
    "mean_only_batch_norm": functools.partial(mean_only_batch_norm, training=True),
}

Answers = Callable[[Case], Answer]


def by_torch(kind: str) -> Answers:
    """torch's function of that name."""
    normalizer = families.get(kind)
    function, parameters = torch_function.callable_and_parameters(TORCH[kind], normalizer)
    binding = bind(parameters, (*normalizer.arguments, "backend"), normalizer, kind, fallback="input")
    call = torch_function.make(function, binding, kind)
    return lambda case: call(case, True)


def two_passes(kind: str) -> Answers:
    """Mean, then the mean of squared deviations, in plain numpy in the working format; only the ends are rounded."""
    normalizer = families.get(kind)

    def answer(case: Case) -> Answer:
        part = partition(normalizer, case)
        number = np.dtype(case.format.wide.name).type
        x, dy = (part.gather(a.astype(number)) for a in (case.x, case.dy))
        read = max(1, int(part.n * case.part)) if normalizer.partial else part.n
        divisor = number(read if normalizer.mean_square else 1)

        def member(p: Array | None, default: float) -> Array:
            full = np.full(case.x.shape, default) if p is None else np.broadcast_to(part.spread(p), case.x.shape)
            return part.gather(full.astype(number))

        w, b = member(case.weight, 1.0), member(case.bias, 0.0)
        mu = x.sum(axis=1, keepdims=True) / number(part.n) if normalizer.centered else number(0)
        c = x - mu
        s = np.sqrt(np.square(c[:, :read]).sum(axis=1, keepdims=True) / divisor + number(case.eps))
        s = s if normalizer.scaled else np.ones_like(s)
        xh = c / s
        g = dy * w
        pull = (g * xh).sum(axis=1, keepdims=True) / divisor * number(normalizer.scaled)
        dx = g - np.where(np.arange(part.n) < read, xh * pull, number(0))
        dx = (dx - dx.mean(axis=1, keepdims=True) if normalizer.centered else dx) / s
        out = (part.scatter(a).astype(np.float64) for a in (xh * w + b, dx))
        y, dx = (case.format.round(a) for a in out)
        dw = None if case.weight is None else case.format.round(part.collect(part.scatter(dy * xh)).astype(np.float64))
        db = None if case.bias is None else case.format.round(part.collect(part.scatter(dy)).astype(np.float64))
        return Answer(y, case.format.name, dx, dw, db)

    return answer


def a_domain(normalizer: Normalizer) -> Domain:
    """Everything that a normalizer's own function takes."""
    both = [role for role in ("weight", "bias") if role in normalizer.arguments]
    weights = normalizer.acts_on == "weight"
    return Domain(
        ranks=ranks(normalizer),
        affine=("weight",) if weights else offered_affine(both, [], normalizer),
        dims=(0, 1) if weights else (0,),
        normalized=(1, 2) if normalizer.sets.layout == "trailing" else (1,),
    )


def random_cases(kind: str, format: str, count: int, seed: int) -> Iterator[Case]:
    rng = np.random.default_rng(seed)
    normalizer = families.get(kind)
    space = replace(SPACE, formats=(FORMATS[format],))
    for _ in range(count):
        draw = choose(space, normalizer, a_domain(normalizer), lambda options: options[int(rng.integers(len(options)))])
        yield values(normalizer, draw)


def share(got: Array | None, expected: Array | None, bound: bounds.ErrorBound, mask: Array) -> float:
    """The largest error in units of the bound, where the conditioning allows an answer."""
    if got is None or expected is None:
        assert (got is None) == (expected is None)
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(got == expected, 0.0, np.abs(got - expected) / bound.total)
    counted = np.broadcast_to(mask, shares.shape)
    return float(np.max(shares[counted], initial=0.0))


def shares_of(kind: str, case: Case, answer: Answer) -> dict[str, float]:
    """How much of each bound an answer uses, at the class that the entry demands of the format."""
    normalizer = families.get(kind)
    truth = evaluate(normalizer, case)
    names = normalizer.narrow_accuracy if case.format.narrow else ("sound", "sound")
    first, second = (bounds.CLASSES[name] for name in names)
    ahead, back = (truth.partition.per_set(bounds.resolved(truth, a)) for a in (first, second))
    every = np.asarray(bool(back.all()))
    out = {
        "y": share(answer.y, truth.y, bounds.forward(truth, first), ahead),
        "dx": share(answer.dx, truth.dx, bounds.backward(truth, second), back),
    }
    if case.weight is not None:
        bound = bounds.parameter(truth, second, bias=False)
        out["dweight"] = share(answer.dweight, truth.dweight, bound, every)
    if case.bias is not None:
        out["dbias"] = share(answer.dbias, truth.dbias, bounds.parameter(truth, second, bias=True), every)
    return out


def largest(kind: str, format: str, answers: Answers, count: int = DRAWS) -> dict[str, float]:
    """The largest shares over many draws."""
    top: dict[str, float] = {}
    with np.errstate(all="ignore"), one_thread():
        for case in random_cases(kind, format, count, seed=17):
            for name, used in shares_of(kind, case, answers(case)).items():
                top[name] = max(top.get(name, 0.0), used)
    return top


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", catalog.ALL)
@pytest.mark.parametrize("by", [by_torch, two_passes])
def test_correct_code_stays_within_its_bounds(by: Callable[[str], Answers], kind: str, format: str) -> None:
    """Neither torch's functions nor two plain passes exceed any bound, forward or backward."""
    top = largest(kind, format, by(kind))
    print(f"{by.__name__} {kind} {format}:", ", ".join(f"{name} {used:.3f}" for name, used in top.items()))

    assert max(top.values()) <= 1.0, top


@pytest.mark.parametrize("kind", catalog.ALL)
def test_no_bound_is_idle(kind: str) -> None:
    """In float32 correct code uses more than a fiftieth of every bound: none is so wide that it says nothing."""
    top = largest(kind, "float32", two_passes(kind))

    assert min(top.values()) > 0.02, top


# What a bound must not allow


def one_pass(c: Array, x: Array, k: Setting) -> Array:
    """E[x^2] - E[x]^2."""
    mean = x.mean(axis=1, keepdims=True)
    return np.maximum(np.square(x).mean(axis=1, keepdims=True) - mean * mean, x.dtype.type(0))


def offset_case(offset: float, seed: int, shape: tuple[int, int] = (6, 64)) -> Case:
    rng = np.random.default_rng(seed)
    return Case(x=FLOAT32.round(rng.standard_normal(shape) + offset), eps=1e-5, format=FLOAT32, dy=np.ones(shape))


@pytest.mark.parametrize(("kind", "shape"), [
    ("layer_norm", (6, 64)),
    ("batch_norm", (64, 6)),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(5))
def test_one_pass_variance_exceeds_the_sound_bound(kind: str, shape: tuple[int, int], seed: int) -> None:
    """At an offset of 300 in float32 one pass errs by more than a sound bound, and stays within its own class."""
    case = offset_case(300.0, seed, shape)
    truth = evaluate(families.get(kind), case)
    y = evaluate(families.get(kind), case, steps=Steps(variance=one_pass)).y.astype(np.float64)
    mask = truth.partition.per_set(bounds.resolved(truth, bounds.ONE_PASS))

    assert mask.all()
    assert share(y, truth.y, bounds.forward(truth, bounds.SOUND), mask) > 1.0
    assert share(y, truth.y, bounds.forward(truth, bounds.ONE_PASS), mask) <= 1.0


@pytest.mark.parametrize("seed", range(5))
def test_at_a_thousand_one_pass_is_far_outside(seed: int) -> None:
    """At an offset of 1000 in float32 one pass errs by more than five sound bounds."""
    case = offset_case(1e3, seed)
    truth = evaluate(families.get("layer_norm"), case)
    y = evaluate(families.get("layer_norm"), case, steps=Steps(variance=one_pass)).y.astype(np.float64)

    assert share(y, truth.y, bounds.forward(truth, bounds.SOUND), np.asarray(True)) > 5.0


def test_the_one_pass_class_is_judged_where_its_analysis_holds() -> None:
    """Sets so badly conditioned that one pass keeps nothing of the variance are not judged by its class."""
    case = offset_case(1e3, 0)  # six members in a set of batch norm: u kappa^2 up to 0.6
    truth = evaluate(families.get("batch_norm"), case)
    y = evaluate(families.get("batch_norm"), case, steps=Steps(variance=one_pass)).y.astype(np.float64)
    mask = truth.partition.per_set(bounds.resolved(truth, bounds.ONE_PASS))

    assert share(y, truth.y, bounds.forward(truth, bounds.ONE_PASS), mask) <= 1.0


@pytest.mark.parametrize("seed", range(5))
def test_two_passes_are_sound_at_that_offset(seed: int) -> None:
    """On the same rows the kernel of two passes uses less than half of the sound bound."""
    case = offset_case(1e3, seed)
    truth = evaluate(families.get("layer_norm"), case)
    y = evaluate(families.get("layer_norm"), case, steps=Steps()).y.astype(np.float64)

    assert share(y, truth.y, bounds.forward(truth, bounds.SOUND), np.asarray(True)) < 0.5


def test_one_pass_is_sound_without_an_offset() -> None:
    """Without an offset one pass loses nothing, and the sound bound says so."""
    case = offset_case(0.0, 0)
    truth = evaluate(families.get("layer_norm"), case)
    y = evaluate(families.get("layer_norm"), case, steps=Steps(variance=one_pass)).y.astype(np.float64)

    assert share(y, truth.y, bounds.forward(truth, bounds.SOUND), np.asarray(True)) <= 1.0


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
def test_half_statistics_exceed_the_sound_bound(kind: str) -> None:
    """Statistics rounded to bfloat16 exceed the sound bound and stay within the half class."""
    bfloat16 = FORMATS["bfloat16"]

    def rounded(v: Array, k: Setting) -> tuple[Array, Array]:
        s = bfloat16.round(np.sqrt(v + v.dtype.type(k.eps))).astype(v.dtype)
        return s, v.dtype.type(0.5) / s

    case = values(families.get(kind), Draw(format="bfloat16", n=64, affine="weight"))
    truth = evaluate(families.get(kind), case)
    y = bfloat16.round(evaluate(families.get(kind), case, steps=Steps(scale=rounded)).y)
    mask = truth.partition.per_set(bounds.resolved(truth, bounds.HALF))

    assert share(y, truth.y, bounds.forward(truth, bounds.HALF), mask) <= 1.0
    assert share(y, truth.y, bounds.forward(truth, bounds.SOUND), mask) > share(
        y, truth.y, bounds.forward(truth, bounds.HALF), mask
    )


@pytest.mark.parametrize("kind", [kind for kind, normalizer in catalog.ALL.items() if normalizer.scaled])
def test_a_missing_term_of_the_backward_exceeds_its_bound(kind: str) -> None:
    """A gradient that does not pass through the variance is off by many bounds of dx."""
    normalizer = families.get(kind)

    def without_variance(saved: Saved, g: Array, k: Setting) -> Array:
        dx = g / saved.s
        return dx - dx.mean(axis=1, keepdims=True) if k.centered else dx

    case = values(normalizer, Draw(format="float32", n=12, rank=ranks(normalizer)[0], affine="weight"))
    truth = evaluate(normalizer, case)
    dx = evaluate(normalizer, case, steps=Steps(backward=without_variance)).dx.astype(np.float64)
    mask = truth.partition.per_set(bounds.resolved(truth, bounds.SOUND))

    assert share(dx, truth.dx, bounds.backward(truth, bounds.SOUND), mask) > 100.0


# Terms and constants


def truths() -> Iterator[tuple[str, Truth]]:
    for kind in catalog.ALL:
        for format in FORMATS:
            for case in random_cases(kind, format, 3, seed=5):
                yield kind, evaluate(families.get(kind), case)


def test_terms_add_up() -> None:
    """The total is the sum of the named terms, every term is nonnegative, and the largest one is named."""
    for _, truth in truths():
        made = [bounds.forward(truth, bounds.SOUND), bounds.backward(truth, bounds.SOUND)]
        made += [bounds.parameter(truth, bounds.SOUND, bias=False)] if truth.case.weight is not None else []
        made += [bounds.parameter(truth, bounds.SOUND, bias=True)] if truth.case.bias is not None else []
        for bound in made:
            total = sum(np.asarray(term) for term in bound.terms.values())
            where = tuple(0 for _ in bound.total.shape)
            named = np.broadcast_to(bound.terms[bound.largest(where)], bound.total.shape)[where]

            assert np.array_equal(total, bound.total)
            assert all(bool((np.asarray(term) >= 0).all()) for term in bound.terms.values())
            assert named * len(bound.terms) >= bound.total[where]


def test_bounds_are_finite_on_constant_rows() -> None:
    """eps keeps the conditioning of a constant row finite."""
    case = Case(x=np.full((2, 8), 3.0), eps=1e-5, format=FLOAT32, dy=np.ones((2, 8)))
    truth = evaluate(families.get("layer_norm"), case)

    assert np.isfinite(truth.kappa).all()
    assert np.isfinite(bounds.forward(truth, bounds.SOUND).total).all()
    assert np.isfinite(bounds.backward(truth, bounds.SOUND).total).all()


def test_kappa_is_one_where_nothing_is_subtracted() -> None:
    """Uncentered normalizers are well conditioned at any offset; kappa of the others is 1 at least."""
    for kind, truth in truths():
        kappa = truth.kappa

        assert kappa.shape == (truth.partition.sets, 1)
        assert (kappa >= 1.0).all()
        assert families.get(kind).centered or (kappa == 1.0).all()


def test_kappa_is_the_offset() -> None:
    """For rows of unit variance kappa is about the ratio of mean to standard deviation."""
    case = offset_case(1e4, 0)
    kappa = evaluate(families.get("layer_norm"), case).kappa

    assert np.all((kappa > 0.7e4) & (kappa < 1.5e4))


def test_the_bound_grows_with_kappa() -> None:
    """Ten times the offset allows about ten times the error of two passes, and a hundred times that of one."""
    near, far = (evaluate(families.get("layer_norm"), offset_case(offset, 0)) for offset in (1e2, 1e3))

    def ratio(accuracy: bounds.Accuracy) -> float:
        return float(np.median(bounds.forward(far, accuracy).total / bounds.forward(near, accuracy).total))

    assert 8.0 < ratio(bounds.SOUND) < 12.0
    assert 80.0 < ratio(bounds.ONE_PASS) < 120.0


def test_what_is_not_resolved_is_not_judged() -> None:
    """At an offset of 1e9 float32 keeps nothing of the variance: no set is judged."""
    case = offset_case(1e9, 0)

    assert not bounds.resolved(evaluate(families.get("layer_norm"), case), bounds.SOUND).any()


def test_a_norm_beyond_the_format_is_not_judged() -> None:
    """A float16 weight whose norm exceeds 65504: an implementation that keeps the norm keeps infinity."""
    x = np.array([[60000.0, 60000.0], [3.0, 4.0]])
    case = Case(x=x, eps=0.0, format=FORMATS["float16"], weight=np.ones((2, 1)))

    assert bounds.resolved(evaluate(families.get("weight_norm"), case), bounds.SOUND)[:, 0].tolist() == [False, True]


def test_classes_from_best_to_worst() -> None:
    """Narrow formats know three classes, the others two; each allows at least what a better one does, up to kappa."""
    assert [[c.name for c in bounds.classes(f)] for f in FORMATS.values()] == [
        ["sound", "one-pass"], ["sound", "one-pass"], ["sound", "half", "one-pass"], ["sound", "half", "one-pass"],
    ]  # fmt: skip
    for _, truth in truths():
        sound, one = (bounds.forward(truth, c).total for c in (bounds.SOUND, bounds.ONE_PASS))

        assert (one >= sound).all()


# Bounds of what the checks compute in float64 themselves, against exact rational arithmetic


def test_a_parameter_after_gradient_descent_is_within_its_bound() -> None:
    """Rounding of b - rate slope over eight steps stays within the bound, and uses more than a hundredth of it."""
    rng, steps, top = np.random.default_rng(3), 8, 0.0
    for _ in range(200):
        rate, slopes = float(rng.uniform(0.01, 0.3)), rng.uniform(0.5, 1.5, steps)
        b, exact = 0.0, Fraction(0)
        for slope in slopes.tolist():
            b, exact = b - rate * slope, exact - Fraction(rate) * Fraction(slope)
        top = max(top, float(abs(Fraction(b) - exact)) / float(descent(steps, np.abs(b))))

    assert 0.01 < top <= 1.0


def test_a_product_in_float64_is_within_its_bound() -> None:
    """A sum of products in float64 stays within the bound of `product` for exact weights."""
    rng, top = np.random.default_rng(4), 0.0
    for _ in range(50):
        data, weights = rng.standard_normal((3, 9)), rng.standard_normal((2, 9))
        got, bound = data @ weights.T, product(data, weights, np.zeros(()))
        for (i, j), value in np.ndenumerate(got):
            exact = sum(Fraction(a) * Fraction(w) for a, w in zip(data[i].tolist(), weights[j].tolist(), strict=True))
            top = max(top, float(abs(Fraction(float(value)) - exact)) / float(bound[i, j]))

    assert 0.01 < top <= 1.0


@pytest.mark.parametrize("offset", [2.0**13, 2.0**18])
def test_a_running_variance_of_one_pass_is_within_the_bound_of_its_class_alone(offset: float) -> None:
    """In float64, E[x^2] - E[x]^2 loses the digits of the squared mean, which no sound variance does."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((12, 5)) + offset
    start = np.ones(5)
    truth = evaluate(
        catalog.batch_norm, Case(x, 1e-3, training=True, running_mean=start, running_var=start, momentum=0.25)
    )
    one_pass = np.maximum(np.square(x).mean(0) - np.square(x.mean(0)), 0.0) * 12 / 11
    error = np.abs(0.75 * start + 0.25 * one_pass - truth.running_var).max()

    assert error > bounds.running(truth, bounds.SOUND, variance=True).total.max()
    assert error < bounds.running(truth, bounds.ONE_PASS, variance=True).total.min()
