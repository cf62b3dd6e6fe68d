"""The laws of what code of a form returns beside the plain normalizer's output; nothing unless a form is declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.compare import differ
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import FORMATS
from normcheck.core.result import CheckWarning, Comparison, worst
from normcheck.normalizers import forms, rotary
from normcheck.normalizers.activations import AFTER
from normcheck.normalizers.bounds import forms as bounds
from normcheck.normalizers.bounds.contracted import backward_bound, demanded, forward_bound
from normcheck.normalizers.bounds.exactness import NOTHING, rounded_once
from normcheck.normalizers.checks.within_bounds import gradients_within, output_within, resolved, truth_of
from normcheck.normalizers.reference import forms as reference
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.subject import Subject

NO_ENTRIES = CheckWarning(
    "empty",
    "a case of nothing but padding gives NaN or infinity, which reach every sum that includes it: divide by "
    "max(count, 1)",
    "empty=refused",
)
"""The warning of statistics over no entries: 0 / 0."""

EMPTY = {forms.BESIDE_PADDING: "a case of nothing but padding", forms.BESIDE_EMPTY: "an empty sequence"}
"""What may be refused, by the way to call."""

OUTPUTS = {
    forms.OTHER: "the new residual is input + residual, rounded once",
    forms.WITH_BRANCH_BIAS: "the new residual is input + branch bias + residual",
    forms.BY_BRANCH_BIAS: "y = norm(input + branch bias + residual)",
    forms.BY_GATE: "y = norm(x) silu(gate)",
    forms.BY_KEY: "k' is the norm of k",
    forms.BESIDE_PADDING: "a case of nothing but padding changes no other case, and its output is finite",
    forms.BESIDE_EMPTY: "an empty sequence changes no other sequence",
    **dict.fromkeys(rotary.ROTATED.values(), "y is the norm of x, rotated by its position"),
    **dict.fromkeys(rotary.ROTATED_KEYS.values(), "k' is the norm of k, rotated by its position"),
    **{use: f"y = {name}(norm(x))" for name, use in AFTER.items()},
}
"""The laws of outputs, by the way to call."""

GRADIENTS = {
    forms.OTHER: "the gradient through the new residual is its cotangent",
    forms.BY_RESIDUAL: "the gradient of the residual is that of the input",
    forms.OF_BOTH: "through both outputs, the gradient of the residual is dx + the cotangent of the new residual",
    forms.WITH_BRANCH_BIAS: "the gradient of the branch bias is the sum over cases of the new residual's cotangent",
    forms.BY_BRANCH_BIAS: "the gradient of the branch bias is the sum over cases of that of the input",
    forms.BY_GATE: "the gradient of the gate is dy norm(x) silu'(gate)",
    forms.BY_GATE_FIRST: "the gradient of the gate is x silu'(gate) times that of x silu(gate)",
    forms.BY_PADDING: "the gradient of padding is zero",
    forms.BESIDE_PADDING: "a case of nothing but padding changes no gradient",
    forms.BESIDE_EMPTY: "an empty sequence changes no gradient",
    forms.BY_KEY: "the gradient of k is that of its norm",
    **dict.fromkeys(rotary.ROTATED.values(), "dx is the gradient through the norm and its rotation"),
    **dict.fromkeys(rotary.ROTATED_KEYS.values(), "the gradient of k is that through its norm and its rotation"),
    **{use: f"dx is the gradient through {name}(norm(x))" for name, use in AFTER.items()},
}
"""The laws of gradients, by the way to call. What the plain call returns is checked by all other checks."""


def outputs(subject: Subject, truth: Truth) -> Iterator[Comparison]:
    """The outputs in the further ways to call, for a plain case in training."""
    case = truth.case
    for use in _offered(subject, OUTPUTS):
        if use in EMPTY:
            yield from _beside_nothing(subject, truth, use, gradient=False)
            continue
        answer = subject.call(case.but(use=use, dy=None), False)
        expected = reference.output(use, truth.y, case)
        if use in forms.SUMS:  # some keep the residual in a wider format than the input
            yield differ(OUTPUTS[use], answer.y, FORMATS[answer.format].round(expected), NOTHING)
            continue
        allowed = bounds.output(use, truth.y, forward_bound(subject, truth), case, subject.contract.form)
        mask = reference.compared(use, resolved(truth, demanded(subject, case)))
        yield differ(OUTPUTS[use], answer.y, expected, allowed, mask, rounding=rounded_once(case, expected))


def gradients(subject: Subject, truth: Truth) -> Iterator[Comparison]:
    """The gradients in the further ways to call, for a plain case in training."""
    case = truth.case
    for use in _offered(subject, GRADIENTS):
        if use in EMPTY:
            yield from _beside_nothing(subject, truth, use, gradient=True)
            continue
        found = subject.call(case.but(use=use), True).dx
        dx = np.zeros(case.x.shape) if found is None else found  # what has no gradient is trained as if that were 0
        plain = truth_of(subject, reference.pulled(use, truth.y, case))
        assert plain.dx is not None
        expected = reference.input_gradient(use, truth.y, plain.dx, case)
        both = forward_bound(subject, plain), backward_bound(subject, plain)
        allowed = bounds.input_gradient(use, plain, both, case)
        mask = reference.compared(use, resolved(truth, demanded(subject, case, backward=True)))
        yield differ(GRADIENTS[use], dx, expected, allowed, mask, rounding=rounded_once(case, expected))


def _beside_nothing(subject: Subject, truth: Truth, use: str, *, gradient: bool) -> Iterator[Comparison]:
    """What a case of nothing but padding, or a sequence without tokens, changes.

    No framework promises anything of padding alone: that it is not finite is a warning, if not declared. An empty
    sequence has no output, and may change none.
    """
    case = truth.case
    law = (GRADIENTS if gradient else OUTPUTS)[use]
    if subject.contract.empty == "refused":
        return
    try:
        answer = subject.call(case.but(use=use) if gradient else case.but(use=use, dy=None), gradient)
    except CallError as error:
        if IN_BACKWARD in error.reason:
            raise
        yield Comparison(law, 0, 0.0, refused={EMPTY[use]: error.reason})
        return
    within = (
        gradients_within(subject, truth, answer, use) if gradient else (output_within(subject, truth, answer.y, use),)
    )
    found = replace(worst(*within), law=law)
    arrays = (answer.y, answer.dx, answer.dweight, answer.dbias)
    meant = subject.contract.empty == "accepted" or use == forms.BESIDE_EMPTY
    if found.holds or meant or all(a is None or np.isfinite(a).all() for a in arrays):
        yield found
    else:
        yield Comparison(law, found.compared, 0.0, warnings=(NO_ENTRIES,))


def _offered(subject: Subject, laws: dict[str, str]) -> list[str]:
    return [use for use in laws if use in subject.domain.uses]
