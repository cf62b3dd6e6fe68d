"""Pairs as courses have them written: settings and running statistics in a dict, any cache; right ones, then wrong."""

import warnings

import numpy as np


def _wide(a):
    return a if a.dtype == np.float64 else a.astype(np.float32)


def _backward_of(dxhat, xhat, istd, axes):
    return istd * (dxhat - dxhat.mean(axes, keepdims=True) - xhat * (dxhat * xhat).mean(axes, keepdims=True))


# batch norm: there is no cache of an evaluation


def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
    cache = None
    if mode == "train":
        h = _wide(x)
        mu, var = h.mean(axis=0), h.var(axis=0)
        istd = 1.0 / np.sqrt(var + h.dtype.type(eps))
        xhat = (h - mu) * istd
        out = (gamma * xhat + beta).astype(x.dtype)
        cache = {"xhat": xhat, "istd": istd, "gamma": gamma}
        running_mean = (momentum * running_mean + (1 - momentum) * mu).astype(x.dtype)
        running_var = (momentum * running_var + (1 - momentum) * var).astype(x.dtype)
    elif mode == "test":
        istd = 1.0 / np.sqrt(_wide(running_var) + eps)
        out = (gamma * (_wide(x) - running_mean) * istd + beta).astype(x.dtype)
    else:
        raise ValueError(f"invalid forward batchnorm mode {mode!r}")
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return out, cache


def batchnorm_backward(dout, cache):
    xhat, dout = cache["xhat"], _wide(dout)
    dx = _backward_of(dout * cache["gamma"], xhat, cache["istd"], 0)
    dtype = cache["gamma"].dtype
    return dx.astype(dtype), (dout * xhat).sum(0).astype(dtype), dout.sum(0).astype(dtype)


batch_norm = (batchnorm_forward, batchnorm_backward)


# batch norm of maps: the statistics are updated in place, and must be there


def spatial_forward(x, gamma, beta, bn_config):
    """Normalizes by channel, for inputs (N, C, H, W)."""
    n, c, h, w = x.shape
    flat = _wide(x).transpose(0, 2, 3, 1).reshape(-1, c)
    if bn_config["mode"] == "train":
        mu, var = flat.mean(0), flat.var(0)
        keep = bn_config["momentum"]
        bn_config["running_mean"][...] = keep * bn_config["running_mean"] + (1 - keep) * mu
        bn_config["running_var"][...] = keep * bn_config["running_var"] + (1 - keep) * var
    else:
        mu, var = _wide(bn_config["running_mean"]), _wide(bn_config["running_var"])
    istd = 1.0 / np.sqrt(var + flat.dtype.type(bn_config["eps"]))
    xhat = (flat - mu) * istd
    out = (gamma * xhat + beta).reshape(n, h, w, c).transpose(0, 3, 1, 2)
    return out.astype(x.dtype), (xhat, istd, gamma, (n, h, w, c))


def spatial_backward(dy, c):
    xhat, istd, gamma, shape = c
    flat = _wide(dy).transpose(0, 2, 3, 1).reshape(xhat.shape)
    dx = _backward_of(flat * gamma, xhat, istd, 0).reshape(shape).transpose(0, 3, 1, 2)
    dtype = gamma.dtype
    return {"dx": dx.astype(dtype), "dgamma": (flat * xhat).sum(0).astype(dtype), "dbeta": flat.sum(0).astype(dtype)}


maps = (spatial_forward, spatial_backward)


# layer norm: eps alone is in the dict


def layernorm_forward(x, gamma, beta, ln_param):
    h = _wide(x)
    xc = h - h.mean(axis=-1, keepdims=True)
    istd = 1.0 / np.sqrt((xc * xc).mean(axis=-1, keepdims=True) + h.dtype.type(ln_param.get("eps", 1e-5)))
    return (gamma * (xc * istd) + beta).astype(x.dtype), [xc * istd, istd, gamma]


def layernorm_backward(dout, cache):
    xhat, istd, gamma = cache
    g, axes, dtype = _wide(dout), tuple(range(dout.ndim - 1)), gamma.dtype
    dx = _backward_of(g * gamma, xhat, istd, -1)
    return dx.astype(dtype), (g * xhat).sum(axes).astype(dtype), g.sum(axes).astype(dtype)


layer_norm = (layernorm_forward, layernorm_backward)


# group norm: the parameters have the shape (1, C, 1, 1)


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    n, c, h, w = x.shape
    x1 = _wide(x).reshape(n, G, -1)
    x1 = x1 - x1.mean(-1, keepdims=True)
    istd = 1.0 / np.sqrt((x1 * x1).mean(-1, keepdims=True) + x1.dtype.type(gn_param.get("eps", 1e-5)))
    xhat = (x1 * istd).reshape(x.shape)
    assert gamma.shape == (1, c, 1, 1)
    return (gamma * xhat + beta).astype(x.dtype), (G, istd, xhat, gamma)


def spatial_groupnorm_backward(dout, cache):
    G, istd, xhat, gamma = cache
    dout, n, dtype = _wide(dout), len(dout), gamma.dtype
    g, grouped = (dout * gamma).reshape(n, G, -1), xhat.reshape(n, G, -1)
    dx = _backward_of(g, grouped, istd, -1).reshape(dout.shape).astype(dtype)
    sums = lambda values: values.sum((0, 2, 3), keepdims=True).astype(dtype)
    return dx, sums(dout * xhat), sums(dout)


group_norm = (spatial_groupnorm_forward, spatial_groupnorm_backward)


# wrong: the momentum weighs the new batch, where the course's weighs the old value


def _forward_other_momentum(x, gamma, beta, bn_param):
    return batchnorm_forward(x, gamma, beta, _replaced(bn_param))


class _replaced(dict):
    """A dict with 1 - momentum that writes statistics to another one."""

    def __init__(self, other):
        super().__init__(other, momentum=1 - other["momentum"])
        self.other = other

    def __setitem__(self, key, value):
        self.other[key] = value


other_momentum = (_forward_other_momentum, batchnorm_backward)


# wrong: the dict is not read


def _layernorm_without_eps(x, gamma, beta, ln_param):
    return layernorm_forward(x, gamma, beta, {"eps": 1e-3})


eps_not_read = (_layernorm_without_eps, layernorm_backward)


# wrong: the statistics stay as they were


def _forward_forgets(x, gamma, beta, bn_param):
    return batchnorm_forward(x, gamma, beta, dict(bn_param))


statistics_not_stored = (_forward_forgets, batchnorm_backward)


# wrong: an evaluation updates the statistics, in place


def _forward_updates(x, gamma, beta, bn_param):
    out = batchnorm_forward(x, gamma, beta, bn_param)
    if bn_param["mode"] == "test":
        bn_param["running_mean"] *= 0.9
    return out


evaluation_updates = (_forward_updates, batchnorm_backward)


# wrong: dbeta is a mean


def _groupnorm_averaged(dout, cache):
    dx, dgamma, dbeta = spatial_groupnorm_backward(dout, cache)
    return dx, dgamma, dbeta / len(dout)


shift_averaged = (spatial_groupnorm_forward, _groupnorm_averaged)


# wrong: the cotangent is written to


def _layernorm_in_place(dout, cache):
    found = layernorm_backward(dout, cache)
    dout *= cache[2]
    return found


cotangent_written = (layernorm_forward, _layernorm_in_place)


# wrong: warnings are switched off for good


def _layernorm_silent(x, gamma, beta, ln_param):
    warnings.simplefilter("ignore")
    return layernorm_forward(x, gamma, beta, ln_param)


warnings_off = (_layernorm_silent, layernorm_backward)


# wrong: the values are read in the order of memory


def _layernorm_flat(x, gamma, beta, ln_param):
    base = x if x.base is None else x.base
    start = (x.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // x.itemsize
    flat = base.reshape(-1)[min(start, base.size - x.size) :][: x.size].reshape(x.shape)
    return layernorm_forward(flat, gamma, beta, ln_param)


strides_not_read = (_layernorm_flat, layernorm_backward)
