"""Layer norm in numpy over the last axis: pairs (forward, backward), one fault each."""

import numpy as np


def forward(x, gamma, beta, eps=1e-5):
    h = x.astype(np.promote_types(x.dtype, np.float32))
    mu = h.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(h.var(-1, keepdims=True) + h.dtype.type(eps))
    xhat = (h - mu) * rstd
    y = xhat if gamma is None else xhat * gamma.astype(h.dtype)
    if beta is not None:
        y = y + beta.astype(h.dtype)
    return y.astype(x.dtype), (xhat, rstd, gamma, beta, x.dtype)


def forward_unbiased(x, gamma, beta, eps=1e-5):
    h = x.astype(np.promote_types(x.dtype, np.float32))
    centered = h - h.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(h.var(-1, ddof=1, keepdims=True) + h.dtype.type(eps))
    xhat = centered * rstd
    y = xhat if gamma is None else xhat * gamma.astype(h.dtype)
    if beta is not None:
        y = y + beta.astype(h.dtype)
    return y.astype(x.dtype), (xhat, rstd, gamma, beta, x.dtype)


def _parameters(dy, xhat, gamma, beta):
    cases = tuple(range(dy.ndim - 1))
    dgamma = None if gamma is None else (dy * xhat).sum(cases).astype(gamma.dtype)
    dbeta = None if beta is None else dy.sum(cases).astype(beta.dtype)
    return dgamma, dbeta


def backward_unbiased(dy, cache):
    xhat, rstd, gamma, beta, dtype = cache
    dy = dy.astype(xhat.dtype)
    g = dy if gamma is None else dy * gamma.astype(xhat.dtype)
    n = xhat.shape[-1]
    dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).sum(-1, keepdims=True) / (n - 1))
    return dx.astype(dtype), *_parameters(dy, xhat, gamma, beta)


def backward_without_mean(dy, cache):
    xhat, rstd, gamma, beta, dtype = cache
    dy = dy.astype(xhat.dtype)
    g = dy if gamma is None else dy * gamma.astype(xhat.dtype)
    dx = rstd * (g - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx.astype(dtype), *_parameters(dy, xhat, gamma, beta)


def backward_without_gamma(dy, cache):
    xhat, rstd, gamma, beta, dtype = cache
    dy = dy.astype(xhat.dtype)
    dx = rstd * (dy - dy.mean(-1, keepdims=True) - xhat * (dy * xhat).mean(-1, keepdims=True))
    return dx.astype(dtype), *_parameters(dy, xhat, gamma, beta)


numpy_unbiased = (forward_unbiased, backward_unbiased)
numpy_without_mean_term = (forward, backward_without_mean)
numpy_dx_without_gamma = (forward, backward_without_gamma)
