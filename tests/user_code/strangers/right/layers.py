"""Layer, RMS and group norm as modules, with options, caches and modes that are all in order."""

import numbers

import torch
from torch import nn
from torch.nn import functional as F


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


class LayerNormOptions(nn.Module):
    """As torch's own: constructor, parameters, names; the shape last, two passes."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        super().__init__()
        if isinstance(normalized_shape, numbers.Integral):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = nn.Parameter(torch.ones(self.normalized_shape)) if elementwise_affine else None
        self.bias = nn.Parameter(torch.zeros(self.normalized_shape)) if elementwise_affine and bias else None

    def forward(self, x):
        dims = tuple(range(-len(self.normalized_shape), 0))
        h = _wide(x)
        h = h - h.mean(dims, keepdim=True)
        h = h * torch.rsqrt(h.square().mean(dims, keepdim=True) + self.eps)
        if self.weight is not None:
            h = h * self.weight
        if self.bias is not None:
            h = h + self.bias
        return h.to(x.dtype)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}"


class LayerNormCached(nn.Module):
    """Keeps wide copies of its parameters for inference, and drops them whenever a parameter was written to."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(self.shape))
        self.bias = nn.Parameter(torch.zeros(self.shape))
        self._key, self._kept = None, None

    def _parameters_now(self):
        if torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            return self.weight, self.bias
        key = tuple((id(p), p._version, p.data_ptr(), p.dtype) for p in (self.weight, self.bias))
        if key != self._key:
            self._key, self._kept = key, tuple(_wide(p.detach()) for p in (self.weight, self.bias))
        return self._kept

    def forward(self, x):
        weight, bias = self._parameters_now()
        dims = tuple(range(-len(self.shape), 0))
        h = _wide(x)
        var, mean = torch.var_mean(h, dims, correction=0, keepdim=True)
        return ((h - mean) / torch.sqrt(var + self.eps) * weight + bias).to(x.dtype)


class LayerNormTwoPaths(nn.Module):
    """Training takes a composition, evaluation torch's fused function: the same within rounding."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(self.shape))
        self.bias = nn.Parameter(torch.zeros(self.shape))

    def forward(self, x):
        if not self.training:
            return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)
        h = _wide(x).flatten(-len(self.shape))
        h = h - h.mean(-1, keepdim=True)
        h = h / (h.square().mean(-1, keepdim=True) + self.eps).sqrt()
        return (h.reshape(x.shape) * self.weight + self.bias).to(x.dtype)


class LayerNormMatrix(nn.Module):
    """Means are products with a constant vector, made in the format of the input."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(self.shape))
        self.bias = nn.Parameter(torch.zeros(self.shape))

    def forward(self, x):
        h = _wide(x).flatten(-len(self.shape))
        ones = h.new_ones(h.shape[-1], 1)
        h = h - h @ ones / h.shape[-1]
        h = h * torch.rsqrt(h.square() @ ones / h.shape[-1] + self.eps)
        return (h.reshape(x.shape) * self.weight + self.bias).to(x.dtype)


class RMSNormLlama(nn.Module):
    """The llama layer, with the gain applied before the cast."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        h = _wide(hidden_states)
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return (self.weight.to(h.dtype) * h).to(hidden_states.dtype)


class RMSNormCompiled(nn.Module):
    """The body is compiled, by a backend that runs it as it is."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.body = torch.compile(_rms, backend="eager", dynamic=True)

    def forward(self, x):
        return self.body(x, self.weight, self.eps)

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k != "body"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.body = torch.compile(_rms, backend="eager", dynamic=True)


def _rms(x, weight, eps):
    h = _wide(x)
    return (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


class GroupNormOptions(nn.Module):
    """As torch's own; channels that the groups do not divide raise."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError("num_channels must be divisible by num_groups")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = nn.Parameter(torch.ones(num_channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_channels)) if affine else None

    def forward(self, x):
        size = x.shape[1:].numel() // self.num_groups
        g = _wide(x).reshape(len(x), self.num_groups, size)
        g = g - g.mean(-1, keepdim=True)
        h = (g / torch.sqrt(g.square().mean(-1, keepdim=True) + self.eps)).reshape(x.shape)
        shape = (1, -1) + (1,) * (x.dim() - 2)
        if self.weight is not None:
            h = h * self.weight.view(shape) + self.bias.view(shape)
        return h.to(x.dtype)
