"""normcheck: is a normalization layer right, in what way is it wrong, how accurate is it, how fast.

>>> import normcheck
>>> normcheck.Implementation("layer_norm", "torch.nn.functional:layer_norm").kind
'layer_norm'

The names of `__all__` are the whole public interface. Each is imported at its first use, so that `import normcheck`,
which every pytest run does where normcheck is installed, costs nothing. `__init__.pyi` declares them for type checkers.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any

_HOMES = {
    "CallError": "core.errors",
    "CheckDone": "core.events",
    "CheckStarted": "core.events",
    "ClaimBound": "core.events",
    "ClaimDone": "core.events",
    "DefinedNormalizer": "families.defined.entry",
    "Finding": "core.result",
    "FindingsError": "core.errors",
    "Framework": "frameworks.protocol",
    "Hooks": "pytest_plugin.plugin",
    "Implementation": "core.claim",
    "NormcheckError": "core.errors",
    "UsageError": "core.errors",
    "Verdict": "api",
    "__version__": "core.version",
    "check": "api",
    "given_cases": "api",
    "normalizer": "core.mark",
}
"""Public names, and the module below normcheck in which each is defined."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'normcheck' has no attribute {name!r}")
    collects = gc.isenabled()
    gc.disable()  # an import makes no garbage, and beside a framework a full collection takes as long as the rest
    try:
        found = globals()[name] = getattr(import_module(f"normcheck.{_HOMES[name]}"), name)
    finally:
        if collects:
            gc.enable()
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
