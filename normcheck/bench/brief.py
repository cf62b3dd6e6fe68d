"""The ratio of one implementation to its baseline from a few short repetitions, for a table of many of them."""

from __future__ import annotations

from typing import Any

from normcheck.bench.baselines import EAGER, FUSED, available_baselines
from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.pairs import Budget, compare
from normcheck.bench.speed import can_be_timed, case_of, within_bounds
from normcheck.bench.timing import RefusedError, SavedCalls, make_arms, validate
from normcheck.bench.torch_device import HOST
from normcheck.bench.traffic import FORWARD
from normcheck.core.errors import CallError
from normcheck.core.foreign_code import quiet

QUESTION = SpeedQuestion(512, 768, FORWARD)
"""One standard size: a batch of the width of a common model, where a call takes longer than its overhead."""

BUDGET = Budget(seconds=1.0, rounds=8, least=5, most=5)
"""Five repetitions are the fewest with an interval that tells something; the interval says what it does not."""


def brief(found: object) -> dict[str, Any]:
    """The time of a bound implementation over that of torch's function, or of its composition where torch has none.

    Keys: baseline, question, and those of `Ratio.record`; or absent, with the reason why it was not timed.
    """
    if not can_be_timed(found):
        return {"absent": "no baseline of its family"}
    try:
        with quiet():
            case = case_of(found, QUESTION)
            others, reasons = available_baselines(found, case, (FUSED, EAGER))
            if not others:
                return {"absent": "; ".join(reasons.values())}
            name = next(iter(others))
            subjects = [found, others[name], others[name]]
            kept = [SavedCalls(2), SavedCalls(0), SavedCalls(0)]
            made = make_arms(subjects, case, QUESTION, HOST, kept)
            measured = compare(made, None, BUDGET, HOST.clock)
            validate(kept[0], found, case, lambda of, answer: within_bounds(found, of, answer))
    except (CallError, RefusedError) as error:
        return {"absent": str(error)}
    return {"baseline": name, "question": str(QUESTION), **measured.ratio.record()}
