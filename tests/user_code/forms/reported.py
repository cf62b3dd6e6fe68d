"""Wrong code as public reports tell of it, each beside its right form; the reports are quoted by their number."""

import torch
import torch.nn.functional as F
from torch import nn


def each_case_is_modulated(x, scale, shift, eps=1e-6):
    """An adaptive layer norm: a scale and a shift for each case."""
    out = F.layer_norm(x, (x.shape[-1],), eps=eps)
    return out * (1 + scale) + shift if x.dim() == 2 else out * (1 + scale[:, None]) + shift[:, None]


def first_case_modulates_all(x, scale, shift, eps=1e-6):
    """vllm-omni#1537: the scale and shift of the first case for every case."""
    out = F.layer_norm(x, (x.shape[-1],), eps=eps)
    return out * (1 + scale[:1]) + shift[:1] if x.dim() == 2 else out * (1 + scale[:1, None]) + shift[:1, None]


def gate_before_the_norm(x, z, weight, eps=1e-5):
    """mamba: what is normalized is gated."""
    gated = x * F.silu(z)
    return F.rms_norm(gated, (gated.shape[-1],), weight, eps)


def gate_after_the_norm(x, z, weight, eps=1e-5):
    """mamba#908: the gate after the norm, where it is promised before."""
    return F.rms_norm(x, (x.shape[-1],), weight, eps) * F.silu(z)


class LayerNormOfMaps(nn.Module):
    """ConvNeXt: a layer norm over the channels of (cases, channels, height, width)."""

    def __init__(self, num_channels, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x):
        units = (-1,) + (1,) * (x.dim() - 2)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        out = F.layer_norm(wide.movedim(1, -1), self.weight.shape, eps=self.eps).movedim(-1, 1)
        return (out * self.weight.view(units) + self.bias.view(units)).to(x.dtype)


class LayerNormOfRows(LayerNormOfMaps):
    """ConvNeXt#112: it normalizes the last axis, and applies the weights of the channels."""

    def forward(self, x):
        units = (-1,) + (1,) * (x.dim() - 2)
        out = F.layer_norm(x, x.shape[-1:], eps=self.eps)
        return out * self.weight.view(units) + self.bias.view(units)


def add_rms_norm(x, residual, weight, eps=1e-6):
    total = x + residual
    return F.rms_norm(total, (total.shape[-1],), weight, eps), total


def old_residual_returned(x, residual, weight, eps=1e-6):
    """mllm#670: the stream goes on without what was added."""
    return add_rms_norm(x, residual, weight, eps)[0], residual


def masked_instance_norm(x, mask, weight=None, bias=None, eps=1e-5):
    """An instance norm over valid entries, (cases, positions); a case of nothing but padding gives zeros."""
    kept = mask.unsqueeze(1).to(x.dtype)
    axes = tuple(range(2, x.dim()))
    return _masked(x, kept, axes, kept.sum(axes, keepdim=True).clamp_min(1), weight, bias, eps)


def all_padding_is_nan(x, mask, weight=None, bias=None, eps=1e-5):
    """pytorch#81985: the mean over no entries is 0 / 0, and NaN times a mask of zeros stays NaN."""
    kept = mask.unsqueeze(1).to(x.dtype)
    axes = tuple(range(2, x.dim()))
    return _masked(x, kept, axes, kept.sum(axes, keepdim=True), weight, bias, eps)


def padding_read(x, mask, weight=None, bias=None, eps=1e-5):
    """pytorch#30414, keras#20815: the statistics are those of padded entries too."""
    kept = mask.unsqueeze(1).to(x.dtype)
    out = F.instance_norm(x, None, None, weight, bias, eps=eps)
    return out * kept


def _masked(x, kept, axes, count, weight, bias, eps):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = (wide * kept).sum(axes, keepdim=True) / count
    centered = (wide - mean) * kept
    out = centered * torch.rsqrt(centered.square().sum(axes, keepdim=True) / count + eps)
    units = (1, -1) + (1,) * (x.dim() - 2)
    out = out if weight is None else out * weight.view(units)
    return ((out if bias is None else out + bias.view(units)) * kept).to(x.dtype)


def int8_rows(x, weight, eps=1e-6):
    """A scale for each token; a row of zeros has the scale 1, and stays zeros."""
    y = F.rms_norm(x.to(torch.promote_types(x.dtype, torch.float32)), (x.shape[-1],), weight, eps)
    scale = y.abs().amax(-1, keepdim=True) / 127
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return torch.round(y / scale).clamp(-127, 127).to(torch.int8), scale


def float8_rows(x, weight, eps=1e-6):
    y = F.rms_norm(x.to(torch.promote_types(x.dtype, torch.float32)), (x.shape[-1],), weight, eps)
    scale = y.abs().amax(-1, keepdim=True) / 448
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return (y / scale).clamp(-448, 448).to(torch.float8_e4m3fn), scale


def zero_row_by_zero(x, weight, eps=1e-6):
    """I-BERT#4: the scale of a row of zeros is 0, and 0 / 0 is no number."""
    y = F.rms_norm(x.to(torch.promote_types(x.dtype, torch.float32)), (x.shape[-1],), weight, eps)
    scale = y.abs().amax(-1, keepdim=True) / 448
    return (y / scale).clamp(-448, 448).to(torch.float8_e4m3fn), scale


def beyond_int8(x, weight, eps=1e-6):
    """ROCm TransformerEngine#230: a value beyond the range wraps around, where it should saturate."""
    y = F.rms_norm(x.to(torch.promote_types(x.dtype, torch.float32)), (x.shape[-1],), weight, eps)
    scale = y.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 128
    return torch.round(y / scale).to(torch.int16).to(torch.int8), scale


def eps_of_float32(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """A layer norm computed in float32, with its eps."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return F.layer_norm(wide, normalized_shape, eps=eps).to(x.dtype) * _one(weight) + _zero(bias)


def eps_lost_in_half(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """pytorch#86580: an exporter writes eps as a constant of the input's format, where a small one is 0."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = tuple(range(-len(normalized_shape), 0))
    centered = wide - wide.mean(axes, keepdim=True)
    held = torch.tensor(eps, dtype=x.dtype).to(wide.dtype)
    out = centered * torch.rsqrt(centered.square().mean(axes, keepdim=True) + held)
    return out.to(x.dtype) * _one(weight) + _zero(bias)


def _one(weight):
    return 1 if weight is None else weight


def _zero(bias):
    return 0 if bias is None else bias


class BatchRenorm(nn.Module):
    """Batch renormalization in training."""

    def __init__(self, num_features, momentum=0.01, eps=1e-3, r_max=3.0, d_max=5.0):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_std", torch.ones(num_features))
        self.momentum, self.eps, self.r_max, self.d_max = momentum, eps, r_max, d_max

    def corrections(self, mean, std):
        past_mean, past_std = self.running_mean.clone(), self.running_std.clone()  # which are updated in place
        r = (std / past_std).clamp(1 / self.r_max, self.r_max)
        return r, ((mean - past_mean) / past_std).clamp(-self.d_max, self.d_max)

    def constants(self, mean, std):
        return self.corrections(mean.detach(), std.detach())

    def forward(self, x):
        axes = (0, *range(2, x.dim()))
        units = (1, -1) + (1,) * (x.dim() - 2)
        mean = x.mean(axes)
        std = torch.sqrt((x - mean.view(units)).square().mean(axes) + self.eps)
        r, d = self.constants(mean, std)
        y = (x - mean.view(units)) * (r / std).view(units) + d.view(units)
        with torch.no_grad():
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_std += self.momentum * (std - self.running_std)
        return y * self.weight.view(units) + self.bias.view(units)


class DifferentiatedRenorm(BatchRenorm):
    """chainer#7104: r and d are no constants for the gradient."""

    def constants(self, mean, std):
        return self.corrections(mean, std)


def residual_in_place(x, residual, weight, eps=1e-6):
    """The sum is written into the residual, which is returned: as declared by many fused kernels."""
    residual = residual.add_(x)
    return F.rms_norm(residual, (residual.shape[-1],), weight, eps), residual


def residual_in_the_input(x, residual, weight, eps=1e-6):
    """sglang#28005: the new residual lies in the memory of the input, which the caller uses again."""
    x = x.add_(residual)
    return F.rms_norm(x, (x.shape[-1],), weight, eps), x
