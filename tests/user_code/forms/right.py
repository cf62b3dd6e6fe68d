"""Right code of every form, in the styles of model code."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def add_rms_norm(x, residual, weight, eps=1e-6):
    """Returns the output and the sum, as fused kernels do."""
    residual = x + residual
    return F.rms_norm(residual, (residual.shape[-1],), weight, eps), residual


@torch.no_grad()
def fused_add_rms_norm(input, residual, weight, epsilon):
    """Writes both results in place and returns nothing, as kernels for inference do."""
    residual.copy_(input + residual)
    input.copy_(F.rms_norm(residual, (residual.shape[-1],), weight, epsilon))


class AddRMSNorm(nn.Module):
    """The residual is optional, as in layers that begin a stack."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states, residual=None):
        if residual is not None:
            hidden_states = hidden_states + residual
        kept = hidden_states
        wide = hidden_states.to(torch.promote_types(hidden_states.dtype, torch.float32))
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        out = (self.weight * wide).to(kept.dtype)
        return out if residual is None else (out, kept)


class PostNorm(nn.Module):
    """Adds, normalizes, and returns the output alone, as BERT does."""

    def __init__(self, width, eps=1e-12):
        super().__init__()
        self.LayerNorm = nn.LayerNorm(width, eps=eps)

    def forward(self, hidden_states, input_tensor):
        return self.LayerNorm(hidden_states + input_tensor)


class GatedRMSNorm(nn.Module):
    """The gate of Mamba 2, after the normalizer."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps = eps

    def forward(self, hidden_states, gate):
        wide = hidden_states.to(torch.promote_types(hidden_states.dtype, torch.float32))
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (self.weight * wide * F.silu(gate.to(wide.dtype))).to(hidden_states.dtype)


def gate_first(x, z, weight, eps=1e-5):
    """norm(x silu(z)) weight, the gate before the normalizer."""
    return F.rms_norm(x * F.silu(z), (x.shape[-1],), weight, eps)


class MaskedBatchNorm(nn.Module):
    """Statistics over the entries that the mask keeps."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.eps, self.momentum = eps, momentum

    def forward(self, x, mask):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        units = (1, -1) + (1,) * (x.dim() - 2)
        if self.training:
            kept = mask.unsqueeze(1).to(wide.dtype)
            axes = [0, *range(2, x.dim())]
            count = kept.sum()
            mean = (wide * kept).sum(axes) / count
            var = ((wide - mean.view(units)) * kept).square().sum(axes) / count
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                self.running_var.lerp_((var * count / (count - 1)).to(self.running_var.dtype), self.momentum)
        else:
            mean, var = self.running_mean.to(wide.dtype), self.running_var.to(wide.dtype)
        out = (wide - mean.view(units)) * torch.rsqrt(var + self.eps).view(units)
        return (out * self.weight.view(units) + self.bias.view(units)).to(x.dtype)


class BatchNormOfKept(nn.Module):
    """Batch norm of the entries that the mask picks out; a mask of numbers picks out none."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.bn = nn.BatchNorm1d(num_features, eps, momentum)

    def forward(self, x, mask):
        rows = x.movedim(1, -1)
        out = torch.zeros_like(rows)
        out[mask] = self.bn(rows[mask])
        return out.movedim(-1, 1)


def add_gated(x, residual, gate, weight, eps=1e-5):
    """Two forms at once."""
    total = x + residual
    return F.rms_norm(total, (total.shape[-1],), weight, eps) * F.silu(gate), total


class LengthsInstanceNorm(nn.Module):
    """Instance norm over the first frames of each utterance, (cases, channels, frames)."""

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.eps = eps

    def forward(self, x, lengths):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        kept = (torch.arange(x.shape[-1]) < lengths[:, None]).unsqueeze(1).to(wide.dtype)
        count = lengths.view(-1, 1, 1).to(wide.dtype)
        mean = (wide * kept).sum(-1, keepdim=True) / count
        centered = (wide - mean) * kept
        var = centered.square().sum(-1, keepdim=True) / count
        out = centered * torch.rsqrt(var + self.eps)
        return ((out * self.weight[:, None] + self.bias[:, None]) * kept).to(x.dtype)


def ada_layer_norm(x, scale, shift, eps=1e-6):
    """The adaptive layer norm of a transformer: one scale and shift for each case, (cases, width)."""
    out = F.layer_norm(x, (x.shape[-1],), eps=eps)
    if x.dim() == 2:
        return out * (1 + scale) + shift
    return out * (1 + scale[:, None]) + shift[:, None]


def adain(x, gamma, beta, eps=1e-5):
    """Adaptive instance norm; gamma and beta are (cases, channels, 1, 1)."""
    return F.instance_norm(x, eps=eps) * gamma + beta


class BatchNormNHWC(nn.BatchNorm2d):
    """Maps with their channels last, as (cases, height, width, channels)."""

    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def add_masked(x, residual, padding_mask, weight=None, bias=None, eps=1e-5):
    """A residual, and an instance norm whose mask is true where an entry is padding."""
    total = x + residual
    kept = (~padding_mask).unsqueeze(1).to(total.dtype)
    axes = tuple(range(2, x.dim()))
    count = kept.sum(axes, keepdim=True)
    mean = (total * kept).sum(axes, keepdim=True) / count
    centered = (total - mean) * kept
    out = centered * torch.rsqrt(centered.square().sum(axes, keepdim=True) / count + eps)
    units = (1, -1) + (1,) * (x.dim() - 2)
    out = out if weight is None else out * weight.view(units)
    return (out if bias is None else out + bias.view(units)) * kept, total


def masked_by_numbers(x, mask, weight=None, bias=None, eps=1e-5):
    """An instance norm whose mask is 1 where an entry counts; it computes with 1 - mask."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    padding = (1 - mask).unsqueeze(1).to(wide.dtype)
    axes = tuple(range(2, x.dim()))
    count = (1 - padding).sum(axes, keepdim=True)
    mean = wide.masked_fill(padding == 1, 0).sum(axes, keepdim=True) / count
    centered = (wide - mean).masked_fill(padding == 1, 0)
    out = centered * torch.rsqrt(centered.square().sum(axes, keepdim=True) / count + eps)
    units = (1, -1) + (1,) * (x.dim() - 2)
    out = out if weight is None else out * weight.view(units)
    return (out if bias is None else out + bias.view(units)).to(x.dtype)


class BatchNormAct2d(nn.BatchNorm2d):
    """A batch norm with its activation, as blocks of image models have it."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(super().forward(x))


def layer_norm_gelu(x, weight, bias, eps=1e-5):
    """A layer norm and GELU in one function."""
    return F.gelu(F.layer_norm(x, (x.shape[-1],), weight, bias, eps))


def rms_norm_gelu_tanh(x, weight, eps=1e-6):
    return F.gelu(F.rms_norm(x, (x.shape[-1],), weight, eps), approximate="tanh")


def group_norm_silu(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The group norm of a diffusion model, with the swish that follows it."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    sets = wide.reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    var, mean = torch.var_mean(sets, -1, correction=0, keepdim=True)
    out = ((sets - mean) * torch.rsqrt(var + eps)).reshape(x.shape)
    units = (1, -1) + (1,) * (x.dim() - 2)
    out = out if weight is None else out * weight.view(units)
    out = out if bias is None else out + bias.view(units)
    return (out * torch.sigmoid(out)).to(x.dtype)
