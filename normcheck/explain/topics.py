"""Pages about what one does, rather than about a kind, a check or a fault."""

from __future__ import annotations

from normcheck.core.page import Section

OWN_KIND = """\
import numpy as np

import normcheck


def forward(x, weight, bias, eps=1e-5):
    c = x - np.mean(x, axis=-1, keepdims=True)
    size = np.mean(np.abs(c), axis=-1, keepdims=True)
    return weight * c / (size + eps) + bias


def pytest_normcheck_normalizers():
    return [normcheck.DefinedNormalizer(name="mean_size_norm", forward=forward, options={"eps": (1e-5, 0.5)})]
"""
"""A conftest that defines a kind."""

_FORWARD = (
    "A function of numpy arrays in float64: the input, then parameters, which have no default, then constants, which "
    "have one. It may use elementwise functions, sums, means, maxima, products of matrices, np.linalg.solve, inv, and "
    "functions that move entries; another one is named in an error. A parameter has one number for each unit, with "
    "axes of length 1 where it broadcasts; shapes={'alpha': 'one'} and others, and aliases={'alpha': ('a',)} other "
    "names of it in code: see the class."
)
_LAYOUTS = (
    "layout: 'trailing' (cases, *space, units), 'channels' (cases, units, *space), 'rows' a weight (units, *inputs), "
    "'linear' with a parameter (units, inputs). groups={'batch': 'batch_size'}: a parameter that assigns each case to "
    "one of so many groups; neutral={'weight': 1.0}: a parameter that code may leave out, and its value there."
)
_ROW = (
    "The row of Table 1 and the independence of other cases: each cell measured on the forward, at an eps that changes "
    "nothing."
)
_GRADIENT = (
    "The gradient of each argument: by the chain rule through each operation of the forward; compared entry by entry "
    "with the complex step, or with central differences of order eight where the forward is not analytic. A backward "
    "that is given is proved in the same way; one that is wrong is refused with the argument and the error."
)
_BOUND = "The bound: running errors of each operation, so it follows the conditioning of each case."
_FAULTS = (
    "Which outputs depend on which entries, and faults by structure: eps dropped or fixed, means over all entries, "
    "n - 1 for n, a dropped last entry, detached statistics, an ignored parameter, and others."
)
_IMPLEMENTATIONS = (
    "A function of torch tensors with parameters of the same names (weight may be gamma or scale), or a module class "
    "C(units, eps=...) with parameters of these names."
)
_USE = (
    "    pytest --norm mean_size_norm=mypkg.layers:MeanSizeNorm",
    "    normcheck explain mean_size_norm",
    '    normcheck.check(target, as_="mean_size_norm"), or as_= the DefinedNormalizer itself',
)

TOPICS: dict[str, tuple[str, tuple[Section, ...]]] = {
    "adding-a-normalizer": (
        "a kind of your own, from its forward pass",
        (
            ("conftest.py", tuple(f"    {line}" for line in OWN_KIND.splitlines() if line)),
            ("then", _USE),
            ("forward", (_FORWARD, _LAYOUTS)),
            ("what is derived", (_ROW, _GRADIENT, _BOUND, _FAULTS)),
            ("implementations", (_IMPLEMENTATIONS,)),
        ),
    ),
}
"""Title and sections of each topic."""
