"""The bits of a case in batches of other sizes, in another run, and on more threads, as declared or noted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from normcheck.core import uses
from normcheck.core.check import Check
from normcheck.core.errors import CallError
from normcheck.core.floats import BFLOAT16, FLOAT32, FORMATS, Array
from normcheck.core.result import Comparison
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.sizes import USUAL
from normcheck.normalizers.checks.within_bounds import refused_or_raised
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

BATCH_INVARIANT = "batch-invariant"
"""The key of the contract, and of the note."""

ROWS = (2, 31, 255, 256, 1024, 4096)
"""Cases in a batch: kernels change their blocks, and with them the order of sums, at some of these."""

PROBES = 16
"""Cases that are called alone and in each batch: the first, the last, and between; one in three shows another order."""

KEPT = (FLOAT32, BFLOAT16)
"""Formats in which models are served."""


def not_for(kind: str, declared: str) -> str:
    """The sentence by which the demand is refused for a kind that is not checked in batches of other sizes."""
    return f"batch-invariant={declared}: the bits of a case in other batches are not checked for {kind}"


LAW = "a case has the same bits in every batch, in every run, and on any number of threads"

RUNS, THREADS = "from run to run", "on one thread and on two"
"""Two calls with the same arguments, and two whose work is divided among another number of threads."""

DIVIDED = 768
"""Cases in the batch that is called again: torch divides 32,768 entries or more among threads."""


@dataclass(frozen=True, slots=True)
class Apart:
    """By how many units in the last place an array of a case is apart from that of the case alone, at most.

    rows: of the batch. how: what else differs between the two calls; empty: the batch.
    """

    rows: int
    where: str  # the array and the format
    ulp: int
    error: float
    how: str = ""

    @property
    def noted(self) -> bool:
        """Whether it is never demanded: on other threads gradients are sums in another order, in torch too."""
        return self.how == THREADS and not self.where.startswith("y ")


def batch_invariance(subject: Subject, case: Case) -> Comparison:
    """Compare y and dx of a few cases, each alone, with those of the same cases in batches, at any place.

    Then a batch and all its gradients with those of a second call, and of a call on more threads. Bits are demanded
    under batch-invariant=yes, of gradients not on more threads; in batches alone under batch-invariant=rows; else what
    differs is a note.
    """
    refused: dict[str, str] = {}
    found = [one for format in KEPT if format.name in subject.domain.formats
             for one in _apart(subject, case.but(format=format), refused)]  # fmt: skip
    if FLOAT32.name in subject.domain.formats:  # in a narrower one another order mostly rounds to the same bits
        found += _repeated(subject, case.but(format=FLOAT32), refused)
    apart = [one for one in found if one.ulp]
    note = _words(found, apart)
    broken = [one for one in apart if _demanded(one, subject.contract.batch_invariant)]
    if broken:
        error = max(one.error for one in broken)
        return Comparison(LAW, len(found), math.inf, error, 0.0, detail=note, refused=refused)
    return Comparison(LAW, len(found), 0.0, refused=refused, notes={BATCH_INVARIANT: note} if found else {})


def _demanded(apart: Apart, declared: str) -> bool:
    return declared != "any" and not apart.noted and (declared == "yes" or not apart.how)


def _words(found: Sequence[Apart], apart: Sequence[Apart]) -> str:
    """What has the same bits, then what has not, and by how many units in the last place."""
    wrong = {one.how for one in apart}
    largest = max((one.rows for one in found if not one.how), default=1)
    same = [f"in batches of 1 to {largest:,} cases"] if "" not in wrong else []
    same += [how for how in (RUNS, THREADS) if how not in wrong and any(one.how == how for one in found)]
    parts = [f"bit for bit {', '.join(same)}"] if same and wrong <= {THREADS} else []
    for how in ("", RUNS, THREADS):
        some = [one for one in apart if one.how == how]
        if some:
            most = {one.where: max(other.ulp for other in some if other.where == one.where) for one in some}
            words = ", ".join(f"{where} by {ulp} ulp at most" for where, ulp in most.items())
            parts.append(f"not {how or f'in batches of {min(one.rows for one in some):,} cases or more'}: {words}")
    return "; ".join(parts)


def _answer(subject: Subject, case: Case, refused: dict[str, str]) -> Answer | None:
    """What the implementation returns; None where it raises, or would take too long."""
    gradient = subject.domain.gradient
    try:
        return None if USUAL.exceeded(subject, case, gradient=gradient) else subject.call(case, gradient)
    except CallError as error:
        refused |= refused_or_raised({"x".join(map(str, case.x.shape)): error})
        return None


def _apart(subject: Subject, case: Case, refused: dict[str, str]) -> Iterator[Apart]:
    """For each size of a batch, the largest distance of an array of a case from that of the same case alone."""
    rng = np.random.default_rng((int(case.drawn["seed"]), 12))
    shape, number = case.x.shape[1:], case.format.round
    x, dy = (number(rng.standard_normal((PROBES, *shape)) + 0.5) for _ in range(2))

    def answered(x: Array, dy: Array) -> Answer | None:
        return _answer(subject, _with(subject, case, x, dy), refused)

    alone = [answered(x[i : i + 1], dy[i : i + 1]) for i in range(PROBES)]
    for rows in ROWS:
        places = np.unique(np.linspace(0, rows - 1, PROBES).astype(int))
        many = [number(rng.standard_normal((rows, *shape))) for _ in range(2)]
        for full, probes in zip(many, (x, dy), strict=True):
            full[places] = probes[: len(places)]
        among = answered(*many)
        if among is None:
            continue
        for own, place in zip(alone, places, strict=False):
            for name in () if own is None else ("y", "dx"):
                before, after = getattr(own, name), getattr(among, name)
                if before is not None and after is not None:
                    yield _distance(rows, f"{name} {case.format.name}", after[place], before[0], among.format)


def _repeated(subject: Subject, case: Case, refused: dict[str, str]) -> Iterator[Apart]:
    """The largest distance of each array of a whole batch from that of a second call, and of one on two threads."""
    rng = np.random.default_rng((int(case.drawn["seed"]), 13))
    x, dy = (case.format.round(rng.standard_normal((DIVIDED, *case.x.shape[1:])) + 0.5) for _ in range(2))
    here = _with(subject, case, x, dy)
    one_thread, more = uses.WITHIN if set(uses.WITHIN) <= set(subject.domain.uses) else (uses.PLAIN, "")
    first, again = (_answer(subject, here.but(use=more or one_thread), refused) for _ in range(2))
    pairs = [(RUNS, first, again)]
    pairs += [(THREADS, _answer(subject, here.but(use=one_thread), refused), first)] if more else []
    for how, one, other in pairs:
        if one is None or other is None:
            continue
        for name in ("y", "dx", "dweight", "dbias"):
            before, after = getattr(one, name), getattr(other, name)
            if before is not None and after is not None:
                format = one.format if name == "y" else case.format.name
                yield _distance(len(x), f"{name} {case.format.name}", after, before, format, how)


def _with(subject: Subject, case: Case, x: Array, dy: Array) -> Case:
    """The case with another input, and with parameters that its format can hold."""
    held = {name: case.format.round(value) for name in ("weight", "bias") if (value := getattr(case, name)) is not None}
    return case.but(x=x, dy=dy if subject.domain.gradient else None, **held)


def _distance(rows: int, where: str, after: Array, before: Array, format: str, how: str = "") -> Apart:
    if np.array_equal(after, before):
        return Apart(rows, where, 0, 0.0, how)
    error = float(np.abs(after - before).max(initial=0.0))
    return Apart(rows, where, int(FORMATS[format].steps_apart(after, before).max(initial=0)), error, how)


def _lacks(subject: Subject) -> str:
    return "each shape would be compiled" if subject.domain.compiles_per_shape else ""


CHECKS = (
    Check("batch-invariance", LAW, "vllm-project/vllm#48391", batch_invariance,
          NormalizerSpace(small, formats=(FLOAT32,), widths=(64,), sets=(4,), affine=("both", "weight"), offsets=False,
                          once=True, given_shapes=False),  # batches of 4,096 cases of any width take too much memory
          concerns=lambda normalizer: normalizer.independent, lacks=_lacks, least="default", cost=math.inf),
)  # fmt: skip
