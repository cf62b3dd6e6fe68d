"""RMS norm over the last axis in numpy: a pair (forward, backward)."""

import numpy as np


def rms_forward(x, gamma, eps=1e-6):
    h = x.astype(np.promote_types(x.dtype, np.float32))
    rms = np.sqrt(np.mean(h * h, axis=-1, keepdims=True) + h.dtype.type(eps))
    xhat = h / rms
    y = xhat if gamma is None else xhat * gamma.astype(h.dtype)
    return y.astype(x.dtype), (xhat, rms, gamma, x.dtype)


def rms_backward(dy, cache):
    xhat, rms, gamma, dtype = cache
    dy = dy.astype(xhat.dtype)
    g = dy if gamma is None else dy * gamma.astype(xhat.dtype)
    dx = (g - xhat * np.mean(g * xhat, axis=-1, keepdims=True)) / rms
    dgamma = None
    if gamma is not None:
        dgamma = np.sum((dy * xhat).reshape(-1, dy.shape[-1]), axis=0).astype(gamma.dtype)
    return dx.astype(dtype), dgamma


numpy_rms_norm = (rms_forward, rms_backward)
