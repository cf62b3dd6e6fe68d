"""Layers that are right as they are built, and something else in another mode."""

import torch
from torch import nn
from torch.nn import functional as F


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _layer(x, weight, bias, eps, dims):
    h = _wide(x)
    h = h - h.mean(dims, keepdim=True)
    h = h / (h.square().mean(dims, keepdim=True) + eps).sqrt()
    return (h * weight + bias).to(x.dtype)


class _LayerNorm(nn.Module):
    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(self.normalized_shape))
        self.bias = nn.Parameter(torch.zeros(self.normalized_shape))

    @property
    def dims(self):
        return tuple(range(-len(self.normalized_shape), 0))

    def compute(self, x):
        return _layer(x, self.weight, self.bias, self.eps, self.dims)

    def forward(self, x):
        return self.compute(x)


class EvalForgetsBias(_LayerNorm):
    """The path for inference was written for a model without biases."""

    def forward(self, x):
        return (
            self.compute(x)
            if self.training
            else _layer(x, self.weight, torch.zeros_like(self.bias), self.eps, self.dims)
        )


class EvalWithoutGradient(_LayerNorm):
    """In evaluation nothing is recorded, so nothing below a frozen layer learns."""

    def forward(self, x):
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return self.compute(x)


class EvalFreezes(_LayerNorm):
    """eval() freezes the parameters; train() does not thaw them."""

    def train(self, mode=True):
        if not mode:
            self.requires_grad_(False)
        return super().train(mode)


class CopyForInference(_LayerNorm):
    """eval() takes a copy of the parameters in single precision or better; what is loaded afterwards is not seen."""

    _kept = None

    def train(self, mode=True):
        self._kept = None if mode else tuple(p.detach().clone() for p in (self.weight, self.bias))
        return super().train(mode)

    def forward(self, x):
        if self._kept is None or torch.is_grad_enabled():
            return self.compute(x)
        weight, bias = (p.to(x.dtype) for p in self._kept)
        return _layer(x, weight, bias, self.eps, self.dims)


class OnePassWithoutGradient(_LayerNorm):
    """Where no gradient is asked the variance is taken in one pass."""

    def forward(self, x):
        if torch.is_grad_enabled():
            return self.compute(x)
        h = _wide(x)
        mean = h.mean(self.dims, keepdim=True)
        var = (h.square().mean(self.dims, keepdim=True) - mean.square()).clamp_min(0)
        return ((h - mean) * torch.rsqrt(var + self.eps) * self.weight + self.bias).to(x.dtype)


class InferenceModeKeeps(_LayerNorm):
    """Under inference mode the last result is returned for the same tensor."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__(normalized_shape, eps)
        self._last = (None, None)

    def forward(self, x):
        if not torch.is_inference_mode_enabled():
            return self.compute(x)
        key = (x.data_ptr(), x.shape, x.dtype)
        if self._last[0] != key:
            self._last = key, self.compute(x)
        return self._last[1].clone()


class _RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def gain(self):
        return self.weight

    def forward(self, x):
        h = _wide(x)
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps)
        return (h * self.gain().to(h.dtype)).to(x.dtype)


class EvalInHalf(_RMSNorm):
    """In evaluation the normalized values go through bfloat16, for memory's sake."""

    def forward(self, x):
        y = super().forward(x)
        return y if self.training else y.to(torch.bfloat16).to(x.dtype)


class GainByAddress(_RMSNorm):
    """The gain in single precision is kept by the address of the parameter: a step in place is not seen in evaluation."""

    def __init__(self, dim, eps=1e-6):
        super().__init__(dim, eps)
        self._cache = {}

    def gain(self):
        if self.training:
            return self.weight
        key = (self.weight.data_ptr(), self.weight.dtype)
        if key not in self._cache:
            self._cache[key] = self.weight.detach().clone()
        kept = self._cache[key]
        return self.weight + (kept - self.weight).detach()


class EvalRemembersScale(_RMSNorm):
    """Evaluation divides by the largest root mean square seen in training, as a calibrated kernel would."""

    def __init__(self, dim, eps=1e-6):
        super().__init__(dim, eps)
        self.register_buffer("largest", torch.zeros(()))

    def forward(self, x):
        h = _wide(x)
        square = h.pow(2).mean(-1, keepdim=True)
        if self.training:
            with torch.no_grad():
                if square.numel():
                    self.largest.copy_(torch.maximum(self.largest, square.max().to(self.largest.dtype)))
        else:
            square = torch.minimum(square, self.largest.to(square.dtype))
        return (h * torch.rsqrt(square + self.eps) * self.weight.to(h.dtype)).to(x.dtype)


class GroupNormFrozen(nn.Module):
    """A group norm whose parameters are frozen hands no gradient down in evaluation."""

    def __init__(self, num_groups, num_channels, eps=1e-5):
        super().__init__()
        self.num_groups, self.eps = num_groups, eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x):
        if not self.training and not self.weight.requires_grad:
            x = x.detach()
        h = _wide(x)
        g = h.reshape(len(x), self.num_groups, x.shape[1:].numel() // self.num_groups)
        g = g - g.mean(-1, keepdim=True)
        h = (g / torch.sqrt(g.square().mean(-1, keepdim=True) + self.eps)).reshape(x.shape)
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return (h * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)


class BatchNormFoldedOnce(nn.Module):
    """Evaluation folds statistics and parameters into one scale and shift: when first asked, for ever."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self._folded = None

    def forward(self, x):
        if self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
            )
        if torch.is_grad_enabled():
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        if self._folded is None:
            scale = self.weight / torch.sqrt(self.running_var + self.eps)
            self._folded = scale, self.bias - scale * self.running_mean
        scale, shift = self._folded
        view = (1, -1) + (1,) * (x.dim() - 2)
        return (_wide(x) * scale.view(view) + shift.view(view)).to(x.dtype)
