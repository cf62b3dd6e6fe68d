"""The inputs on which a bound implementation computes its kind, by rank and by number of normalized axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.errors import CallError, UsageError
from normcheck.frameworks.axis import moved_shape
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.input_shapes import with_input_shapes
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.subject import Domain, Subject

NEAR = 1.0 / 16.0
"""Relative difference below which outputs are those of the kind: each format rounds to less, and the statistics of
other entries, in sets of a dozen, differ by more."""

LEFT_OUT = "shapes"
"""Key of the note on the shapes that are left out."""


def declared(subject: Subject, *, moved: bool) -> Domain:
    """The domain as the contract has it: without shapes that are no kind of it, and with the input shapes it names.

    moved: whether the call takes the last axis of a case as axis 1; the contract's shapes are those of the call.
    Raises `UsageError` for an input shape that it cannot take.
    """
    domain = restricted(subject) if subject.contract.shapes == "some" else subject.domain
    placed = moved_shape if moved else tuple
    made = with_input_shapes(subject.normalizer, domain, subject.contract.input_shapes, placed)
    if isinstance(made, str):
        raise UsageError(f"{subject.name}: {made}")
    return made


def restricted(subject: Subject) -> Domain:
    """The domain without ranks and numbers of normalized axes on which it computes something else than its kind.

    The domain as it is where nothing is left of it, which its checks then show.
    """
    domain = subject.domain
    if not domain.training:
        return domain
    own = [pair for pair in _pairs(domain) if _is_kind(subject, *pair)]
    ranks = tuple(r for r in domain.ranks if any(r == rank for rank, _ in own))
    axes = tuple(k for k in domain.normalized if all((r, k) in own for r in ranks if r > k) and ranks)
    if not ranks or not axes or (ranks, axes) == (tuple(domain.ranks), tuple(domain.normalized)):
        return domain
    other = [*(f"rank {r}" for r in domain.ranks if r not in ranks),
             *(f"{k} normalized axes" for k in domain.normalized if k not in axes)]  # fmt: skip
    notes = {**domain.notes, LEFT_OUT: f"inputs of {', '.join(other)} are not checked: it computes something else"}
    return replace(domain, ranks=ranks, normalized=axes, notes=notes)


def _pairs(domain: Domain) -> Iterator[tuple[int, int]]:
    """Ranks with numbers of normalized axes."""
    yield from ((rank, axes) for rank in domain.ranks for axes in domain.normalized if axes < rank or axes == 1)


def _is_kind(subject: Subject, rank: int, axes: int) -> bool:
    domain = subject.domain
    draw = Draw(
        seed=3, n=12, sets=6, rank=rank, normalized=axes, format=domain.formats[0], affine=domain.affine[0],
        eps=max(1e-3 if domain.eps is None else domain.eps, domain.least_eps), dim=domain.dims[0],
    )  # fmt: skip
    case = small(subject.normalizer, fit(subject.normalizer, draw, domain.sizes)).but(dy=None)
    try:
        found = subject.call(case, False).y
    except CallError:
        return True  # an exception says itself what it does not take, and is a finding or a warning
    due = evaluate(subject.normalizer, case, subject.contract).y
    with np.errstate(all="ignore"):
        return bool(found.shape == due.shape and np.linalg.norm(found - due) <= NEAR * np.linalg.norm(due))
