"""Layer norm over the last axis in plain numpy: a pair (forward, backward)."""

import numpy as np


def _wide(a):
    return a if a.dtype == np.float64 else a.astype(np.float32)


def forward(x, gamma, beta, eps=1e-5):
    h = _wide(x)
    mu = h.mean(axis=-1, keepdims=True)
    rstd = 1 / np.sqrt(((h - mu) ** 2).mean(axis=-1, keepdims=True) + h.dtype.type(eps))
    xhat = (h - mu) * rstd
    y = xhat
    if gamma is not None:
        y = y * _wide(gamma)
    if beta is not None:
        y = y + _wide(beta)
    return y.astype(x.dtype), (xhat, rstd, gamma, beta, x.dtype)


def backward(dy, cache):
    xhat, rstd, gamma, beta, dtype = cache
    dy = _wide(dy)
    cases = tuple(range(dy.ndim - 1))
    g = dy if gamma is None else dy * _wide(gamma)
    dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
    dgamma = None if gamma is None else (dy * xhat).sum(cases).astype(gamma.dtype)
    dbeta = None if beta is None else dy.sum(cases).astype(beta.dtype)
    return dx.astype(dtype), dgamma, dbeta


numpy_layer_norm = (forward, backward)
