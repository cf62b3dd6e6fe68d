"""Laws of the forward beyond Table 1: shift, permutation, independence, sign, moments, affine map, dependency."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.floats import FLOAT32, FLOAT64, Array
from normcheck.core.result import WITNESS, Comparison, worst
from normcheck.normalizers.bounds import exactness, laws
from normcheck.normalizers.bounds.contracted import demanded, exact_bound, forward_bound
from normcheck.normalizers.bounds.exactness import can_show, rounded_once
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import answer_of, has_cases, normalized_of, resolved, truth_of
from normcheck.normalizers.normalizer import AXES, Normalizer
from normcheck.normalizers.reference.standardize import reach
from normcheck.normalizers.sampling.recipes import small, values
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject


def _rng(case: Case) -> np.random.Generator:
    return np.random.default_rng((int(case.drawn.get("seed", 0)), 2))


def _shift_holds(normalizer: Normalizer, axis: str) -> bool:
    """Whether a shift that varies along an axis is removed: a mean is subtracted, and it is constant in each set."""
    varies = {"group", "unit"} if axis == "unit" else {axis}
    return normalizer.centered and not varies & normalizer.sets.members


def _shift(axis: str) -> Check:
    """The check of a shift of the summed inputs, by a constant for each case or for each unit (a bias below)."""
    law = {"case": "y(a_n + c_n) = y(a_n)", "unit": "y(a + b) = y(a), b a bias for each unit"}[axis]

    def ask(subject: Subject, case: Case) -> Comparison:
        truth = truth_of(subject, case)
        seen = truth.partition.seen
        size = [1, 1, 1, 1]
        for a in (1, 2) if axis == "unit" else (0,):
            size[a] = seen[a]
        c = _rng(case).integers(-16, 17, size) / 4.0 + 1.0
        x = case.format.round(truth.partition.restore(np.broadcast_to(truth.partition.canonical(case.x) + c, seen)))
        moved = case.but(x=x)
        other = truth_of(subject, moved)
        allowed = forward_bound(subject, truth) + forward_bound(subject, other)
        if not _shift_holds(subject.normalizer, axis):
            no = f"not invariant to a shift of each {axis}: a witness is {WITNESS:g} bounds"
            if not can_show(np.abs(other.y - truth.y), allowed):  # no set has two values of the shift
                return Comparison(no, 0, 0.0, seeks=True)
            found = differ(no, answer_of(subject, moved).y, answer_of(subject, case).y, allowed)
            return replace(found, seeks=True)
        y, moved_y = answer_of(subject, case).y, answer_of(subject, moved).y
        return differ(law, moved_y, y, allowed + laws.quantized(other, truth))

    return Check(
        f"shift-of-each-{axis}", law, "Ba, Kiros, Hinton 2016, section 5.1", ask,
        NormalizerSpace(small, formats=(FLOAT64, FLOAT32), widths=(4, 5, 8, 12, 31), offsets=False, eps=(1e-5,)),
        concerns=lambda n: n.acts_on == "activation",
    )  # fmt: skip


def permutation(subject: Subject, case: Case) -> Comparison:
    """Permuted cases, units or positions give a permuted output; parameters move with their units."""
    rng = _rng(case)
    truth = truth_of(subject, case)
    part = truth.partition
    found = []
    for a, axis in enumerate(AXES):
        partial = subject.normalizer.partial and a in part.members
        if part.seen[a] < 2 or axis == "group" or partial:
            continue
        order = rng.permutation(part.seen[a])

        def moved(array: Array, order: Array = order, a: int = a) -> Array:
            return part.restore(part.canonical(array).take(order, axis=a))

        changes = {"x": moved(case.x)}
        if axis == "unit":
            for name in ("weight", "bias"):
                value = getattr(case, name)
                if value is not None:
                    units = value.reshape(part.seen[1], part.seen[2]).take(order, axis=1)
                    changes[name] = units.reshape(value.shape)
        other = case.but(**changes)
        law = f"y(P x) = P y(x), P a permutation along {axis}"
        allowed = moved(forward_bound(subject, truth)) + forward_bound(subject, truth_of(subject, other))
        found.append(differ(law, answer_of(subject, other).y, moved(answer_of(subject, case).y), allowed))
    return worst(*found) if found else Comparison("y(P x) = P y(x)", 0, 0.0)


def batch_independence(subject: Subject, case: Case) -> Comparison:
    """A part of the batch gives the same output as within the whole batch."""
    law = "y(X)[i:j] = y(X[i:j])"
    if not has_cases(subject, case):
        return Comparison(law, 0, 0.0)
    rows = case.x.shape[0]
    start = int(_rng(case).integers(rows))
    stop = min(rows, start + 1 + rows // 3)
    truth = truth_of(subject, case)
    piece = case.but(x=case.x[start:stop], dy=None)
    whole = answer_of(subject, case).y[start:stop]
    allowed = laws.two_answers(forward_bound(subject, truth))[start:stop]
    mask = resolved(truth, demanded(subject, case))[start:stop]
    return differ(law, answer_of(subject, piece).y, whole, allowed, mask)


def sign(subject: Subject, case: Case) -> Comparison:
    """y(-x, -bias) = -y(x, bias), bit for bit."""
    flipped = case.but(x=-case.x, bias=None if case.bias is None else -case.bias)
    truth = truth_of(subject, case)
    observed, expected = answer_of(subject, flipped).y, -answer_of(subject, case).y
    return differ("y(-x; -bias) = -y(x; bias)", observed, expected, exact_bound(subject, truth), detail="exact")


def moments(subject: Subject, case: Case) -> Comparison:
    """Mean 0 (if centered), mean square v / (v + eps), and no entry beyond sqrt(n - 1), or sqrt(n) if not centered."""
    truth = truth_of(subject, case)
    part, k = truth.partition, truth.setting
    xh, bound = (
        part.gather(np.broadcast_to(a, case.x.shape)) for a in normalized_of(subject, truth, answer_of(subject, case).y)
    )
    mask = np.all(part.gather(resolved(truth, demanded(subject, case))), axis=1)
    ratio = (truth.saved.v / (truth.saved.s * truth.saved.s))[:, 0]
    read = xh[:, : k.part]
    square = np.square(read).sum(axis=1) / k.divisor
    allowed = laws.mean_square(truth, read, bound[:, : k.part], ratio)
    law = "mean(xh^2) = v / (v + eps)" if subject.normalizer.mean_square else "|w| = g"
    found = [differ(law, square, ratio, allowed, mask)]
    if k.centered:
        found.append(differ("mean(xh) = 0", xh.mean(axis=1), np.zeros(len(xh)), laws.mean(truth, bound), mask))
    top = reach(k)
    if k.part == k.n and math.isfinite(top):
        over = np.maximum(np.abs(xh) - top, 0.0)
        name = "|xh| <= sqrt(n - 1)" if k.centered else "|xh| <= sqrt(n)" if k.divisor > 1 else "|w_i| <= |g|"
        found.append(differ(name, over, np.zeros(xh.shape), laws.largest(truth, bound, top), mask[:, None]))
    return worst(*found)


def _has_both(subject: Subject) -> str:
    both = len(subject.domain.affine) > 1 and "none" in subject.domain.affine
    return "" if both else "the parameters cannot be left out"


def affine_map(subject: Subject, case: Case) -> Comparison:
    """Weight and bias act after the normalization: y(w, b) = w y(1, 0) + b."""
    plain = case.but(weight=None, bias=None)
    truth, bare = truth_of(subject, case), truth_of(subject, plain)
    xh = answer_of(subject, plain).y
    gain = np.ones(()) if truth.gain is None else truth.gain
    expected = gain * xh + (0.0 if truth.bias is None else truth.bias)
    allowed = laws.affine_map(gain, forward_bound(subject, truth), forward_bound(subject, bare))
    rounding = laws.affine_map(gain, rounded_once(case, truth.y), rounded_once(case, bare.y))
    y, mask = answer_of(subject, case).y, resolved(truth, demanded(subject, case))
    return differ("y(w, b) = w y(1, 0) + b", y, expected, allowed, mask, rounding=rounding)


def affine_scale(subject: Subject, case: Case) -> Comparison:
    """y(4 w, 4 b) = 4 y(w, b) and y(-w, -b) = -y(w, b), bit for bit: the map is linear in its parameters."""
    truth = truth_of(subject, case)
    y = answer_of(subject, case).y
    found = []
    for factor in (4.0, -1.0):
        scaled = case.but(
            weight=None if case.weight is None else factor * case.weight,
            bias=None if case.bias is None else factor * case.bias,
        )
        law = f"y({factor:g} w, {factor:g} b) = {factor:g} y(w, b)"
        found.append(differ(law, answer_of(subject, scaled).y, factor * y, abs(factor) * exact_bound(subject, truth)))
    return worst(*found)


def _weight_only(subject: Subject) -> str:
    if subject.contract.weight != "w":
        return "declared weight=1+w is not linear in w"
    return "" if subject.domain.affine != ("none",) else "takes no parameters"


def dependency(subject: Subject, case: Case) -> Comparison:
    """If one entry changes, exactly the outputs of its set change. The reference says which, but not what they are."""
    truth = truth_of(subject, case)
    y = answer_of(subject, case).y
    rng = _rng(case)
    base = forward_bound(subject, truth)
    found = []
    for _ in range(6):
        at = np.unravel_index(int(rng.integers(case.x.size)), case.x.shape)
        x = case.x.copy()
        x[at] += 2.0 if x[at] <= 0 else -2.5
        moved = case.but(x=case.format.round(x))
        other = truth_of(subject, moved)
        allowed = base + forward_bound(subject, other)
        change = np.abs(answer_of(subject, moved).y - y)
        predicted = np.abs(other.y - truth.y)
        spot = tuple(int(i) for i in at)
        stays = differ(f"entry {spot} moved: outputs outside its set stay", change, np.zeros(y.shape), allowed,
                       predicted == 0.0)  # fmt: skip
        must = exactness.must_move(predicted, allowed)
        moves = differ(f"entry {spot} moved: every output of its set moves",
                       exactness.shortfall(change, allowed, must), np.zeros(y.shape), exactness.LEAST_MOVE,
                       must)  # fmt: skip
        found += [stays, moves]
    return worst(*found)


_EXACT = (FLOAT64, FLOAT32)

CHECKS = (
    _shift("case"),
    _shift("unit"),
    Check("permutation", "y(P x) = P y(x)", "Ba, Kiros, Hinton 2016, section 5.1",
          permutation, NormalizerSpace(small, formats=_EXACT, widths=(4, 6, 9, 16), offsets=False)),
    Check("batch-independence", "y(X)[i:j] = y(X[i:j])", "tensorflow/addons#2745",
          batch_independence, NormalizerSpace(values, formats=_EXACT), concerns=lambda n: n.independent),
    Check("sign", "y(-x; -bias) = -y(x; bias)", "rounding to nearest commutes with negation",
          sign, NormalizerSpace(values, formats=_EXACT)),
    Check("moments", "mean(xh) = 0, mean(xh^2) = v / (v + eps), |xh| <= sqrt(n - 1)", "Samuelson 1968",
          moments, NormalizerSpace(values, formats=_EXACT, edges=(2, 3, 17, 129))),
    Check("affine-map", "y(w, b) = w y(1, 0) + b", "Ioffe, Szegedy 2015, Algorithm 1",
          affine_map, NormalizerSpace(values, affine=("both", "weight")), concerns=lambda n: n.acts_on == "activation",
          lacks=_has_both),
    Check("affine-scale", "y(4 w, 4 b) = 4 y(w, b)", "scaling by powers of two is exact",
          affine_scale, NormalizerSpace(small, formats=_EXACT, affine=("both", "weight")), concerns=lambda n: n.weight,
          lacks=_weight_only),
    Check("dependency", "one entry moved: exactly the outputs of its set move", "tensorflow/addons#751",
          dependency, NormalizerSpace(small, formats=_EXACT, widths=(3, 4, 5, 6), sets=(4, 6), offsets=False)),
)  # fmt: skip
