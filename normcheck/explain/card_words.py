"""The words on the left of the card of `normcheck identify`, and what stands beside each."""

from __future__ import annotations

from normcheck.core.floats import BFLOAT16, FLOAT16
from normcheck.core.page import Section

_NARROW = "Where the statistics are kept for this narrow format, when the result is cast, and its accuracy class."

CARD_WORDS: dict[str, str] = {
    "called-as": "The kind whose signature binds it, where it is no kind of the catalog itself.",
    "shares": "Which values of the input share a mean and a scale.",
    "mean": "Whether the mean of a set is subtracted.",
    "scaled-by": "The statistic that a set is divided by, and the divisor in that statistic.",
    "eps": "The value of epsilon, where it acts, and whether its argument is obeyed.",
    "affine": "How the weight and the bias act on the normalized input.",
    "gradient": "Through which statistics the gradient passes; A of the mean and B of the scale as measured.",
    "state": "How a batch moves the running statistics, and which variance they hold.",
    "evaluation": "Which statistics evaluation mode uses.",
    BFLOAT16.name: _NARROW,
    FLOAT16.name: _NARROW,
    "offset": "Up to which mean, in standard deviations, float32 keeps an accuracy of 1 percent.",
    "nearest": "The kinds of the catalog whose outputs are nearest, and how far off they are.",
    "contract": "The conventions in which it differs from torch's function of its kind.",
}
"""A sentence for each word; a hyphen stands for a space on the card."""


def sections(word: str) -> tuple[Section, ...]:
    """The sections of a word's page."""
    shown = f"It stands on the left of the card as {word.replace('-', ' ')!r}."
    return (("what it is", (CARD_WORDS[word], shown)), ("to print a card", ("    normcheck identify mypkg.kernels:f",)))
