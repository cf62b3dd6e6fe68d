"""The exceptions that normcheck raises. Their text is one sentence that says what would work."""

from __future__ import annotations

from collections.abc import Iterable

from normcheck.core.safe_text import safe

RAISED = "raised"
"""How the reason begins where the code of an implementation refuses something, and not its framework."""

IN_BACKWARD = " in its backward"
"""Appended to the text of a `CallError` for code that raised in its backward pass."""

IN_EXPORT = " in its export"
"""Appended to the text of a `CallError` for code of which no program can be made."""

NOT_IN_RUNTIME = " (the runtime has no code for it)"
"""Ends the reason of a `CallError` for a program that is right, as far as it goes, and that the runtime cannot run."""

ON_SHAPES = "; the forward pass takes, and the backward pass does not, inputs of "
"""In the text of a `CallError`, before the shapes on which a backward pass raises and its forward pass does not."""


class NormcheckError(Exception):
    """Base class of all exceptions that normcheck raises on purpose. Their text may quote foreign code: it is safe."""

    def __init__(self, text: str) -> None:
        super().__init__(safe(text))


class UsageError(NormcheckError):
    """A target cannot be loaded or bound, or an option is not understood; the text says what would work."""


class CallError(NormcheckError):
    """The implementation raised an exception, or returned something that is not a valid output.

    The text is one sentence that names the target; `reason` is a shorter form, for lists.
    """

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = safe(reason or text)


class NoDerivativeError(CallError):
    """The implementation has an output and no derivative: it says so, its backward pass does not fail."""


class UnsuitedError(CallError):
    """No call can be made for a case, as of pairs for an odd width: that says nothing of the code."""


class LostError(NormcheckError):
    """The process that runs an isolated implementation has ended or was killed; the text says what happened."""


class FindingsError(NormcheckError, AssertionError):
    """A law does not hold, or nothing was compared; the text is what pytest prints of it."""


def lacking_gradient(reason: str) -> str:
    """Why code has no gradient, of the reason why a call with one failed; empty where its backward pass raises.

    That is a fault to report, not a missing capability: the output says that it has a gradient.
    """
    return "" if IN_BACKWARD in reason else reason


def suggest(word: str, known: Iterable[str]) -> str:
    """A clause that names the known word most similar to `word`, or all known words if none is similar.

    >>> suggest("layernorm", ["layer_norm", "batch_norm"])
    "did you mean 'layer_norm'?"
    """
    import difflib  # noqa: PLC0415  # each pytest run imports this module where the plugin is installed

    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(names)


def shortened(text: str) -> str:
    """At most 200 characters of what a user wrote, to quote it in a sentence."""
    return text if len(text) <= 200 else f"{text[:200]} ..."
