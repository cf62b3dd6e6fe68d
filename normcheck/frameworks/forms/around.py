"""What forms make of the calls of a target, applied to its attempts and to its layers over several calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from normcheck.frameworks.forms.form import Around, FormedClaim, Start
from normcheck.frameworks.probe import Attempt


def surrounded(attempts: Sequence[Attempt], some: Sequence[Around], claim: FormedClaim) -> list[Attempt]:
    """The attempts with their calls in all of these forms."""
    out = list(attempts)
    for around in some:
        out = [
            replace(
                one,
                call=around.call(one.call, claim),
                trial=around.trial(one.trial, claim),
                offer=one.offer if around.layouts else replace(one.offer, layouts=()),
            )
            for one in out
        ]
    return out


def started(start: Start, some: Sequence[Around], claim: FormedClaim) -> Start:
    """The start of a layer in all of these forms."""
    for around in some:
        start = around.start(start, claim)
    return start
