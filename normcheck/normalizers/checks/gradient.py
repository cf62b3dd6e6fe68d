"""Gradients: closed forms, identities, linearity and adjointness; which statistics they pass through.

dx = (1/s) [g - A mean(g) - B xh mean(g xh)]; A is 1 if the gradient passes through the mean, B if through the variance
(Ioffe, Szegedy 2015, section 2). No check uses y.sum() alone: its gradient is zero for every centered normalizer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import bound_ratios, differ
from normcheck.core.contract import GRADIENTS
from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64, Array
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds import bounds, derivatives
from normcheck.normalizers.bounds.bounds import Accuracy
from normcheck.normalizers.bounds.contracted import backward_bound, demanded, parameter_bound
from normcheck.normalizers.bounds.exactness import rounded_once, scaled_gradient
from normcheck.normalizers.bounds.networks import descent
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks import forms
from normcheck.normalizers.checks.accuracy import has_state, needs_evaluation
from normcheck.normalizers.checks.curves import curve
from normcheck.normalizers.checks.within_bounds import (
    answer_of,
    gradients_of,
    gradients_within,
    needs_float64,
    needs_gradient,
    needs_parameters,
    output_within,
    resolved,
    truth_of,
)
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth, gradient
from normcheck.normalizers.sampling.recipes import DY_KINDS, Draw, small, state, values
from normcheck.normalizers.sampling.space import ALL_WIDTHS, NormalizerSpace
from normcheck.normalizers.subject import Subject

SOURCE = "Ioffe, Szegedy 2015, section 2"


def _classes(subject: Subject, truth: Truth, key: str, compare: object) -> Comparison:
    """Compare in every accuracy class up to the demanded one; metrics: the bound ratio in each."""
    assert callable(compare)
    wanted = demanded(subject, truth.case, backward=True)
    metrics: dict[str, float] = {}
    found: Comparison | None = None
    for accuracy in bounds.classes(truth.case.format):
        one: Comparison = compare(accuracy)
        if one.compared:
            metrics[f"accuracy/{key} {truth.case.format.name}/{accuracy.name}"] = one.bound_ratio
        found = one if accuracy is wanted else found
        if found is not None and one.holds:
            break
    assert found is not None
    return replace(found, metrics=metrics)


def input_gradient(subject: Subject, case: Case) -> Comparison:
    """dx against the closed form of the claimed gradient mode."""
    truth = truth_of(subject, case)
    dx = gradients_of(subject, case).dx
    assert dx is not None
    assert truth.dx is not None
    expected, rounding = truth.dx, rounded_once(case, truth.dx)
    law = f"dx is the closed form, {subject.contract.gradient}"

    def compare(accuracy: Accuracy) -> Comparison:
        allowed = backward_bound(subject, truth, accuracy)
        return differ(law, dx, expected, allowed, resolved(truth, accuracy), rounding=rounding)

    found = _classes(subject, truth, "backward", compare)
    drawn = curve(
        truth, "backward", bound_ratios(dx, expected, backward_bound(subject, truth, bounds.SOUND), rounding)[1]
    )
    whole = replace(found, metrics={**found.metrics, **drawn})
    more = tuple(forms.gradients(subject, truth))
    return worst(whole, *more) if more else whole


def parameter_gradients(subject: Subject, case: Case) -> Comparison:
    """The gradient of a parameter sums over all its entries: dweight = sum dy xh, dbias = sum dy."""
    truth = truth_of(subject, case)
    answer = gradients_of(subject, case)

    def compare(accuracy: Accuracy) -> Comparison:
        found = []
        well = bounds.resolved(truth, accuracy)
        for name, law in (("dweight", "dweight = sum dy xh"), ("dbias", "dbias = sum dy")):
            got, expected, bias = getattr(answer, name), getattr(truth, name), name == "dbias"
            if expected is None:
                continue
            seen = np.full(expected.shape, np.nan) if got is None else got
            allowed = parameter_bound(subject, truth, bias=bias, accuracy=accuracy)
            read = truth.partition.collect(truth.partition.per_set((~well).astype(float))) == 0
            mask = None if bias else read
            found.append(differ(law, seen, expected, allowed, mask, rounding=rounded_once(case, expected)))
        return worst(*found)

    return _classes(subject, truth, "parameters", compare)


def grid(subject: Subject, case: Case) -> Comparison:
    """Output and gradients are right for each combination of weight and bias that may be given."""
    found: list[Comparison] = []
    for affine in subject.domain.affine:
        here = case.but(
            weight=case.weight if affine in ("both", "weight") else None,
            bias=case.bias if affine in ("both", "bias") else None,
        )
        truth, answer = truth_of(subject, here), gradients_of(subject, here)
        found += [output_within(subject, truth, answer.y, affine), *gradients_within(subject, truth, answer, affine)]
    return worst(*found)


def mode(subject: Subject, case: Case) -> Comparison:
    """dx is the closed form of the claimed gradient mode; metrics: the bound ratio for each of the four modes."""
    truth = truth_of(subject, case)
    accuracy = demanded(subject, case, backward=True)
    dx = gradients_of(subject, case).dx
    assert dx is not None
    allowed, mask = backward_bound(subject, truth, accuracy), resolved(truth, accuracy)
    shares = {name: differ("", dx, gradient(truth, name), allowed, mask) for name in GRADIENTS}
    claimed = shares[subject.contract.gradient]
    metrics = {f"gradient/{name}": one.bound_ratio for name, one in shares.items()}
    fits = [name for name, one in shares.items() if one.holds]
    seen = f"dx is that of {' or '.join(fits)}" if fits else "dx follows none of the four closed forms"
    law = f"the gradient is {subject.contract.gradient}"
    return replace(claimed, law=law, metrics=metrics, detail="" if claimed.holds else seen)


def sums(subject: Subject, case: Case) -> Comparison:
    """Identities of the claimed gradient mode: sum dx = (1 - A) sum g / s, <dx, xh> = (1 - B v / s^2) sum g xh / s."""
    truth = truth_of(subject, case)
    accuracy = demanded(subject, case, backward=True)
    dx = gradients_of(subject, case).dx
    assert dx is not None
    assert truth.normalized_cotangent is not None
    part, saved, k = truth.partition, truth.saved, truth.setting
    a, b = k.through
    flat = part.gather(dx)
    mask = bounds.resolved(truth, accuracy)[:, 0]
    multiplier = subject.contract.bound_multiplier
    found = []
    s = saved.s[:, 0]
    if k.centered:
        total = (1 - a) * truth.normalized_cotangent.sum(axis=1) / s
        law = "sum of dx over a set = 0" if a else "sum of dx over a set = sum g / s"
        found.append(differ(law, flat.sum(axis=1), total, multiplier * derivatives.identity_sum(truth, accuracy), mask))
    variance_term = (truth.normalized_cotangent * saved.xh).sum(axis=1)
    kept = 1.0 - 2.0 * b * (saved.slope * saved.v / saved.s)[:, 0]
    law = "<dx, xh> = (1 - B v / (v + eps)) sum g xh / s"
    allowed = multiplier * derivatives.identity_inner(truth, accuracy, saved.xh)
    found.append(differ(law, (flat * saved.xh).sum(axis=1), kept * variance_term / s, allowed, mask))
    return worst(*found)


FACTORS = {"-4": -4.0, "2^-30": 2.0**-30}
"""Powers of two by which a cotangent is multiplied: another sign, and gradients as small as those of a deep net."""


def linear(subject: Subject, case: Case) -> Comparison:
    """Every gradient is linear in the cotangent: -4 dy gives -4 times all of them, bit for bit."""
    once, found = gradients_of(subject, case), []
    for words, c in FACTORS.items():
        other = gradients_of(subject, case.but(dy=c * _dy(case)))
        for name in ("dx", "dweight", "dbias"):
            before, after = getattr(once, name), getattr(other, name)
            if before is not None and after is not None:
                allowed, law = scaled_gradient(case.format, before, c), f"{name}({words} dy) = {words} {name}(dy)"
                found.append(differ(law, after, c * before, allowed, detail="exact"))
    return worst(*found)


def _dy(case: Case) -> Array:
    assert case.dy is not None, "the case has no cotangent"
    return case.dy


def _difference(subject: Subject, case: Case, step: Array) -> float:
    """<dy, y(x + step) - y(x - step)>."""
    after, before = (answer_of(subject, case.but(x=x)).y for x in (case.x + step, case.x - step))
    return float((_dy(case) * (after - before)).sum())


def adjoint(subject: Subject, case: Case) -> Comparison:
    """<u, J v> = <J^T u, v>, v a random vector of signs: J v by differences of the forward, J^T u by the backward."""
    truth = truth_of(subject, case)
    if not derivatives.differences_resolve(truth):
        return Comparison("<u, J v> = <J^T u, v>", 0, 0.0)
    rng = np.random.default_rng((int(case.drawn["seed"]), 3))
    dx = gradients_of(subject, case).dx
    assert dx is not None
    h = derivatives.richardson_step(truth)
    allowed = np.asarray(subject.contract.bound_multiplier * derivatives.directional(truth, h))
    found = []
    for _ in range(3):
        v = rng.choice((-1.0, 1.0), case.x.shape)
        far, near = (_difference(subject, case, t * v) for t in (2.0 * h, h))
        numeric = (8.0 * near - far) / (12.0 * h)
        analytic = float((dx * v).sum())
        found.append(differ("<u, J v> = <J^T u, v>", np.asarray([analytic]), np.asarray([numeric]), allowed))
    return worst(*found)


def bias_drift(subject: Subject, case: Case) -> Comparison:
    """The experiment of section 2: gradient descent on a bias b before the normalizer, x = u + b, loss <dy, y>.

    If the gradient passes through E[x], that of b is 0, and b does not move. With E[x] held constant b moves by
    eta sum g / s in each step while u + b - E[u + b], and so the loss, stay the same.
    """
    truth = truth_of(subject, case)
    part, k = truth.partition, truth.setting
    assert truth.normalized_cotangent is not None
    a, _ = k.through
    steps, rate = 8, 0.25
    s = truth.saved.s[:, 0]
    push = (1 - a) * truth.normalized_cotangent.sum(axis=1) / s
    scale = np.abs(truth.normalized_cotangent).sum(axis=1) / s
    rate /= max(1.0, float((scale / s).max()) / 4.0)  # the largest drift stays within a few standard deviations
    b = np.zeros(part.sets)
    allowed = np.zeros(part.sets)
    first = answer_of(subject, case).y
    accuracy = demanded(subject, case, backward=True)
    for _ in range(steps):
        here = case.but(x=case.x + part.per_set(b))
        dx = gradients_of(subject, here).dx
        assert dx is not None
        allowed += (
            rate * subject.contract.bound_multiplier * derivatives.identity_sum(truth_of(subject, here), accuracy)
        )
        b = b - rate * part.gather(dx).sum(axis=1)
    law = "through E[x] a bias before the normalizer stands still" if a else "b grows by eta sum g / s each step"
    moved = differ(law, b, -rate * steps * push, allowed + descent(steps, np.abs(b)))
    here = case.but(x=case.x + part.per_set(b))
    bound = bounds.forward(truth, accuracy).total + bounds.forward(truth_of(subject, here), accuracy).total
    still = differ(
        "the loss stands still while b drifts",
        answer_of(subject, here).y,
        first,
        subject.contract.bound_multiplier * bound,
    )
    return worst(moved, still)


def evaluation_gradient(subject: Subject, case: Case) -> Comparison:
    """With running statistics the gradient is that of an affine map, dx = weight dy / sqrt(running var + eps)."""
    return worst(
        replace(input_gradient(subject, case), law="dx = weight dy / sqrt(running var + eps)"),
        parameter_gradients(subject, case) if case.weight is not None else Comparison("", 0, 0.0),
    )


def _centered(normalizer: Normalizer) -> bool:
    return normalizer.centered


def _full(subject: Subject) -> str:
    claimed = subject.contract.gradient
    return needs_float64(subject) or (
        "" if claimed == "full" else f"the claimed gradient is {claimed}, not the derivative"
    )


def _several(subject: Subject) -> str:
    one = len(subject.domain.affine) == 1
    return needs_gradient(subject) or ("its parameters cannot be left out" if one else "")


def _evaluated(normalizer: Normalizer, draw: Draw) -> Case:
    return state(normalizer, draw, training=False)


def _evaluation(subject: Subject) -> str:
    why = subject.domain.absent.get("gradients in evaluation", "none offered")
    no_gradient = "" if subject.domain.evaluation_gradient else f"no gradients in evaluation: {why}"
    return needs_gradient(subject) or needs_evaluation(subject) or no_gradient


_DY = (
    ("contiguous", "random"), ("expanded", "random"), ("every second", "random"), ("contiguous", "null space"),
)  # fmt: skip
_WITH = ("both", "weight")

assert set(DY_KINDS) == {kind for _, kind in _DY}

CHECKS = (
    Check("input-gradient", "dx = (g - A mean g - B xh mean(g xh)) / s", SOURCE, input_gradient,
          NormalizerSpace(values, edges=ALL_WIDTHS, dy=_DY,
                          worst_offset=((FLOAT64, 1e5), (FLOAT32, 1e3), (BFLOAT16, 10.0))),
          lacks=needs_gradient),
    Check("parameter-gradients", "dweight = sum dy xh, dbias = sum dy", "Ioffe, Szegedy 2015, section 3",
          parameter_gradients,
          NormalizerSpace(values, affine=_WITH, dy=_DY, edges=(1, 3, 65, 129), sets=(6, 4, 7, 17, 33, 65)),
          lacks=needs_parameters),
    Check("parameter-grid", "any parameter may be left out", "pytorch/pytorch#79705", grid,
          NormalizerSpace(small, formats=(FLOAT32, FLOAT64, BFLOAT16), affine=("both",), sets=(4, 6), offsets=False),
          concerns=lambda n: n.bias, lacks=_several),
    Check("gradient-mode", "the gradient passes through the statistics it claims", SOURCE, mode,
          NormalizerSpace(small, formats=(FLOAT64, FLOAT32), widths=(6, 8, 16, 33), offsets=False, eps=(1e-5,)),
          lacks=needs_gradient),
    Check("gradient-sums", "sum dx = 0 and <dx, xh> = eps / (v + eps) sum g xh / s", "theory: null space {1, xh}",
          sums, NormalizerSpace(values, formats=(FLOAT64, FLOAT32), dy=_DY), lambda n: not n.partial, needs_gradient),
    Check("gradient-linear", "the backward is linear in the cotangent", "tensorflow/tensorflow#107705", linear,
          NormalizerSpace(small, formats=(FLOAT64, FLOAT32), dy=_DY[:3]), lacks=needs_gradient),
    Check("gradient-adjoint", "<u, J v> = <J^T u, v>", "definition of the adjoint", adjoint,
          NormalizerSpace(small, formats=(FLOAT64,), widths=(6, 8, 16, 33), offsets=False, eps=(1e-5, 0.1, 1e-3)),
          lacks=_full),
    Check("bias-drift", "a bias before the normalizer stands still if E[x] is differentiated", SOURCE, bias_drift,
          NormalizerSpace(small, formats=(FLOAT64,), widths=(4, 6, 9), sets=(4,), offsets=False, eps=(1e-5,)),
          concerns=_centered, lacks=needs_float64),
    Check("evaluation-gradient", "dx = weight dy / sqrt(running var + eps)", "pytorch/xla#913", evaluation_gradient,
          NormalizerSpace(_evaluated, formats=(FLOAT64, FLOAT32), offsets=False), concerns=has_state,
          lacks=_evaluation),
)  # fmt: skip
