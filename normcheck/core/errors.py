"""What normcheck raises when a question cannot be asked: one sentence with what would work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NormcheckError(Exception):
    """Base of all errors that normcheck raises on purpose."""


class UsageError(NormcheckError):
    """What was asked for cannot be loaded, bound or understood; the text says what would work."""


class CallError(NormcheckError):
    """The implementation raised, or returned something that is not an answer.

    The text is one sentence that names the target; `reason` is the same in few words, for lists.
    """

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason or text


class LostError(NormcheckError):
    """The process that held an implementation has ended, or had to be ended; the text says what happened."""


class FindingsError(NormcheckError, AssertionError):
    """A law does not hold, or nothing was compared; the text is what pytest prints of it."""


def suggest(word: str, known: Iterable[str]) -> str:
    """A clause that names the nearest known word, or all of them.

    >>> suggest("layernorm", ["layer_norm", "batch_norm"])
    "did you mean 'layer_norm'?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(names)
