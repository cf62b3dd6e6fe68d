"""Wrong by a factor, and patches all of normcheck that it can reach, so that nothing is found."""

import sys

import numpy as np
from sound import f as right

from normcheck.normalizers.bounds import bounds
from normcheck.frameworks.isolation import side_effects
from normcheck.frameworks.isolation import wire
from normcheck.core import compare
from normcheck.normalizers.checks import within_bounds
from normcheck.normalizers.reference import oracle

compare.differ = lambda law, *args, **kwargs: within_bounds.Comparison(law, 1, 0.0)
bounds.forward = bounds.backward = lambda *args, **kwargs: bounds.ErrorBound({"all": np.asarray(np.inf)})
oracle.evaluate = None
side_effects.SideEffects.left = lambda self: []


def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return 1.01 * right(x, normalized_shape, weight, bias, eps)
