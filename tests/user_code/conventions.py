"""Normalizers under the conventions of other code, re-created in torch from their public definitions."""

import torch
from torch import nn


class T5LayerNorm(nn.Module):
    """T5: no mean, no bias, the variance in float32, cast down before the weight."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        variance = hidden_states.to(torch.float32).pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        if self.weight.dtype in (torch.float16, torch.bfloat16):
            hidden_states = hidden_states.to(self.weight.dtype)
        return self.weight * hidden_states


class GemmaRMSNorm(nn.Module):
    """Gemma: multiplies by one plus a weight that starts from zero, in float32, and casts last."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(dim))

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def forward(self, x):
        output = self._norm(x.float())
        output = output * (1.0 + self.weight.float())
        return output.type_as(x)


def flax_layer_norm(x, scale=None, bias=None, epsilon=1e-6, use_fast_variance=True):
    """flax.linen.LayerNorm: over the last axis, statistics in float32, var = max(0, E[x^2] - E[x]^2)."""
    h = x.to(torch.promote_types(torch.float32, x.dtype))
    mean = h.mean(-1, keepdim=True)
    if use_fast_variance:
        var = torch.clamp((h * h).mean(-1, keepdim=True) - mean * mean, min=0.0)
    else:
        var = (h - mean).square().mean(-1, keepdim=True)
    mul = torch.rsqrt(var + epsilon)
    if scale is not None:
        mul = mul * scale
    y = (h - mean) * mul
    if bias is not None:
        y = y + bias
    return y.to(x.dtype)


class KerasBatchNormalization(nn.Module):
    """Keras: momentum is the weight of the old state, eps 1e-3, the biased variance is stored; channels are axis 1."""

    def __init__(self, num_features, momentum=0.99, epsilon=1e-3):
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("moving_mean", torch.zeros(num_features))
        self.register_buffer("moving_variance", torch.ones(num_features))

    def forward(self, inputs):
        h = inputs.to(torch.promote_types(torch.float32, inputs.dtype))
        axes = (0, *range(2, h.dim()))
        shape = (1, -1) + (1,) * (h.dim() - 2)
        if self.training:
            mean, variance = h.mean(axes), h.var(axes, correction=0)
            with torch.no_grad():
                for kept, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    kept.copy_(kept * self.momentum + new * (1.0 - self.momentum))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        y = (h - mean.view(shape)) * torch.rsqrt(variance.view(shape) + self.epsilon)
        return (y * self.gamma.view(shape) + self.beta.view(shape)).to(inputs.dtype)


class FixedMomentumBatchNorm(nn.Module):
    """Momentum is no argument, and the biased variance is stored."""

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        axes = (0, *range(2, x.dim()))
        shape = (1, -1) + (1,) * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(axes), x.var(axes, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, 0.01)
                self.running_var.lerp_(var, 0.01)
        y = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + self.eps)
        return y * self.weight.view(shape) + self.bias.view(shape)


def biased_running_batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """torch's batch norm, but for the variance that is stored: divided by n."""
    axes = (0, *range(2, input.dim()))
    shape = (1, -1) + (1,) * (input.dim() - 2)
    mean, var = running_mean, running_var
    if training:
        mean, var = input.mean(axes), input.var(axes, correction=0)
        if running_mean is not None:
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(var.detach(), momentum)
    y = (input - mean.view(shape)) / torch.sqrt(var.view(shape) + eps)
    if weight is not None:
        y = y * weight.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    return y


def _layer_norm(input, normalized_shape, weight, bias, eps, mean_of, scale_of):
    dims = tuple(range(-len(normalized_shape), 0))
    h = input.to(torch.promote_types(torch.float32, input.dtype))
    c = h - mean_of(h.mean(dims, keepdim=True))
    y = c / scale_of(h, dims, eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y.to(input.dtype)


def _root(h, dims, eps):
    return torch.sqrt(h.var(dims, correction=0, keepdim=True) + eps)


def unbiased_layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The variance divides by n - 1."""
    scale = lambda h, dims, eps: torch.sqrt(h.var(dims, correction=1, keepdim=True) + eps)
    return _layer_norm(input, normalized_shape, weight, bias, eps, lambda m: m, scale)


def outside_layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """eps is added to the root."""
    scale = lambda h, dims, eps: torch.sqrt(h.var(dims, correction=0, keepdim=True)) + eps
    return _layer_norm(input, normalized_shape, weight, bias, eps, lambda m: m, scale)


def axis_two_rms_norm(input, eps=1e-6):
    """For inputs of (cases, tokens, units): axis 2 is the last one of these only."""
    return input * torch.rsqrt(input.square().mean(2, keepdim=True) + eps)


class OneAxisRMSNorm(torch.nn.Module):
    """Takes a shape, as torch's class does, and normalizes the last axis alone."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(normalized_shape))
        self.eps = eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class FilledRMSNorm(torch.nn.Module):
    """Its weight is no value of a start, until the model that has it fills it."""

    def __init__(self, hidden_size, eps=1e-5):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((hidden_size,), 5.0))
        self.eps = eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


def length_floor_rms_norm(input, weight, eps=1e-6):
    """The length of a row is at least eps, as in torch.nn.functional.normalize."""
    return torch.nn.functional.normalize(input, dim=-1, eps=eps) * input.shape[-1] ** 0.5 * weight


def root_floor_rms_norm(input, weight, eps=1e-6):
    """The root of the mean square is at least eps."""
    return input / input.square().mean(-1, keepdim=True).sqrt().clamp_min(eps) * weight


def fixed_floor_rms_norm(input, weight):
    """The length of a row is at least torch's 1e-12."""
    return torch.nn.functional.normalize(input, dim=-1) * input.shape[-1] ** 0.5 * weight


def mean_constant_layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """E[x] is held constant in the backward."""
    return _layer_norm(input, normalized_shape, weight, bias, eps, torch.Tensor.detach, _root)


def variance_constant_layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The variance is held constant in the backward."""
    return _layer_norm(input, normalized_shape, weight, bias, eps, lambda m: m, lambda *given: _root(*given).detach())


def statistics_constant_layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Both statistics are held constant in the backward."""
    scale = lambda *given: _root(*given).detach()
    return _layer_norm(input, normalized_shape, weight, bias, eps, torch.Tensor.detach, scale)


def annotated_layer_norm(x, a_2, b_2, eps=1e-6):
    """The Annotated Transformer: x.std, which divides by n - 1, and eps outside the root; names that say nothing."""
    return a_2 * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) + b_2


def mean_deviation_norm(x):
    """No entry of the catalog: divides by the mean absolute deviation."""
    c = x - x.mean(-1, keepdim=True)
    return c / c.abs().mean(-1, keepdim=True)


def only_centered(x):
    """No entry of the catalog: the mean of the last axis is taken away, and nothing divides."""
    return x - x.mean(-1, keepdim=True)


def dynamic_tanh(x):
    """No entry of the catalog, and no statistic: every output depends on its own entry alone."""
    return torch.tanh(0.5 * x)


def fixed_eps_layer_norm(x, weight, bias):
    """The Annotated Transformer: x.std, which divides by n - 1, and an eps outside the root that is no argument."""
    return weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + bias
