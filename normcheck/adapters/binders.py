"""Who binds the implementations of each family: by the type of the catalog entry that they claim to be."""

from __future__ import annotations

from collections.abc import Callable

from normcheck import catalog
from normcheck.adapters import bind, torch_descent, torch_recurrent, torch_refresh, torch_whitening
from normcheck.adapters.base import Bound
from normcheck.adapters.torch_tensors import one_thread
from normcheck.claim import Implementation
from normcheck.descent.entry import Descent
from normcheck.recurrence.entry import Recurrent
from normcheck.refresh.entry import Refreshed
from normcheck.spec import Normalizer
from normcheck.whitening.entry import Whitening

__all__ = ["one_thread", "subject"]

BINDERS: dict[type, Callable[[Implementation], Bound]] = {
    Normalizer: bind.subject,
    Recurrent: torch_recurrent.subject,
    Descent: torch_descent.subject,
    Whitening: torch_whitening.subject,
    Refreshed: torch_refresh.subject,
}
"""Entry type to binder. A binder raises `UsageError` where a target cannot be loaded, constructed or bound, `CallError`
where it fails on every ordinary input."""


def subject(claim: Implementation) -> Bound:
    """Bind an implementation of any family. Raises what its binder raises."""
    return BINDERS[type(catalog.get(claim.kind))](claim)
