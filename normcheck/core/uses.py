"""Ways to call a layer other than once, on fresh arrays, with gradients of everything. Names only; adapters know how.

Each way must give the answer that a plain call gives, or raise where it says so.
"""

from __future__ import annotations

PLAIN = "plain"

WITHOUT_GRADIENT = ("no grad", "inference mode")
"""The grad modes of evaluation loops and servers."""

FROZEN = ("x alone", "weight alone", "bias alone", "x and weight", "x and bias", "weight and bias")
"""Which of input, weight and bias ask for a gradient; the rest is frozen."""

COPIES = ("deep copy", "pickle")
"""Of a module: the copy answers as the original."""

REUSED = ("rewritten storage", "accumulated gradient", "two threads")
"""Other content in the same memory first; two backwards into .grad, halved; another thread calls at the same time."""

FUNCTIONAL = ("vjp", "jacrev", "vmap")
"""Function transforms: gradients without leaves, by rows of the Jacobian, of one of a stack of inputs."""

CHECKPOINT, AUTOCAST, WIDE = "checkpoint", "autocast", "wide parameters"
"""Recomputed in the backward; under automatic mixed precision; narrow input with parameters in the wide format."""

JVP, SECOND = "jvp", "second derivative"
"""Forward mode along the case's tangent; backward through the backward."""

COMPILED, EXPORTED = "compiled", "exported"
"""By the framework's compiler; as an exported graph."""

OBSERVED = "observed"
"""Plainly, with the framework's operators listened to: what does the work is information."""

OF_FUNCTIONS = (
    *WITHOUT_GRADIENT, *FROZEN, *REUSED, *FUNCTIONAL, CHECKPOINT, AUTOCAST, WIDE, JVP, SECOND, COMPILED, OBSERVED,
)  # fmt: skip
ALL = (*OF_FUNCTIONS, *COPIES, EXPORTED)


def asks(use: str) -> tuple[bool, bool, bool]:
    """Whether input, weight and bias ask for a gradient under a use.

    >>> asks("x and bias")
    (True, False, True)
    """
    if use not in FROZEN:
        return True, True, True
    words = use.split()
    return "x" in words, "weight" in words, "bias" in words
