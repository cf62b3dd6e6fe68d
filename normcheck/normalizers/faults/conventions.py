"""Conventions of the contract that are faults where they are not declared: the same change under two names."""

from __future__ import annotations

from normcheck.core.floats import FLOAT32
from normcheck.normalizers.eps_format import EPS_IN_SINGLE

CONVENTIONS = {
    ("variance", "unbiased"): "variance-unbiased",
    ("eps-place", "outside"): "eps-outside-root",
    ("eps-format", FLOAT32.name): "eps-in-float32",
    ("weight", "1+w"): "weight-offset-one",
    ("cast", "before-weight"): "cast-before-weight",
    ("cast", "after-weight"): "cast-after-weight",
    ("exact-to", "bound"): "other-bits",
    ("batch-invariant", "any"): "order-changes-with-rows",
    ("batch-invariant", "rows"): "order-changes-with-threads",
    ("gradient", "mean-constant"): "mean-term-missing",
    ("gradient", "variance-constant"): "variance-term-missing",
    ("gradient", "statistics-constant"): "statistics-constant",
    ("running-variance", "biased"): "running-variance-biased",
    ("momentum", "old"): "momentum-swapped",
}
"""Key and value of a convention that is not the default, to the name of the fault."""

WEAKER = {("eps-format", "default", FLOAT32.name): EPS_IN_SINGLE}
"""Key, claimed value and observed value of a convention that is right but weaker than torch's, with its warning."""

SHOWN_BY = {
    "accuracy": ("value",),
    "variance": ("value",),
    "eps-place": ("value", "eps-is-read", "constant-rows"),
    "eps-format": ("eps-is-read", "value", "evaluation"),
    "weight": ("value",),
    "cast": ("value", "evaluation", "wide-parameters"),
    "exact-to": ("value",),
    "batch-invariant": ("batch-invariance",),
    "gradient": ("input-gradient",),
    "running-variance": ("running-statistics", "history"),
    "momentum": ("running-statistics", "history"),
}
"""Key of a convention to the checks that show on a case which value an implementation follows, the plainest first."""
