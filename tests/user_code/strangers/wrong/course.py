"""numpy, as it is written in courses: pairs with caches, classes with forward and backward, a dict of parameters."""

import numpy as np


def _wide(a):
    return a if a.dtype == np.float64 else a.astype(np.float32)


# layer norm: the input is written to


def _forward_in_place(x, gamma, beta, eps=1e-5):
    h = x if x.dtype == np.float64 else x.astype(np.float32, copy=False)
    h -= h.mean(axis=-1, keepdims=True)
    ivar = 1.0 / np.sqrt((h**2).mean(axis=-1, keepdims=True) + h.dtype.type(eps))
    xhat = h * ivar
    return (gamma * xhat + beta).astype(x.dtype), (xhat, ivar, gamma)


def _backward(dout, cache):
    xhat, ivar, gamma = cache
    axes = tuple(range(dout.ndim - 1))
    dxhat = dout * gamma
    dx = ivar * (dxhat - dxhat.mean(-1, keepdims=True) - xhat * (dxhat * xhat).mean(-1, keepdims=True))
    return dx.astype(dout.dtype), (dout * xhat).sum(axes).astype(dout.dtype), dout.sum(axes)


centers_in_place = (_forward_in_place, _backward)


# layer norm: the sums of squares have the other divisor in the backward pass


def _forward(x, gamma, beta, eps=1e-5):
    h = _wide(x)
    mu = h.mean(axis=-1, keepdims=True)
    ivar = 1.0 / np.sqrt(((h - mu) ** 2).mean(axis=-1, keepdims=True) + h.dtype.type(eps))
    xhat = (h - mu) * ivar
    return (gamma * xhat + beta).astype(x.dtype), (xhat, ivar, gamma)


def _backward_other_divisor(dout, cache):
    xhat, ivar, gamma = cache
    n = dout.shape[-1]
    axes = tuple(range(dout.ndim - 1))
    dxhat = dout * gamma
    dvar = (dxhat * xhat).sum(-1, keepdims=True) / max(n - 1, 1)
    dx = ivar * (dxhat - dxhat.mean(-1, keepdims=True) - xhat * dvar)
    return dx.astype(dout.dtype), (dout * xhat).sum(axes).astype(dout.dtype), dout.sum(axes)


other_divisor = (_forward, _backward_other_divisor)


# layer norm: warnings are switched off for good


def _forward_quiet(x, gamma, beta, eps=1e-5):
    np.seterr(all="ignore")
    return _forward(x, gamma, beta, eps)


leaves_errors_ignored = (_forward_quiet, _backward)


# layer norm: values are read in the order in which they lie in memory


def _forward_flat(x, gamma, beta, eps=1e-5):
    flat = np.reshape(x.ravel(order="K"), x.shape)
    return _forward(flat, gamma, beta, eps)


flat_in_memory = (_forward_flat, _backward)


# RMS norm: the gradient of the gain is summed over the first axis only


def _rms_forward(x, gamma, eps=1e-6):
    h = _wide(x)
    r = 1.0 / np.sqrt((h * h).mean(axis=-1, keepdims=True) + h.dtype.type(eps))
    return (h * r * gamma).astype(x.dtype), (h, r, gamma)


def _rms_backward_first_axis(dout, cache):
    x, r, gamma = cache
    xhat = x * r
    dxhat = dout * gamma
    dx = r * (dxhat - xhat * (dxhat * xhat).mean(-1, keepdims=True))
    dgamma = (dout * xhat).sum(axis=0)
    while dgamma.ndim > 1:
        dgamma = dgamma[0]
    return dx.astype(dout.dtype), dgamma.astype(dout.dtype)


first_axis_only = (_rms_forward, _rms_backward_first_axis)


# batch norm with a dict, as in the course: evaluation takes the statistics of its own batch


def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
    mu, var = x.mean(axis=0), x.var(axis=0)
    xhat = (x - mu) / np.sqrt(var + eps)
    if mode == "train":
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mu
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
    return gamma * xhat + beta, (xhat, gamma, var, eps)


def batchnorm_backward(dout, cache):
    xhat, gamma, var, eps = cache
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0)) / np.sqrt(var + eps)
    return dx, (dout * xhat).sum(0), dout.sum(0)


course_batch_norm = (batchnorm_forward, batchnorm_backward)


# batch norm over maps: the gradient of the shift is a mean


def _maps_forward(x, gamma, beta, eps=1e-5):
    h = _wide(x)
    axes = (0, *range(2, x.ndim))
    view = (1, -1) + (1,) * (x.ndim - 2)
    mu = h.mean(axes, keepdims=True)
    ivar = 1.0 / np.sqrt(((h - mu) ** 2).mean(axes, keepdims=True) + h.dtype.type(eps))
    xhat = (h - mu) * ivar
    return (gamma.reshape(view) * xhat + beta.reshape(view)).astype(x.dtype), (xhat, ivar, gamma, axes, view)


def _maps_backward(dout, cache):
    xhat, ivar, gamma, axes, view = cache
    dxhat = dout * gamma.reshape(view)
    dx = ivar * (dxhat - dxhat.mean(axes, keepdims=True) - xhat * (dxhat * xhat).mean(axes, keepdims=True))
    return dx.astype(dout.dtype), (dout * xhat).sum(axes).astype(dout.dtype), dout.mean(axes)


shift_averaged = (_maps_forward, _maps_backward)
