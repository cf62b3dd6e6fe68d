"""What an unknown callable is: the entry of the catalog that it computes, and every convention that it follows.

It is bound as each kind whose arguments it takes. What it shares, subtracts and divides by is measured; a kind is
believed when the dependency mask is that of its sets and its reference, under the conventions found, reproduces the
outputs. Only then are gradient, state and accuracy asked.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from normcheck.core import measured
from normcheck.core.claim import Implementation
from normcheck.core.contract import GRADIENTS, contract, words
from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import FORMATS
from normcheck.core.foreign_code import quiet
from normcheck.core.result import merge
from normcheck.core.spec import COLUMN_NAMES
from normcheck.frameworks.binder import subject as bound
from normcheck.frameworks.load import load
from normcheck.frameworks.torch.tensors import one_thread
from normcheck.identify import measure, reference_fit
from normcheck.identify.identity_report import IdentityReport
from normcheck.identify.without_optional_arguments import without
from normcheck.normalizers import catalog, transforms
from normcheck.normalizers.bounds.contracted import demanded
from normcheck.normalizers.checks.invariance import NEGLIGIBLE, TABLE
from normcheck.normalizers.normalizer import Normalizer, Sets
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import narrowed
from normcheck.normalizers.subject import Subject

UNDETERMINED = dict.fromkeys(COLUMN_NAMES, measured.UNDETERMINED)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was measured of the forward of a callable bound as one kind, and how far the reference is from it."""

    subject: Subject
    affine: measure.Affine
    sharing: measure.Sharing
    shape: measure.Shape
    eps: Mapping[str, measure.Eps]  # by format, at the value passed if it is an argument
    distance: float

    @property
    def is_kind(self) -> bool:
        return self.sharing.fits and self.distance < measure.PLAIN

    @property
    def reads(self) -> int:
        return self.sharing.reads or self.sharing.members

    def strangeness(self) -> tuple[bool, bool, bool, bool, float]:
        """The less of it was understood, the larger."""
        ignored, statistic = self.affine.weight == "ignored", self.shape.statistic
        other = self.subject.normalizer.scaled == (statistic is measure.NOTHING)
        return statistic is None, other, ignored, not self.sharing.fits, self.distance


def identify(target: Any) -> IdentityReport:
    """What a target is: "package.module:attribute", "path/to/file.py:attribute", or the object itself.

    Raises `UsageError` where it cannot be loaded, or be called as any kind.
    """
    started = time.perf_counter()
    name = Implementation("", target).name
    with one_thread(), quiet():
        thing = load(target) if isinstance(target, str) else target
        seen = _best(target, name)
        alone = _alone(seen, thing)
        card = _card(seen, alone, name)
        card = _known(card, seen, alone, thing) if seen.is_kind else card
    return replace(card, seconds=time.perf_counter() - started)


def _order() -> Iterable[Normalizer]:
    """Normalizers of weights first: such a kernel may read its parameter without asking for its size."""
    return sorted(catalog.ALL.values(), key=lambda n: n.acts_on != "weight")


def _best(target: Any, name: str) -> Seen:
    """The first kind that fits; of those that can be called, the one under which most was understood if none does."""
    tried: list[Seen] = []
    refused: dict[str, str] = {}
    for normalizer in _order():
        try:
            seen = _seen(bound(Implementation(normalizer.name, target), normalizer))
        except (UsageError, CallError, ValueError) as error:  # a rank without a meaning as this kind
            text = str(error)
            refused[normalizer.name] = text if normalizer.name in text else f"as {normalizer.name}, {text}"
            continue
        if seen.is_kind:
            return seen
        tried.append(seen)
    if not tried:
        why = next(why for kind, why in refused.items() if catalog.ALL[kind].acts_on == "activation")
        raise UsageError(f"{name} cannot be called as any kind of normalizer: {why.replace(f'{name}: ', '')}")
    return min(tried, key=Seen.strangeness)


def _over(subject: Subject, sharing: measure.Sharing) -> Subject:
    """The subject with the sets that were seen, where they are not those of the kind it is bound as."""
    if sharing.fits or not sharing.whole or not sharing.axes:
        return subject
    normalizer = subject.normalizer
    sets = Sets(normalizer.sets.layout, frozenset(sharing.axes))
    return replace(subject, normalizer=replace(normalizer, sets=sets, partial=False))


def _seen(subject: Subject) -> Seen:
    """The forward, measured; the subject comes back under the contract found, over the sets seen."""
    measure.check_deterministic(subject)
    affine, sharing = measure.affine(subject), measure.sharing(subject)
    subject = _over(subject, sharing)
    reads = sharing.reads or sharing.members
    shape = measure.shape(subject, affine.gain, reads)
    statistic = shape.statistic
    eps: dict[str, measure.Eps] = {}
    if statistic is not None:
        formats = [f for f in subject.domain.formats if f in ("float64", "float32")]
        eps = {f: measure.eps(subject, affine.gain, reads, statistic, f) for f in formats}
    found: dict[str, str] = {}
    if statistic is not None and statistic.divisor == "n - 1":
        found["variance"] = "unbiased"
    if any(one.place == "outside" for one in eps.values()):
        found["eps-place"] = "outside"
    if affine.weight == "1+w":
        found["weight"] = "1+w"
    domain = subject.domain
    if domain.eps is not None and eps:
        fixed = {f: 0.0 if np.isnan(one.value) else one.value for f, one in eps.items()}
        domain = replace(domain, eps=fixed.get("float32", domain.eps), eps64=fixed.get("float64"))
    under = replace(subject, contract=contract(found), domain=domain)
    return Seen(under, affine, sharing, shape, eps, _distance(under))


def _distance(subject: Subject) -> float:
    """Of outputs from the reference, relative, the larger of two scales: of one, and of the root of eps."""
    format = measure.usual_format(subject)
    case = small(subject.normalizer, measure.drawn(subject, format))
    scales = (1.0, 2.0 * float(np.sqrt(case.eps))) if case.eps else (1.0,)
    cases = [case.but(x=case.format.round(case.x * scale), dy=None) for scale in scales]
    return max(
        measure.relative(subject.call(one, False).y, evaluate(subject.normalizer, one, subject.contract).y)
        for one in cases
    )


def _nearest(seen: Seen) -> tuple[tuple[str, float], ...]:
    """Every entry's reference on one input, against what came out at weight one and bias zero."""
    subject = seen.subject
    case = measure.plain(subject, measure.usual_format(subject))
    xh = subject.call(case, False).y / seen.affine.gain
    bare = case.but(weight=None, bias=None, part=0.25)
    out = {}
    for kind, normalizer in catalog.ALL.items():
        grouped = normalizer.sets.layout == "channels" and case.x.shape[1] % 2 == 0 and case.groups == 1
        here = bare.but(groups=2) if grouped and "unit" in normalizer.sets.members else bare
        try:
            out[kind] = measure.relative(xh, evaluate(normalizer, here, subject.contract).xh)
        except (ValueError, IndexError):  # its layout has no meaning for this shape
            continue
    if seen.is_kind:
        out[subject.normalizer.name] = seen.distance
    return tuple(sorted(
        ((k, d) for k, d in out.items() if np.isfinite(d)),
        key=lambda pair: (round(pair[1] / measure.PLAIN), pair[0] != subject.normalizer.name),
    ))  # fmt: skip


def _alone(seen: Seen, thing: Any) -> Subject | None:
    """The callable bound without eps and momentum, so that it takes its defaults."""
    shorter = without(thing, "eps", "momentum")
    if shorter is None:
        return None
    try:
        found = bound(
            Implementation(seen.subject.normalizer.name, shorter, words(seen.subject.contract)), seen.subject.normalizer
        )
        return replace(found, normalizer=seen.subject.normalizer)
    except (UsageError, CallError, ValueError):
        return None


def _own_eps(seen: Seen, alone: Subject | None) -> tuple[dict[str, float], str, str]:
    """The value by format, its place, and what an argument does."""
    statistic = seen.shape.statistic
    if statistic is None or not seen.eps:
        return {}, measure.UNKNOWN, "none"
    passed = seen.subject.domain.eps is None and seen.subject.normalizer.eps is not None
    place = next(iter(seen.eps.values())).place
    own = dict(seen.eps)
    if passed:
        taken = measure.drawn(seen.subject, measure.usual_format(seen.subject)).eps
        obeyed = all(abs(one.value - taken) < 1e-3 * taken for one in own.values())
        own = {}
        if alone is not None:
            own = {f: measure.eps(alone, seen.affine.gain, seen.reads, statistic, f) for f in seen.eps}
        return {f: one.value for f, one in own.items()}, place, "obeyed" if obeyed else "without effect"
    return {f: one.value for f, one in own.items()}, place, "none"


def _card(seen: Seen, alone: Subject | None, name: str) -> IdentityReport:
    """What the forward tells, whatever it is."""
    subject, shape = seen.subject, seen.shape
    centered = next((yes for value, yes in ((1.0, True), (0.0, False)) if abs(shape.mean - value) < 1e-3), None)
    statistic = shape.statistic
    eps, place, argument = _own_eps(seen, alone)
    scaled = statistic.name if statistic else measure.UNKNOWN if shape.line else "not one scale for each set"
    found = seen.is_kind
    return IdentityReport(
        target=name, kind=subject.normalizer.name if found else "", bound_as=subject.normalizer.name,
        title=subject.normalizer.title if found else "", distance=seen.distance, nearest=_nearest(seen),
        contract=words(subject.contract), sharing=seen.sharing, affine=seen.affine, centered=centered,
        scaled_by=scaled, divisor=statistic.divisor if statistic else "", eps_place=place, eps=eps,
        eps_argument=argument, gradient=None, running=None, momentum=None, half={}, largest_offset=None,
        row=_row(seen, centered), row_measured=UNDETERMINED,
    )  # fmt: skip


def _row(seen: Seen, centered: bool | None) -> dict[str, str]:
    """Table 1 by structure, if what was measured is a mean and a root, or either alone, over whole axes."""
    statistic = seen.shape.statistic
    known = statistic is not None and (statistic.homogeneous or statistic is measure.NOTHING)
    if not known or centered is None or not (seen.sharing.whole or seen.is_kind):
        return dict(UNDETERMINED)
    scaled = statistic is not measure.NOTHING
    derived = transforms.derived_row(replace(seen.subject.normalizer, centered=centered, scaled=scaled))
    return {c: measured.INVARIANT if derived[c] else measured.NOT_INVARIANT for c in COLUMN_NAMES}


DRAWS = 4
"""Networks on which a column of Table 1 is measured."""


def _measured_row(subject: Subject) -> dict[str, str]:
    """The six columns on a few networks, with an eps that counts for nothing where it can be chosen."""
    free = subject.domain.eps is None and not subject.domain.least_eps
    metrics = []
    for check in TABLE:
        rng = random.Random(check.name)  # noqa: S311  # chooses cases
        for i in range(DRAWS):
            pick = rng.choice if i else (lambda options: options[0])
            case = check.space.recipe(subject.normalizer, check.space.sample(subject, pick))
            metrics.append(check.ask(subject, case.but(eps=case.eps * NEGLIGIBLE) if free else case).metrics)
    return measured.measured_row(merge(metrics))


def _known(card: IdentityReport, seen: Seen, alone: Subject | None, thing: Any) -> IdentityReport:
    """The card of an entry of the catalog: the forward, and all that is asked against its reference."""
    found = dict(card.contract)
    kept = reference_fit.running(seen.subject)
    momentum = None
    if kept is not None:
        found |= {"momentum": kept.momentum} if kept.momentum in ("new", "old") else {}
        found |= {"running-variance": kept.variance} if kept.variance != measure.UNKNOWN else {}
        own = reference_fit.running(alone) if alone is not None else kept
        if own is not None and np.isfinite(own.new_weight):
            momentum = measure.rounded(1.0 - own.new_weight if kept.momentum == "old" else own.new_weight)
    passes = reference_fit.passes_through(seen.subject)
    found |= {"gradient": passes.mode} if passes.mode in GRADIENTS else {}
    subject = replace(seen.subject, contract=contract(found))
    found |= _formats(subject)
    subject = replace(subject, contract=contract(found), domain=narrowed(subject.domain, contract(found)))
    subject = replace(subject, contract=contract(found | _accuracy(subject) | _declared_eps(subject, thing, found)))
    half = {f: reference_fit.half(subject, f) for f in subject.domain.formats if FORMATS[f].narrow}
    return replace(
        card, contract=words(subject.contract), gradient=passes, running=kept, momentum=momentum, half=half,
        largest_offset=reference_fit.largest_offset(subject), row_measured=_measured_row(subject),
    )  # fmt: skip


def _formats(subject: Subject) -> dict[str, str]:
    """The formats to declare, where float64 is taken and computed in a narrower one."""
    formats = subject.domain.formats
    if {"float64", "float32"} <= set(formats) and reference_fit.accuracy(subject, "float64", offset=1.0) == "none":
        return {"formats": ",".join(f for f in formats if f != "float64")}
    return {}


def _accuracy(subject: Subject) -> dict[str, str]:
    """The class to declare, where one is needed beyond what is demanded of that kind by default."""
    for format, offset in (("float32", 1e3), ("bfloat16", 10.0), ("float16", 10.0)):
        if format in subject.domain.formats:
            case = measure.plain(subject, format)
            reached = reference_fit.accuracy(subject, format, offset=offset)
            if reached not in ("none", "sound", demanded(subject, case).name):
                return {"accuracy": reached}
    return {}


def _declared_eps(subject: Subject, thing: Any, found: Mapping[str, str]) -> dict[str, str]:
    """The eps to declare, where it is fixed and binding does not find it by itself."""
    eps = subject.domain.eps
    if not eps:
        return {}
    again = bound(Implementation(subject.normalizer.name, thing, found), subject.normalizer).domain.eps
    return {} if again is not None and abs(again - eps) < 1e-3 * eps else {"eps": repr(eps)}
