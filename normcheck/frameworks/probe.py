"""What an implementation accepts, found by calling it on small ordinary inputs.

A capability is removed from the domain only if the implementation raises; a wrong result is left for the checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core import uses
from normcheck.core.contract import Contract
from normcheck.core.errors import RAISED, CallError, NoDerivativeError, UsageError
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from normcheck.core.layouts import NAMES, applies
from normcheck.frameworks import fixed_eps, trained_only
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.fixed_eps import FREE
from normcheck.frameworks.guard import failure
from normcheck.frameworks.probe_eps import least_eps, most_eps
from normcheck.frameworks.probe_ranks import accepted_ranks
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.fit import fit, ranks
from normcheck.normalizers.sampling.recipes import SMALL, WIDTHS, Draw, Sizes, state, values
from normcheck.normalizers.sampling.sizes import hollow, hollows
from normcheck.normalizers.subject import Call, Domain, ScriptLanguage

MODES = ("training", "use_input_stats")
"""The roles of a parameter that tells by which statistics to normalize."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What an implementation supports according to its parameters, before it is called."""

    affine: tuple[str, ...]
    takes_eps: bool
    eps_attribute: float | None = None
    normalized: tuple[int, ...] = (1,)
    dims: tuple[int | None, ...] = (0,)
    state: bool = False
    evaluation: bool = False
    sizes: Sizes | None = None
    layouts: tuple[str, ...] = NAMES[1:]  # of arrays of the framework, except contiguous
    watched: bool = True  # the framework reports what a call changes
    compiles_per_shape: bool = False  # each new shape or format costs a compilation
    uses: tuple[str, ...] = uses.OF_FUNCTIONS  # ways to call it
    own_parameters: bool = True
    modeless: bool = False  # it gets running statistics and neither mode nor momentum: it may always normalize by them
    trained_only: bool = False  # gradients come from a backward function that gets no mode
    spell: Spell | None = None
    language: ScriptLanguage | None = None
    absent: tuple[tuple[str, str], ...] = ()

    def without(self, unsupported: Mapping[str, str]) -> Offer:
        """The offer without some uses, which are absent with their reasons."""
        fewer = tuple((use, unsupported[use]) for use in self.uses if use in unsupported)
        return replace(
            self, uses=tuple(use for use in self.uses if use not in unsupported), absent=(*self.absent, *fewer)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A way to call a target, with what the target supports when called in this way.

    trial: raises for the same cases as the call, at a lower cost, and returns no result.
    """

    call: Call
    offer: Offer
    trial: Call


def _base(normalizer: Normalizer, offer: Offer, rank: int, format: str, affine: str) -> Draw:
    draw = Draw(seed=7, n=8, sets=6, rank=rank, format=format, affine=affine, eps=1e-5)
    return fit(normalizer, draw, offer.sizes)


def discover(normalizer: Normalizer, contract: Contract, attempt: Attempt) -> Domain:
    """The domain of an implementation. Raises the first `CallError` if every ordinary call fails."""
    call, offer, trial = attempt.call, attempt.offer, attempt.trial
    absent = dict(offer.absent)
    formats = [f.name for f in (FLOAT32, FLOAT64, BFLOAT16, FLOAT16) if f.name in contract.served]
    first: CallError | None = None
    base: Draw | None = None
    for format in formats:
        for rank in ranks(normalizer):
            draw = _base(normalizer, offer, rank, format, offer.affine[0])
            try:
                packed = call(values(normalizer, draw), False).packed
            except CallError as error:
                first = first or error
                continue
            if packed:
                raise UsageError(f"returns a {packed}, not its output alone")
            base = draw
            break
        if base is not None:
            break
    if base is None:
        raise first or CallError("none of the formats that the contract claims is known")

    def works(capability: str, **changes: object) -> bool:
        assert base is not None
        reason = failure(trial, values(normalizer, replace(base, **changes)))  # type: ignore[arg-type]
        if reason:
            absent[capability] = reason
        return not reason

    good_ranks = accepted_ranks(normalizer, attempt.call, attempt.trial, base, absent)
    good_formats = [f for f in contract.served if f == base.format or works(f, format=f)]
    affine = [a for a in offer.affine if a == base.affine or works(f"parameters: {a}", affine=a)]
    dims = [d for d in offer.dims if d == base.dim or works(f"dim={d}", dim=d)]
    normalized = [k for k in offer.normalized if k == 1 or works(f"{k} normalized axes", rank=k + 1, normalized=k)]
    known = contract.eps if contract.eps is not None else offer.eps_attribute
    frozen = _frozen(normalizer, call, base, offer)
    eps = FREE if offer.takes_eps else fixed_eps.of(normalizer, contract, call, base, known, good_formats, frozen)
    notes = {"no training mode": "it always normalizes by its running statistics"} if frozen else {}
    if eps.place:
        what = "length" if eps.place == "floor" else "root"
        notes[f"eps-place={eps.place}"] = f"nothing is added; {what}s below {eps.value:g} are taken for {eps.value:g}"
    domain = Domain(
        ranks=tuple(sorted(good_ranks, key=lambda r: r != base.rank)),
        formats=tuple(good_formats),
        refused_formats=tuple(f for f in contract.served if absent.get(f, "").startswith(RAISED)),
        normalized=tuple(normalized),
        affine=tuple(affine),
        dims=tuple(dims),
        sizes=offer.sizes,
        layouts=_layouts(normalizer, trial, base, good_ranks, offer, absent) if offer.layouts else (),
        own_parameters=offer.own_parameters,
        watched=offer.watched,
        compiles_per_shape=offer.compiles_per_shape,
        uses=offer.uses,
        spell=offer.spell,
        language=offer.language,
        refused=_refused(normalizer, trial, base, offer, absent),
        empty=_empty(normalizer, trial, base, offer, absent),
        eps=eps.value,
        eps64=eps.in_float64,
        eps_measured=eps.measured,
        eps_place=eps.place,
        most_eps=most_eps(normalizer, trial, base, absent) if offer.takes_eps else math.inf,
        least_eps=least_eps(normalizer, trial, base, absent) if offer.takes_eps else 0.0,
        training=not frozen,
        state=offer.state,
        evaluation=offer.evaluation or frozen,
        absent=absent,
        notes=notes,
    )
    return _modes(normalizer, call, base, domain, offer)


def _frozen(normalizer: Normalizer, call: Call, base: Draw, offer: Offer) -> bool:
    """Whether a layer that never updates its running statistics normalizes by them in training too, or a function."""
    if offer.modeless:
        return _follows_statistics(normalizer, call, base)
    if offer.own_parameters or offer.state or not offer.evaluation:
        return False
    try:
        training, evaluation = (call(state(normalizer, base, training=mode), False).y for mode in (True, False))
    except CallError:
        return False
    return bool(np.array_equal(training, evaluation))


def _follows_statistics(normalizer: Normalizer, call: Call, base: Draw) -> bool:
    """Whether the output for the first case depends on the running statistics, and not on the other cases."""
    case = state(normalizer, base, training=False)
    assert case.running_mean is not None
    other = case.x.copy()
    other[1:] *= -2.0
    try:
        y, of_others, of_mean = (
            call(one, False).y for one in (case, case.but(x=other), case.but(running_mean=case.running_mean + 1.0))
        )
    except CallError:
        return False
    return bool(np.array_equal(y[:1], of_others[:1]) and not np.array_equal(y, of_mean))


def _layouts(
    normalizer: Normalizer, call: Call, base: Draw, ranks: list[int], offer: Offer, absent: dict[str, str]
) -> tuple[str, ...]:
    """The layouts of the input that the implementation accepts for every shape to which they apply."""
    cases = [values(normalizer, replace(base, rank=r)) for r in ranks]
    cases.append(values(normalizer, replace(base, sets=1)))
    reasons: dict[str, str] = {}
    for case in cases:
        for name in offer.layouts:
            if applies(case.x.shape, name):
                reasons[name] = reasons.get(name) or failure(call, case.but(layouts={"x": name}))
    refused = [name for name, text in reasons.items() if text]
    if refused:
        absent["layouts" if len(refused) == len(reasons) else f"inputs {', '.join(refused)}"] = reasons[refused[0]]
    return tuple(name for name in offer.layouts if not reasons.get(name))


def _refused(normalizer: Normalizer, call: Call, base: Draw, offer: Offer, absent: dict[str, str]) -> frozenset[int]:
    """The numbers of members of a set for which the implementation raises: they are reported and not tested."""
    if offer.sizes is not None and offer.sizes.units is not None:
        return frozenset()
    widths = sorted(set(WIDTHS) | set(SMALL))
    reasons = {n: failure(call, values(normalizer, replace(base, n=n, sets=4))) for n in widths}
    refused = {n: text for n, text in reasons.items() if text}
    if refused:
        some = ", ".join(map(str, list(refused)[:6])) + (", ..." if len(refused) > 6 else "")
        absent[f"sets of {some}"] = next(iter(refused.values()))
    return frozenset(refused)


def _empty(normalizer: Normalizer, call: Call, base: Draw, offer: Offer, absent: dict[str, str]) -> tuple[str, ...]:
    """The axes of which an input may have size 0, as words: those for which the implementation does not raise."""
    case = values(normalizer, base)
    out = []
    for what, axis in hollows(normalizer, case, fixed=offer.sizes is not None).items():
        reason = failure(call, hollow(case, axis))
        if reason:
            absent[f"inputs without {what}"] = reason
        else:
            out.append(what)
    return tuple(out)


def _modes(normalizer: Normalizer, call: Call, base: Draw, domain: Domain, offer: Offer) -> Domain:
    """The domain with gradients, evaluation mode and updates of running statistics, each tested by one call."""
    modes = () if domain.training else MODES  # they are no options that it lacks
    absent = {what: why for what, why in domain.absent.items() if what not in modes}
    try:
        answer = call(values(normalizer, base), True)
        why = "" if answer.dx is not None else "the output does not require grad"
    except NoDerivativeError as error:
        why = error.reason
    except CallError:  # the forward pass works, so its backward pass fails: a fault to report, not a missing capability
        why = ""
    if why:
        absent.setdefault("gradient", why)  # a framework without gradients says so itself
    evaluation = domain.evaluation
    if evaluation and (failed := failure(call, state(normalizer, base, training=False))):
        absent["evaluation with running statistics"], evaluation = failed, False
    updates = domain.state
    if updates and (failed := failure(call, state(normalizer, base, training=True))):
        absent["running statistics"], updates = failed, False
    trained = (
        trained_only.shown(normalizer, call, state(normalizer, base, training=False))
        if evaluation and not why and offer.trained_only
        else ""
    )
    if trained:
        absent["gradients in evaluation"] = trained
    return replace(
        domain,
        gradient=not why,
        evaluation=evaluation,
        evaluation_gradient=evaluation and not why and not trained,
        state=updates,
        absent=absent,
    )


def offered_affine(roles: Sequence[str], required: Sequence[str], normalizer: Normalizer) -> tuple[str, ...]:
    """The combinations of parameters that can be passed, the most complete first.

    "both" means all parameters of the normalizer: only a bias if its formula has no weight.

    >>> from normcheck.normalizers.catalog import layer_norm, mean_only_batch_norm
    >>> offered_affine(["weight", "bias"], [], layer_norm)
    ('both', 'weight', 'none', 'bias')
    >>> offered_affine(["bias"], [], mean_only_batch_norm)
    ('both', 'none')
    """
    weight, bias = "weight" in roles, "bias" in roles and normalizer.bias
    out = []
    if bias and (weight or not normalizer.weight):
        out.append("both")
    if weight and "bias" not in required:
        out.append("weight")
    if "weight" not in required and "bias" not in required:
        out.append("none")
    if weight and bias and "weight" not in required:
        out.append("bias")
    return tuple(out) or ("none",)
