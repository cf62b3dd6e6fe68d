"""The contract that a bound implementation follows, measured from its outputs and gradients.

A contract is accepted only if the reference under it reproduces what was returned; else the promised one stays.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.contract import CHOICES, GRADIENTS, Contract
from normcheck.core.errors import NormcheckError
from normcheck.core.foreign_code import quiet
from normcheck.identify import measure, reference_fit
from normcheck.identify.identify import distance, forward_pass
from normcheck.normalizers.checks import batch_invariance
from normcheck.normalizers.composition import COMPOSITION
from normcheck.normalizers.reference.cast_order import AFTER, BEFORE
from normcheck.normalizers.subject import Subject


def observed(subject: Subject) -> Contract:
    """The contract that an implementation follows, in the conventions that can be measured."""
    with quiet():
        try:
            found = _with_state(_with_gradient(_with_eps_format(_with_forward(subject))))
            return _with_batch(_with_bits(_with_cast(found))).contract
        except (NormcheckError, ArithmeticError, LookupError, ValueError, np.linalg.LinAlgError):
            return subject.contract  # something else is wrong with it, which its checks report


def _with_forward(subject: Subject) -> Subject:
    """With the divisor of the variance, the place of eps and the form of the weight that the output shows."""
    if not subject.domain.training or distance(subject) < measure.PLAIN:
        return subject
    found = forward_pass(subject).subject.contract
    own = replace(subject.contract, variance=found.variance, eps_place=found.eps_place, weight=found.weight)
    other = replace(subject, contract=own)
    return other if distance(other) < measure.PLAIN else subject


def _with_eps_format(subject: Subject) -> Subject:
    """With eps in float32 or in the format of the computation, where float64 shows which it is and it is not claimed.

    Without a demand that eps has the format of the computation is no difference.
    """
    found, claimed = reference_fit.eps_format(subject), subject.contract.eps_format
    if not found or (found, claimed) == ("own", "default"):
        return subject
    return replace(subject, contract=replace(subject.contract, eps_format=found))


def _with_gradient(subject: Subject) -> Subject:
    """With the statistics that the gradient passes through, where the output is right."""
    if not (subject.domain.training and subject.domain.gradient) or distance(subject) >= measure.PLAIN:
        return subject
    mode = reference_fit.passes_through(subject).mode
    return replace(subject, contract=replace(subject.contract, gradient=mode)) if mode in GRADIENTS else subject


def _with_cast(subject: Subject) -> Subject:
    """With the order of cast and weight, where one is declared and the bits show the other."""
    if subject.contract.cast not in (BEFORE, AFTER):
        return subject
    found = reference_fit.cast_order(subject)
    return replace(subject, contract=replace(subject.contract, cast=found)) if found else subject


def _with_bits(subject: Subject) -> Subject:
    """Without the claim of a composition's bits, where a format shows others though the output is right."""
    equal = subject.contract.exact_to != COMPOSITION or reference_fit.has_bits(subject)
    return subject if equal else replace(subject, contract=replace(subject.contract, exact_to="bound"))


def _with_batch(subject: Subject) -> Subject:
    """With the claim of bits that hold: on any threads and in any run, in every batch, or none."""
    (check,) = batch_invariance.CHECKS
    if subject.contract.batch_invariant == "any" or not check.concerns(subject.normalizer) or check.lacks(subject):
        return subject
    case = check.space.recipe(subject.normalizer, next(check.space.explicit_examples(subject)))
    levels = CHOICES["batch-invariant"]  # the most demanding one last
    for level in levels[levels.index(subject.contract.batch_invariant) : 0 : -1]:
        subject = replace(subject, contract=replace(subject.contract, batch_invariant=level))
        if batch_invariance.batch_invariance(subject, case).holds:
            return subject
    return replace(subject, contract=replace(subject.contract, batch_invariant="any"))


def _with_state(subject: Subject) -> Subject:
    """With the momentum and the divisor of the stored variance, where they show."""
    if not (subject.domain.training and subject.domain.state):
        return subject
    kept = reference_fit.running(subject)
    contract = subject.contract
    if kept is not None and kept.momentum in ("new", "old"):
        contract = replace(contract, momentum=kept.momentum)
    if kept is not None and kept.variance != measure.UNKNOWN:
        contract = replace(contract, running_variance=kept.variance)
    return replace(subject, contract=contract)
