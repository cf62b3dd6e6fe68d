"""The baselines of a timing: torch's fused function, an eager composition of the normalizer, the same compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from normcheck.bench import torch_compositions
from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, UsageError, suggest
from normcheck.core.foreign_code import first_line, quiet
from normcheck.frameworks.binder import subject
from normcheck.frameworks.torch_functions import FUNCTIONS
from normcheck.normalizers import catalog
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Subject

FUSED, EAGER, COMPILED = "fused", "eager", "compiled"
NAMES = (FUSED, EAGER, COMPILED)
"""In order of preference: the first that is available for a kind is the one that a limit applies to."""

DESCRIPTIONS = {
    FUSED: "torch's fused function", EAGER: "torch's eager composition", COMPILED: "that composition, compiled",
}  # fmt: skip


def _fused(found: Subject) -> Subject:
    kind = found.normalizer.name
    if kind not in FUNCTIONS:
        raise CallError(f"torch has no function of its own for {kind}", "torch has none")
    return subject(Implementation(kind, FUNCTIONS[kind]), catalog.ALL[kind])


_MAKE: Mapping[str, Callable[[Subject], Subject]] = {
    FUSED: _fused,
    EAGER: lambda found: torch_compositions.eager(found, DESCRIPTIONS[EAGER]),
    COMPILED: lambda found: torch_compositions.compiled(found, DESCRIPTIONS[COMPILED]),
}


def parse_names(names: str) -> tuple[str, ...]:
    """The names in a list with commas, each once. Raises `UsageError` for an unknown name or an empty list."""
    parsed = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in parsed:
        if name not in NAMES:
            raise UsageError(f"--norm-beside {names}: there is no baseline {name!r}; {suggest(name, NAMES)}")
    if not parsed:
        raise UsageError(f"--norm-beside names baselines: one or more of {', '.join(NAMES)}, with commas")
    return tuple(dict.fromkeys(parsed))


def available_baselines(
    found: Subject, case: Case, names: tuple[str, ...]
) -> tuple[dict[str, Subject], dict[str, str]]:
    """The baselines that run on a case, each called once, and the reasons of those that do not; both by name."""
    available: dict[str, Subject] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            with quiet():
                baseline = _MAKE[name](found)
                baseline.call(case, False)  # without gradients
            available[name] = baseline
        except CallError as error:
            reasons[name] = error.reason
        except Exception as error:  # a compiler may lack what it needs
            reasons[name] = first_line(error)
    return available, reasons
