"""numpy, as it is written in courses."""

import numpy as np


def _wide(a):
    return a if a.dtype == np.float64 else a.astype(np.float32)


def layernorm_forward(x, gamma, beta, eps=1e-5):
    h = _wide(x)
    xc = h - h.mean(axis=-1, keepdims=True)
    ivar = 1.0 / np.sqrt((xc * xc).mean(axis=-1, keepdims=True) + h.dtype.type(eps))
    xhat = xc * ivar
    return (_wide(gamma) * xhat + _wide(beta)).astype(x.dtype), (xhat, ivar, gamma)


def layernorm_backward(dout, cache):
    xhat, ivar, gamma = cache
    g = _wide(dout)
    axes = tuple(range(dout.ndim - 1))
    dxhat = g * _wide(gamma)
    dx = ivar * (dxhat - dxhat.mean(-1, keepdims=True) - xhat * (dxhat * xhat).mean(-1, keepdims=True))
    return dx.astype(dout.dtype), (g * xhat).sum(axes).astype(gamma.dtype), g.sum(axes).astype(gamma.dtype)


course_layer_norm = (layernorm_forward, layernorm_backward)


def rms_forward(x, gamma, eps=1e-6):
    h = _wide(x)
    r = 1.0 / np.sqrt((h * h).mean(axis=-1, keepdims=True) + h.dtype.type(eps))
    return (h * r * _wide(gamma)).astype(x.dtype), (h, r, gamma)


def rms_backward(dout, cache):
    x, r, gamma = cache
    xhat, g = x * r, _wide(dout)
    dxhat = g * _wide(gamma)
    dx = r * (dxhat - xhat * (dxhat * xhat).mean(-1, keepdims=True))
    return dx.astype(dout.dtype), (g * xhat).reshape(-1, x.shape[-1]).sum(0).astype(gamma.dtype)


course_rms_norm = (rms_forward, rms_backward)


def maps_forward(x, gamma, beta, eps=1e-5):
    h = _wide(x)
    axes, view = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    xc = h - h.mean(axes, keepdims=True)
    ivar = 1.0 / np.sqrt((xc**2).mean(axes, keepdims=True) + h.dtype.type(eps))
    xhat = xc * ivar
    return (_wide(gamma).reshape(view) * xhat + _wide(beta).reshape(view)).astype(x.dtype), (xhat, ivar, gamma)


def maps_backward(dout, cache):
    xhat, ivar, gamma = cache
    axes, view = (0, *range(2, dout.ndim)), (1, -1) + (1,) * (dout.ndim - 2)
    g = _wide(dout)
    dxhat = g * _wide(gamma).reshape(view)
    dx = ivar * (dxhat - dxhat.mean(axes, keepdims=True) - xhat * (dxhat * xhat).mean(axes, keepdims=True))
    return dx.astype(dout.dtype), (g * xhat).sum(axes).astype(gamma.dtype), g.sum(axes).astype(gamma.dtype)


maps_batch_norm = (maps_forward, maps_backward)


def batchnorm_forward(x, gamma, beta, bn_param):
    """The course's signature: mode, eps, momentum and running statistics in a dict. momentum is the weight of the old."""
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
    if mode == "train":
        mu, var = x.mean(axis=0), x.var(axis=0)
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mu
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
    else:
        mu, var = running_mean, running_var
    xhat = (x - mu) / np.sqrt(var + eps)
    return gamma * xhat + beta, (xhat, gamma, var, eps)


def batchnorm_backward(dout, cache):
    xhat, gamma, var, eps = cache
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0)) / np.sqrt(var + eps)
    return dx, (dout * xhat).sum(0), dout.sum(0)


course_batch_norm = (batchnorm_forward, batchnorm_backward)
