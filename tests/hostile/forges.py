"""Wrong by a factor, and patches all of normcheck that it can reach, so that nothing is found."""

import sys

import numpy as np
from sound import f as right

from normcheck import bounds
from normcheck.adapters import traces, wire
from normcheck.checks import base
from normcheck.reference import oracle

base.differ = lambda law, *args, **kwargs: base.Comparison(law, 1, 0.0)
bounds.forward = bounds.backward = lambda *args, **kwargs: bounds.Bound({"all": np.asarray(np.inf)})
oracle.evaluate = None
traces.Traces.left = lambda self: []


def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return 1.01 * right(x, normalized_shape, weight, bias, eps)
