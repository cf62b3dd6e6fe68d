"""Conventions of the contract that are faults where they are not declared: the same change under two names."""

from __future__ import annotations

CONVENTIONS = {
    ("variance", "unbiased"): "variance-unbiased",
    ("eps-place", "outside"): "eps-outside-root",
    ("weight", "1+w"): "weight-offset-one",
    ("cast", "before-weight"): "cast-before-weight",
    ("cast", "after-weight"): "cast-after-weight",
    ("gradient", "mean-constant"): "mean-term-missing",
    ("gradient", "variance-constant"): "variance-term-missing",
    ("gradient", "statistics-constant"): "statistics-constant",
    ("running-variance", "biased"): "running-variance-biased",
    ("momentum", "old"): "momentum-swapped",
}
"""Key and value of a convention that is not the default, to the name of the fault."""

SHOWN_BY = {
    "accuracy": ("value",),
    "variance": ("value",),
    "eps-place": ("value", "eps-is-read", "constant-rows"),
    "weight": ("value",),
    "cast": ("value", "evaluation", "wide-parameters"),
    "gradient": ("input-gradient",),
    "running-variance": ("running-statistics", "history"),
    "momentum": ("running-statistics", "history"),
}
"""Key of a convention to the checks that show on a case which value an implementation follows, the plainest first."""
