"""ReLU, sigmoid and tanh above a normalizer: no unit is dead, what ReLU loses, how far the others saturate.

Everything follows from |xh| <= r, r = sqrt(n - 1) if the mean is subtracted and sqrt(n) if it is not (`reach`), and
from sum xh = 0 if it is. n is the number of members of a set. In batch and instance norm a set belongs to one unit; in
the others it spans units, and what holds for a unit there holds for a set whose weights have one sign.
"""

from __future__ import annotations

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.contract import Contract
from normcheck.core.floats import FLOAT32, FLOAT64, Array
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds import activations as bounds_above
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.bounds.contracted import demanded, forward_bound, parameter_bound
from normcheck.normalizers.bounds.exactness import HALF_A_STEP, certainly_positive
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import (
    answer_of,
    gradients_of,
    needs_gradient,
    normalized_of,
    resolved,
    truth_of,
)
from normcheck.normalizers.normalizer import Normalizer, Partition
from normcheck.normalizers.reference.nonlinear import SLOPES
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.reference.standardize import Setting, reach
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject

PAPER = "Ioffe, Szegedy 2015, section 2"


def one_unit(normalizer: Normalizer) -> bool:
    """Whether every set lies within one unit, and so has one weight and one bias."""
    return not {"group", "unit"} & normalizer.sets.members


def unbiased(case: Case) -> Case:
    """The case with bias 0."""
    return case if case.bias is None else case.but(bias=np.zeros(case.bias.shape))


def standing_out(case: Case, truth: Truth, signs: Array) -> tuple[Case, Array]:
    """The case with all of the first set and of the last 0 but one entry; and where these entries are, as a mask.

    signs: of the input's shape, as the first set has them; the last has the opposite ones. A single set is the first.
    """
    part = truth.partition
    flat, sign = part.gather(case.x).copy(), part.gather(np.broadcast_to(signs, case.x.shape))
    where = np.zeros(flat.shape, dtype=bool)
    for row, size in ((0, 4.0), (-1, -4.0))[: part.sets]:
        flat[row] = 0.0
        flat[row, 0] = size * sign[row, 0]
        where[row, 0] = True
    return case.but(x=part.scatter(flat)), part.scatter(where)


def _gain(truth: Truth) -> Array:
    """What multiplies xh, as it broadcasts against the input."""
    return np.ones(()) if truth.gain is None else truth.gain


def _read(part: Partition, k: Setting) -> Array:
    """Whether the statistic reads an entry, (1, members)."""
    return np.arange(part.n)[None, :] < k.part


def alive(subject: Subject, case: Case) -> Comparison:
    """ReLU with bias 0: in any batch that is not constant, every unit is positive in some case and cut in another.

    If the mean is subtracted, the largest entry is at least sqrt(v / (v + eps)) / sqrt(n - 1), and the smallest at most
    its negative, whatever the sign of the weight. If it is not, ReLU passes the entries with the sign of the weight, so
    a set of one sign is passed or cut as a whole.
    """
    case = unbiased(case)
    truth = truth_of(subject, case)
    y = answer_of(subject, case).y
    law = _passes if subject.normalizer.centered else _keeps_signs
    return worst(law(subject, truth, y), _lost(subject, case))


def _passes(subject: Subject, truth: Truth, y: Array) -> Comparison:
    """Each set has an entry above and one below 0, by at least what follows from its variance."""
    part, k, saved = truth.partition, truth.setting, truth.saved
    xh, off = (part.gather(np.broadcast_to(a, y.shape)) for a in normalized_of(subject, truth, y))
    least = (np.sqrt(saved.v * k.divisor / (k.n * (k.n - 1.0))) / saved.s)[:, 0]
    allowed = off.max(axis=1)
    well = bounds.resolved(truth, demanded(subject, truth.case))[:, 0] & certainly_positive(least, allowed)
    reached = np.minimum(xh.max(axis=1), -xh.min(axis=1))
    units = "each unit" if one_unit(subject.normalizer) else "each set, with weights of one sign,"
    law = f"at bias 0 {units} is above 0 somewhere and below 0 somewhere"
    return differ(law, np.minimum(reached - least, 0.0), np.zeros(part.sets), allowed, well)


def _keeps_signs(subject: Subject, truth: Truth, y: Array) -> Comparison:
    """Each output has the sign of its input times that of the weight."""
    clear = certainly_positive(np.abs(truth.y), forward_bound(subject, truth))
    expected = np.sign(truth.case.x * _gain(truth))
    return differ("without a mean, ReLU passes what has the sign of the weight", np.sign(y), expected,
                  HALF_A_STEP, clear & resolved(truth, demanded(subject, truth.case)))  # fmt: skip


def _lost(subject: Subject, case: Case) -> Comparison:
    """A note: which part of the entries and of their square ReLU cuts at weight 1 and bias 0, on this case."""
    weight = None if case.weight is None else np.full(case.weight.shape, 1.0 - _offset(subject.contract))
    y = answer_of(subject, case.but(weight=weight)).y
    cut, whole = np.square(np.minimum(y, 0.0)).sum(), np.square(y).sum()
    if not (np.isfinite(whole) and whole > 0.0):
        return Comparison("", 0, 0.0)
    part, square = 100.0 * np.mean(y <= 0.0), 100.0 * cut / whole
    label = f"sets {part:.0f} % of the outputs to 0, which have {square:.0f} % of the sum of their squares"
    return Comparison("", 0, 0.0, notes={"ReLU at weight 1 and bias 0": label})


def _offset(contract: Contract) -> float:
    """What the contract adds to the weight."""
    return 1.0 if contract.weight == "1+w" else 0.0


def loses_nothing(subject: Subject, case: Case) -> Comparison:
    """ReLU with bias |weight| r cuts nothing, r = sqrt(n - 1), and any smaller bias could cut something.

    The second is shown by a single outlier with the sign opposite to the weight: its output is
    |weight| r (1 - sqrt(v / (v + eps))), which is 0 up to the effect of eps.
    """
    truth = truth_of(subject, case)
    gain = np.abs(_gain(truth))
    case, where = standing_out(case, truth, -np.sign(_gain(truth)))
    top = reach(truth.setting)
    assert case.bias is not None, "the case has no bias"
    full = np.broadcast_to(gain * top, case.x.shape)
    count = truth.partition.collect(np.ones(case.x.shape))
    case = case.but(bias=case.format.round(truth.partition.collect(full) / count))
    truth = truth_of(subject, case)
    y = answer_of(subject, case).y
    allowed = forward_bound(subject, truth) + bounds_above.rounded_bias(truth, full)
    mask = resolved(truth, demanded(subject, case))
    still = differ("at bias |w| r nothing is below 0", np.minimum(y, 0.0), np.zeros(y.shape), allowed, mask)
    ratio = truth.partition.per_set(np.sqrt(truth.saved.v) / truth.saved.s)
    first = np.zeros(truth.partition.sets, dtype=bool)
    first[0] = True
    least = differ("nothing less than |w| r would do", y, full * (1.0 - ratio), allowed,
                   where & mask & truth.partition.per_set(first))  # fmt: skip
    return worst(still, least)


def restored(subject: Subject, case: Case) -> Comparison:
    """Weight s and bias mean restore the input, so the normalizer can represent the identity; s = sqrt(v + eps).

    If several sets share a weight, on one case.
    """
    case = _one_set_for_each_weight(subject.normalizer, case.but(dy=None))
    truth = truth_of(subject, case)
    part, saved = truth.partition, truth.saved
    count = part.collect(np.ones(case.x.shape))
    s, mean = (part.collect(part.per_set(statistic)) / count for statistic in (saved.s, saved.mu))
    offset = _offset(subject.contract)
    here = case.but(
        weight=case.format.round(s - offset) if subject.normalizer.weight else None,
        bias=case.format.round(mean) if subject.normalizer.centered else None,
    )
    truth = truth_of(subject, here)
    allowed = forward_bound(subject, truth) + bounds_above.restored(truth, part.spread(s), part.spread(mean), offset)
    law = "weight s and bias mean restore the input" if subject.normalizer.centered else "weight s restores the input"
    return differ(law, answer_of(subject, truth.case).y, case.x, allowed, resolved(truth, demanded(subject, case)))


def _one_set_for_each_weight(normalizer: Normalizer, case: Case) -> Case:
    """The first training case alone, if each has statistics of its own but all share the weights; else the case."""
    if normalizer.acts_on == "weight" or "case" in normalizer.sets.members:
        return case
    lead = case.x.ndim - case.normalized if normalizer.sets.layout == "trailing" else 1
    return case.but(x=case.x[(slice(0, 1),) * lead])


def slopes(subject: Subject, case: Case) -> Comparison:
    """The slopes of sigmoid and tanh are at least those at |weight| r + |bias|, which |y| cannot exceed in any batch.

    So no unit is dead. A single outlier reaches that value, up to the effect of eps. If a statistic reads a part of the
    entries only, this holds for that part.
    """
    truth = truth_of(subject, case)
    shift = np.zeros(()) if truth.bias is None else truth.bias
    farther = np.sign(_gain(truth)) * np.where(shift < 0, -1.0, 1.0)  # the sign that the bias does not oppose
    case, where = standing_out(case, truth, farther if truth.partition.sets == 1 else -farther)
    truth = truth_of(subject, case)
    part, k = truth.partition, truth.setting
    y, off = answer_of(subject, case).y, forward_bound(subject, truth)
    read = part.scatter(np.broadcast_to(_read(part, k), (part.sets, part.n)).copy())
    mask = read & resolved(truth, demanded(subject, case))
    gain, top = np.abs(_gain(truth)), reach(k)
    z = gain * top + np.abs(shift)
    found = []
    for name, slope in SLOPES.items():
        least = slope(np.broadcast_to(z + off, y.shape))
        law = f"the slope of {name} is at least that at |w| r + |b|"
        found.append(
            differ(law, np.minimum(slope(y) / least, 1.0), np.ones(y.shape), bounds_above.slope(z + off), mask)
        )
    last = np.zeros(part.sets, dtype=bool)
    last[-1] = True
    ratio = part.per_set(np.sqrt(truth.saved.v) / truth.saved.s)
    law = "an entry that stands out comes to |w| r + |b|, up to eps"
    found.append(differ(law, np.abs(y), gain * top * ratio + np.abs(shift), off, where & mask & part.per_set(last)))
    return worst(*found)


def negatives(subject: Subject, case: Case) -> Comparison:
    """Outputs that must be negative are negative: sigmoid and tanh distinguish negative values, unlike ReLU."""
    truth = truth_of(subject, case)
    y, off = answer_of(subject, case).y, forward_bound(subject, truth)
    clear = certainly_positive(-truth.y, off) & resolved(truth, demanded(subject, case))
    return differ("a negative input is not cut to zero", np.sign(y), np.full(y.shape, -1.0), HALF_A_STEP, clear)


def learns(subject: Subject, case: Case) -> Comparison:
    """Every bias has a gradient: if the cotangent of sigmoid, tanh or ReLU is c > 0 everywhere, dbias > 0.

    Above sigmoid and tanh, in any batch, it is at least the smallest slope, that at |weight| r + |bias|, times sum c.
    Above ReLU at bias 0 it is at least the c of one case that is positive, if a set belongs to one unit and its mean is
    subtracted; otherwise a unit can be dead.
    """
    rng = np.random.default_rng((int(case.drawn["seed"]), 5))
    above = rng.uniform(0.5, 1.5, case.x.shape)
    truth = truth_of(subject, case)
    if truth.bias is None:
        return Comparison("every bias has a gradient", 0, 0.0)
    z = np.abs(_gain(truth)) * reach(truth.setting) + np.abs(truth.bias) + forward_bound(subject, truth)
    y, full = answer_of(subject, case).y, np.broadcast_to(z, case.x.shape)
    found = []
    for name, slope in SLOPES.items():
        law = f"above {name} every bias has a gradient"
        found.append(_gradient_of_bias(subject, case, law, slope(y) * above, slope(full) * above))
    if subject.normalizer.centered and one_unit(subject.normalizer):
        case = unbiased(case)
        passed = answer_of(subject, case).y > 0.0
        # the smallest c, spread over the entries of each unit
        least = np.full(case.x.shape, 0.5 * truth.partition.parameter[0] / case.x.size)
        law = "above ReLU at bias 0 every bias has a gradient"
        found.append(_gradient_of_bias(subject, case, law, passed * above, least))
    return worst(*found)


def _gradient_of_bias(subject: Subject, case: Case, law: str, cotangent: Array, least: Array) -> Comparison:
    """Each dbias is at least the sum of `least` over its entries. cotangent, least: of the input's shape."""
    here = case.but(dy=case.format.round(cotangent))
    truth = truth_of(subject, here)
    assert truth.dbias is not None, "the case has no bias"
    needed, got = truth.partition.collect(least), gradients_of(subject, here).dbias
    short = np.full(needed.shape, np.nan) if got is None else np.minimum(got - needed, 0.0)
    allowed = parameter_bound(subject, truth, bias=True)
    return differ(law, short, np.zeros(needed.shape), allowed, certainly_positive(needed, allowed))


def _activates(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "activation"


def _scaled(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "activation" and normalizer.scaled


def _moved(normalizer: Normalizer) -> bool:
    """Whether xh is bounded for every entry, and a bias is added."""
    return _scaled(normalizer) and normalizer.bias and not normalizer.partial


def _lacks_bias(subject: Subject) -> str:
    there = {"both", "bias"} & set(subject.domain.affine)
    return "" if there else "takes no bias"


def _cannot_learn(subject: Subject) -> str:
    return needs_gradient(subject) or _lacks_bias(subject)


def _lacks_parameters(subject: Subject) -> str:
    n, affine = subject.normalizer, subject.domain.affine
    needed = "both" if n.weight and n.centered else "weight" if n.weight else "bias"
    label = "weight and bias" if needed == "both" else needed
    return "" if needed in affine or "both" in affine else f"takes no {label}"


_SPACE = NormalizerSpace(small, formats=(FLOAT64, FLOAT32), widths=(4, 6, 9, 16, 33), sets=(4, 6), offsets=False)
_BIASED = NormalizerSpace(
    small, formats=(FLOAT64, FLOAT32), widths=(4, 6, 9, 16), sets=(4, 6), offsets=False, affine=("both", "bias")
)
_WHOLE = NormalizerSpace(
    small, formats=(FLOAT64, FLOAT32), widths=(4, 6, 9, 16), sets=(4, 6), offsets=False, affine=("both",)
)
_MANY = NormalizerSpace(
    small, formats=(FLOAT64, FLOAT32), widths=(17, 6), sets=(17, 6), offsets=False, affine=("both",)
)  # sums of many cotangents of one sign, which no random draw has

CHECKS = (
    Check("relu-alive", "at weight != 0 and bias 0 no unit is dead, and none passes all", "Samuelson 1968",
          alive, _SPACE, _activates, cost=4.0),
    Check("relu-loses-nothing", "at bias |w| sqrt(n - 1) ReLU cuts nothing, and no less will do", "Samuelson 1968",
          loses_nothing, _BIASED, _moved, _lacks_bias, cost=4.0),
    Check("input-restored", "weight s and bias mean restore the input", "Ioffe, Szegedy 2015, section 3",
          restored, _WHOLE, lacks=_lacks_parameters, cost=4.0),
    Check("slopes-bounded", "|y| <= |w| r + |b|: the slopes of sigmoid and tanh are bounded away from 0", PAPER,
          slopes, _SPACE, _scaled, cost=4.0),
    Check("negatives-kept", "above sigmoid and tanh a negative input is no zero", PAPER,
          negatives, _SPACE, _activates, cost=4.0),
    Check("no-unit-dies", "above sigmoid and tanh, and above ReLU at bias 0, every bias has a gradient", PAPER,
          learns, _MANY, _moved, _cannot_learn, cost=4.0),
)  # fmt: skip
