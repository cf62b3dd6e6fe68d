"""What an unknown callable is: the entry of the catalog that it computes, and every convention that it follows.

It is bound as each kind whose arguments it takes. Which entries share a statistic, what is subtracted and what divides
are measured; a kind is accepted if the outputs depend on the inputs as in its sets, and if its reference, under the
conventions found, reproduces the outputs. Only then are gradient, state and accuracy measured.
"""

from __future__ import annotations

import math
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
from normcheck.core.floats import FLOAT32, FLOAT64, FORMATS
from normcheck.core.foreign_code import quiet
from normcheck.core.result import merge
from normcheck.core.spec import COLUMN_NAMES
from normcheck.frameworks import own_shapes, registry
from normcheck.frameworks.binder import subject as bound
from normcheck.frameworks.fixed_eps import FLOORS
from normcheck.frameworks.load import load
from normcheck.identify import declared, measure, reference_fit
from normcheck.identify.eps_place import eps_place
from normcheck.identify.identity_report import IdentityReport
from normcheck.identify.without_optional_arguments import without
from normcheck.normalizers import catalog, transforms
from normcheck.normalizers.checks.invariance import NEGLIGIBLE, TABLE
from normcheck.normalizers.normalizer import Normalizer, Sets
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import narrowed
from normcheck.normalizers.subject import Subject

UNDETERMINED = dict.fromkeys(COLUMN_NAMES, measured.UNDETERMINED)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was measured of the forward pass of a callable bound as one kind.

    distance: of the outputs from the reference under the conventions found, relative.
    """

    subject: Subject
    affine: measure.Affine
    sharing: measure.Sharing
    shape: measure.Shape
    eps: Mapping[str, measure.Eps]  # by format, at the value passed if it is an argument
    distance: float

    @property
    def is_kind(self) -> bool:
        """Whether it computes what the kind that it is bound as computes."""
        return self.sharing.fits and self.distance < measure.PLAIN

    @property
    def reads(self) -> int:
        """Members of a set that its statistic reads."""
        return self.sharing.reads or self.sharing.members

    def strangeness(self) -> tuple[bool, bool, bool, bool, float]:
        """A key to sort by: the less was recognized, the larger."""
        ignored, statistic = self.affine.weight == "ignored", self.shape.statistic
        other = self.subject.normalizer.scaled == (statistic is measure.NOTHING)
        return statistic is None, other, ignored, not self.sharing.fits, self.distance


def identify(target: Any) -> IdentityReport:
    """What a target computes: "package.module:attribute", "path/to/file.py:attribute", or the object itself.

    Raises `UsageError` if it cannot be loaded, or cannot be called as any kind.
    """
    started = time.perf_counter()
    name = Implementation("", target).name
    with quiet():
        loaded = load(target) if isinstance(target, str) else target
        registry.get(registry.candidates(loaded)[0])  # imported now, so that its settings hold for every call
        with registry.settings():
            seen = best(target, name)
            defaults = _with_own_defaults(seen, loaded)
            report = _report(seen, defaults, name)
            report = _with_reference_fit(report, seen, defaults, loaded) if seen.is_kind else report
    return replace(report, seconds=time.perf_counter() - started)


def claimed(target: str) -> str:
    """The kind that a target has as its name and whose sets its statistics are over; empty if it claims none.

    What computes no kind, and is named as one whose sets it has, is no other normalizer: it is that one, and wrong. A
    name within a longer one is no claim.
    """
    plain = target.rpartition(":")[2].rpartition(".")[2].replace("_", "").lower()
    for normalizer in catalog.ALL.values():
        if normalizer.name.replace("_", "") == plain:
            try:
                with quiet(), registry.settings():
                    fits = measure.sharing(bound(Implementation(normalizer.name, target), normalizer)).fits
            except (UsageError, CallError, ValueError):
                return ""
            return normalizer.name if fits else ""
    return ""


def _order() -> Iterable[Normalizer]:
    """Normalizers of weights first: such a kernel may read its parameter without checking its size."""
    return sorted(catalog.ALL.values(), key=lambda n: n.acts_on != "weight")


def best(target: Any, name: str) -> Seen:
    """The first kind that fits; if none does, of the kinds as which it can be called the one that explains most."""
    tried: list[Seen] = []
    refused: dict[str, str] = {}
    for normalizer in _order():
        try:
            seen = forward_pass(bound(Implementation(normalizer.name, target), normalizer))
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
    """The subject with the sets that were measured, if they differ from those of the kind that it is bound as."""
    if sharing.fits or not sharing.whole or not sharing.axes:
        return subject
    normalizer = subject.normalizer
    sets = Sets(normalizer.sets.layout, frozenset(sharing.axes))
    return replace(subject, normalizer=replace(normalizer, sets=sets, partial=False))


def forward_pass(subject: Subject) -> Seen:
    """The forward pass, measured; its subject has the contract and the sets that were found."""
    measure.check_deterministic(subject)
    affine, sharing = measure.affine(subject), measure.sharing(subject)
    subject = _over(subject, sharing)
    reads = sharing.reads or sharing.members
    shape = measure.shape(subject, affine.gain, reads)
    statistic = shape.statistic
    eps: dict[str, measure.Eps] = {}
    if statistic is not None:
        formats = [f for f in subject.domain.formats if f in (FLOAT64.name, FLOAT32.name)]
        eps = {f: measure.eps(subject, affine.gain, reads, statistic, f) for f in formats}
    found: dict[str, str] = {}
    if statistic is not None and statistic.divisor == "n - 1":
        found["variance"] = "unbiased"
    found |= eps_place(subject, reads, eps)
    if affine.weight == "1+w":
        found["weight"] = "1+w"
    domain = subject.domain
    if domain.eps is not None and eps and found.get("eps-place") not in FLOORS:
        fixed = {f: 0.0 if np.isnan(one.value) else one.value for f, one in eps.items()}
        domain = replace(domain, eps=fixed.get(FLOAT32.name, domain.eps), eps64=fixed.get(FLOAT64.name))
    under = replace(subject, contract=contract(found), domain=domain)
    return Seen(under, affine, sharing, shape, eps, distance(under))


def distance(subject: Subject) -> float:
    """The relative distance of the outputs from the reference: the larger of two, at scale 1 and at the root of eps."""
    format = measure.usual_format(subject)
    case = small(subject.normalizer, measure.drawn(subject, format))
    scales = (1.0, 2.0 * float(np.sqrt(case.eps))) if case.eps else (1.0,)
    cases = [case.but(x=case.format.round(case.x * scale), dy=None) for scale in scales]
    return max(
        measure.relative(subject.call(one, False).y, evaluate(subject.normalizer, one, subject.contract).y)
        for one in cases
    )


def _nearest(seen: Seen) -> tuple[tuple[str, float], ...]:
    """The relative distance of every entry's reference from the output at weight 1 and bias 0, the nearest first."""
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


def _with_own_defaults(seen: Seen, loaded: Any) -> Subject | None:
    """The callable bound without eps and momentum, so that its defaults apply; None if it has neither."""
    shorter = without(loaded, "eps", "momentum")
    if shorter is None:
        return None
    try:
        found = bound(
            Implementation(seen.subject.normalizer.name, shorter, words(seen.subject.contract)), seen.subject.normalizer
        )
        return replace(found, normalizer=seen.subject.normalizer)
    except (UsageError, CallError, ValueError):
        return None


def _eps(seen: Seen, defaults: Subject | None) -> tuple[dict[str, float], str, str]:
    """The value by format where no argument is given, its place, and whether an argument is obeyed."""
    statistic = seen.shape.statistic
    if statistic is None or not seen.eps:
        return {}, measure.UNKNOWN, "none"
    passed = seen.subject.domain.eps is None and seen.subject.normalizer.eps is not None
    place = next(iter(seen.eps.values())).place
    if not passed:
        return {f: one.value for f, one in seen.eps.items()}, place, "none"
    taken = measure.drawn(seen.subject, measure.usual_format(seen.subject)).eps
    taken /= math.sqrt(seen.reads) if seen.subject.contract.eps_place == "floor" else 1.0  # under the length of a set
    obeyed = all(abs(one.value - taken) < 1e-3 * taken for one in seen.eps.values())
    own: dict[str, float] = {}
    if defaults is not None:
        own = {f: measure.eps(defaults, seen.affine.gain, seen.reads, statistic, f).value for f in seen.eps}
    return own, place, "obeyed" if obeyed else "without effect"


def _report(seen: Seen, defaults: Subject | None, name: str) -> IdentityReport:
    """The report of the forward pass, of a known kind or not. defaults: the callable bound without eps and momentum."""
    subject, shape = seen.subject, seen.shape
    centered = next((yes for value, yes in ((1.0, True), (0.0, False)) if abs(shape.mean - value) < 1e-3), None)
    statistic = shape.statistic
    eps, place, argument = _eps(seen, defaults)
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
    """The row of Table 1 derived from what was measured, if that is a mean, a root or both over whole axes."""
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
    """The six columns measured on a few networks, with a negligible eps where it can be chosen."""
    free = subject.domain.eps is None and not subject.domain.least_eps
    metrics = []
    for check in TABLE:
        rng = random.Random(check.name)  # noqa: S311  # chooses cases
        for i in range(DRAWS):
            pick = rng.choice if i else (lambda options: options[0])
            case = check.space.recipe(subject.normalizer, check.space.sample(subject, pick))
            metrics.append(check.ask(subject, case.but(eps=case.eps * NEGLIGIBLE) if free else case).metrics)
    return measured.measured_row(merge(metrics))


def _with_reference_fit(report: IdentityReport, seen: Seen, defaults: Subject | None, loaded: Any) -> IdentityReport:
    """The report of an entry of the catalog: with what is measured against its reference."""
    found = {**report.contract, **declared.shapes(seen.subject)}
    seen = replace(seen, subject=replace(seen.subject, domain=own_shapes.restricted(seen.subject)))
    kept = reference_fit.running(seen.subject)
    momentum = None
    if kept is not None:
        found |= {"momentum": kept.momentum} if kept.momentum in ("new", "old") else {}
        found |= {"running-variance": kept.variance} if kept.variance != measure.UNKNOWN else {}
        own = reference_fit.running(defaults) if defaults is not None else kept
        if own is not None and np.isfinite(own.new_weight):
            momentum = measure.rounded(1.0 - own.new_weight if kept.momentum == "old" else own.new_weight)
    passes = reference_fit.passes_through(seen.subject)
    found |= {"gradient": passes.mode} if passes.mode in GRADIENTS else {}
    subject = replace(seen.subject, contract=contract(found))
    found |= {"eps-format": FLOAT32.name} if reference_fit.eps_format(subject) == FLOAT32.name else {}
    subject = replace(subject, contract=contract(found))
    found |= declared.initial(subject) | declared.formats(subject)
    subject = replace(subject, contract=contract(found), domain=narrowed(subject.domain, contract(found)))
    more = declared.accuracy(subject) | declared.eps(subject, loaded, found)
    subject = replace(subject, contract=contract(found | more))
    half = {f: reference_fit.half(subject, f) for f in subject.domain.formats if FORMATS[f].narrow}
    return replace(
        report, contract=words(subject.contract), gradient=passes, running=kept, momentum=momentum, half=half,
        largest_offset=reference_fit.largest_offset(subject), row_measured=_measured_row(subject),
    )  # fmt: skip
