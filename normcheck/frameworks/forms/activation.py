"""The forms relu, gelu, gelu-tanh and silu: y = act(norm(x)), as of a function that normalizes and activates.

The plain normalizer's output is the difference of two calls, act(y) - act(-y) = y (`normalizers.activations`). The
second gets the opposite input, bias and running mean, so that every normalizer returns the opposite output for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.uses import JVP, SECOND
from normcheck.frameworks.forms.form import Around, FormCall, FormedClaim, FormSpec, Start, as_given, as_returned
from normcheck.normalizers.activations import ACTIVATED
from normcheck.normalizers.case import Case
from normcheck.normalizers.forms import PLAIN
from normcheck.normalizers.reference.oracle import evaluate, second, tangent
from normcheck.normalizers.subject import Answer, Call, Life, State

OPPOSITE = ("x", "bias", "running_mean")
"""The arrays of a case whose signs make the sign of the output."""

SIGNS = {"y": -1.0, "dx": 1.0, "dweight": -1.0, "dbias": 1.0, "jv": 1.0, "ddx": -1.0}
"""The sign with which what the second call returns is added: a derivative by an opposite array has one sign more."""


def opposite(case: Case) -> Case:
    """The case for which a normalizer returns the opposite output."""
    return case.but(**{name: -value for name in OPPOSITE if (value := getattr(case, name)) is not None})


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two calls as one of the plain normalizer."""

    claim: FormedClaim
    kink: bool

    def combined(self, case: Case, first: Answer, other: Answer, gradient: bool) -> Answer:
        """What the plain normalizer would have returned, from what was returned for a case and its opposite."""
        added: dict[str, Any] = {name: _added(first, other, name, sign) for name, sign in SIGNS.items()}
        found = replace(first, **added)
        hidden = (first.y == 0.0) & (other.y == 0.0)
        return self._filled(case, found, hidden) if self.kink and gradient and hidden.any() else found

    def _filled(self, case: Case, found: Answer, hidden: Array) -> Answer:
        """The answer with the part of each derivative that passes through entries at a kink, where none is defined.

        It is taken from the reference, so that these entries are not compared.
        """
        if case.dy is None or hidden.shape != case.dy.shape:
            return found
        normalizer, contract = self.claim.normalizer, self.claim.contract
        through = case.but(dy=np.where(hidden, case.dy, 0.0))
        truth = evaluate(normalizer, through, contract)
        parts = {"dx": truth.dx, "dweight": truth.dweight, "dbias": truth.dbias}
        if case.tangent is not None and case.use in (JVP, SECOND):
            parts["jv"] = np.where(hidden, tangent(truth, contract), 0.0)
        if case.tangent is not None and case.use == SECOND:
            parts["ddx"] = second(normalizer, through, contract)
        known = {name: getattr(found, name) for name in parts}
        return replace(found, **{
            name: value if value is None or parts[name] is None else value + parts[name]
            for name, value in known.items()
        })  # fmt: skip


def _added(first: Answer, other: Answer, name: str, sign: float) -> Array | None:
    one, two = getattr(first, name), getattr(other, name)
    with np.errstate(invalid="ignore"):
        return None if one is None or two is None else np.asarray(one + sign * two)


@dataclass(frozen=True, slots=True)
class _PairedLife:
    """Two layers as one: the second gets the opposite of what the first gets."""

    pair: _Pair
    first: Life
    second: Life

    def call(self, case: Case, gradient: bool) -> Answer:
        other = self.second.call(opposite(case), gradient)
        return self.pair.combined(case, self.first.call(case, gradient), other, gradient)

    def do(self, operation: str) -> None:
        self.second.do(operation)
        self.first.do(operation)

    def state(self) -> State:
        return self.first.state()


def form(use: str) -> FormSpec:
    """The form of an activation. use: the way to call in which it is not undone."""
    kink = ACTIVATED[use].kink

    def paired(call: Call, claim: FormedClaim) -> Call:
        pair = _Pair(claim, kink)

        def both(case: Case, gradient: bool) -> Answer:
            first = call(case, gradient)
            return pair.combined(case, first, call(opposite(case), gradient), gradient)

        return both

    def started(start: Start, claim: FormedClaim) -> Start:
        return lambda case: _PairedLife(_Pair(claim, kink), start(case), start(opposite(case)))

    around = Around(call=paired, start=started)
    return FormSpec({}, {PLAIN: FormCall(as_given, as_returned, around), use: FormCall(as_given, as_returned)})
