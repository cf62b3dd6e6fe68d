"""The command `normcheck adapt`: a wrapper for a target that cannot be called as it is."""

from __future__ import annotations

from normcheck import families
from normcheck.core.errors import UsageError, suggest
from normcheck.frameworks.adapter import KINDS, wrapper


def adapted(target: str, kind: str) -> str:
    """The text of a wrapper, ready for a file of one's own; kind: empty to find out the likeliest.

    Raises `UsageError` for an unknown kind, one whose targets have no wrappers, and a target that cannot be loaded.
    """
    if kind:
        families.get(kind)
        if kind not in KINDS:
            raise UsageError(f"a {kind} has no wrapper; {suggest(kind, KINDS)}")
    return wrapper(target, [kind] if kind else KINDS)
