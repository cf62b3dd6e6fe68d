"""The process of which others are forked: what it imports once for all of them."""

from __future__ import annotations

from importlib import import_module

MODULES = ("normcheck.frameworks.torch.framework", "pytest")
"""What each copy needs; code under test may raise exceptions of pytest."""


def up() -> bool:
    """Import what is needed. Returns whether this process may run code of torch before it forks.

    With an accelerator torch starts a thread for it at the first backward, and none runs in a copy after that.
    """
    for name in MODULES:
        import_module(name)
    return not import_module("torch").accelerator.is_available()
