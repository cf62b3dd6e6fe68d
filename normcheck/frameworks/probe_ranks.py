"""The ranks of input that an implementation accepts, found by calling it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from normcheck.frameworks.guard import failure
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.fit import ranks
from normcheck.normalizers.sampling.recipes import Draw, values
from normcheck.normalizers.subject import Call


def accepted_ranks(normalizer: Normalizer, call: Call, trial: Call, base: Draw, absent: dict[str, str]) -> list[int]:
    """The ranks of input that the implementation accepts, where no two axes have the same size too.

    Code for one rank takes another where sizes that are alike, or 1, let it broadcast to something else.
    """
    reasons: dict[int, str] = {}
    apart = (
        {}
        if base.fixed is not None
        else {r: values(normalizer, _all_apart(normalizer, base, r)) for r in ranks(normalizer)}
    )
    sized = base.rank in apart and not failure(trial, apart[base.rank])
    for r in ranks(normalizer):
        case = values(normalizer, replace(base, rank=r))
        refused_by = lambda case: failure(trial, case) or _unbatched(normalizer, call, case)
        reasons[r] = "" if r == base.rank else refused_by(case)
        if sized and r != base.rank and not reasons[r]:
            reasons[r] = failure(trial, apart[r])
    refused = sorted(r for r, text in reasons.items() if text)
    if refused:
        absent["inputs of rank " + ", ".join(map(str, refused))] = reasons[refused[0]]
    return [r for r, text in reasons.items() if not text]


def _all_apart(normalizer: Normalizer, base: Draw, rank: int) -> Draw:
    """A draw of that rank whose axes have sizes that differ, and none of size 1."""
    first, *primes = 13, 3, 5, 7, 11, 17
    if normalizer.sets.layout == "trailing":
        return replace(base, rank=rank, n=first, sets=math.prod(primes[: rank - 1]))
    return replace(base, rank=rank, n=math.prod(primes[1:][: max(1, rank - 1)]), sets=3 * first)


def _unbatched(normalizer: Normalizer, call: Call, case: Case) -> str:
    """The reason if an input of a smaller rank is treated as a single case without the batch axis; else empty."""
    if normalizer.sets.layout == "rows" and case.x.ndim == 1 and case.weight is not None:
        one = case.weight * case.x / np.linalg.norm(case.x)
        off, due = (np.abs(call(case, False).y - other).max() for other in (one, evaluate(normalizer, case).y))
        return "takes it for the weight of one unit" if off < 1e-3 < due else ""
    if normalizer.sets.layout != "channels" or "case" in normalizer.sets.members or len(case.x) % case.groups:
        return ""
    if case.weight is not None and len(case.weight) != len(case.x):  # the weight has the size of the axis of units
        return ""
    y = call(case, False).y
    as_batch = evaluate(normalizer, case).y
    as_one = evaluate(normalizer, case.but(x=case.x[None], dy=None)).y[0]
    unlike, like = (float(np.median(np.abs(y - other))) for other in (as_batch, as_one))
    return "takes it for one case without the axis of cases" if like < 1e-3 < unlike else ""
