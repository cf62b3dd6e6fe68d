"""Right and wrong code of several forms at once; wrong code is right but for what its name says."""

import torch
import torch.nn.functional as F
from torch import nn


def wide_of(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rms(x, weight, eps):
    wide = wide_of(x)
    return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.to(wide.dtype)


def int8_rows(y, largest=127):
    scale = (y.abs().amax(-1, keepdim=True) / largest).clamp(min=1e-7)
    return torch.round(y / scale).clamp(-128, 127).to(torch.int8), scale


# A residual, an RMS norm, a quantized output.


@torch.no_grad()
def add_rms_norm_int8(x, residual, weight, eps=1e-6):
    total = x + residual
    return *int8_rows(rms(total, weight, eps)), total


@torch.no_grad()
def add_rms_norm_fp8(x, residual, weight, output_scale, eps=1e-6):
    """The scale comes from calibration."""
    total = x + residual
    y = rms(total, weight, eps) / output_scale
    return y.clamp(-448, 448).to(torch.float8_e4m3fn), total


@torch.no_grad()
def gated_rms_norm_fp8(x, gate, weight, eps=1e-6):
    """Each row has a scale of its own, which no power of two relates to that of another."""
    y = rms(wide_of(x), weight, eps) * F.silu(wide_of(gate))
    top = y.abs().amax(-1, keepdim=True) if y.shape[-1] else y.new_ones(*y.shape[:-1], 1)
    scale = top.clamp_min(1e-10) / 448.0
    return (y / scale).clamp(-448.0, 448.0).to(torch.float8_e4m3fn), scale


@torch.no_grad()
def gated_rms_norm_e5m2(x, gate, weight, eps=1e-6):
    y = rms(wide_of(x), weight, eps) * F.silu(wide_of(gate))
    top = y.abs().amax(-1, keepdim=True) if y.shape[-1] else y.new_zeros(*y.shape[:-1], 1)
    scale = torch.where(top > 0, top / 57344.0, 1.0)
    return (y / scale).clamp(-57344.0, 57344.0).to(torch.float8_e5m2), scale


@torch.no_grad()
def int8_without_residual(x, residual, weight, eps=1e-6):
    return *int8_rows(rms(x, weight, eps)), x + residual


@torch.no_grad()
def int8_with_old_residual(x, residual, weight, eps=1e-6):
    return *int8_rows(rms(x + residual, weight, eps)), residual


@torch.no_grad()
def int8_that_wraps(x, residual, weight, eps=1e-6):
    total = x + residual
    y = rms(total, weight, eps)
    scale = (y.abs().amax(-1, keepdim=True) / 128).clamp(min=1e-7)
    return torch.round(y / scale).to(torch.int32).to(torch.int8), scale, total


@torch.no_grad()
def int8_of_centered(x, residual, weight, eps=1e-6):
    total = x + residual
    return *int8_rows(rms(total - total.mean(-1, keepdim=True), weight, eps)), total


@torch.no_grad()
def int8_with_inverse_scale(x, residual, weight, eps=1e-6):
    total = x + residual
    q, scale = int8_rows(rms(total, weight, eps))
    return q, 1 / scale, total


# A mask and a batch norm.


class MaskedNorm(nn.Module):
    """Statistics over the entries that the mask keeps."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.eps, self.momentum = eps, momentum

    def statistics(self, wide, kept):
        axes = [0, *range(2, wide.dim())]
        count = kept.sum()
        mean = (wide * kept).sum(axes) / count
        var = ((wide - self.spread(mean, wide)) * kept).square().sum(axes) / count
        return mean, var, count

    def spread(self, values, like):
        return values.view((1, -1) + (1,) * (like.dim() - 2))

    def stored(self, var, count):
        return var * count / (count - 1)

    def update(self, running, new):
        running.lerp_(new.to(running.dtype), self.momentum)

    def scale(self, var):
        return torch.rsqrt(var + self.eps)

    def forward(self, x, mask):
        wide = wide_of(x)
        if self.training:
            mean, var, count = self.statistics(wide, mask.unsqueeze(1).to(wide.dtype))
            with torch.no_grad():
                self.update(self.running_mean, mean)
                self.update(self.running_var, self.stored(var, count))
        else:
            mean, var = self.running_mean.to(wide.dtype), self.running_var.to(wide.dtype)
        out = (wide - self.spread(mean, wide)) * self.spread(self.scale(var), wide)
        return (out * self.spread(self.weight, wide) + self.spread(self.bias, wide)).to(x.dtype)


class MaskedPaddingCounts(MaskedNorm):
    def statistics(self, wide, kept):
        return super().statistics(wide, torch.ones_like(kept))


class MaskedStoresBiased(MaskedNorm):
    def stored(self, var, count):
        return var


class MaskedMomentumOfOld(MaskedNorm):
    def update(self, running, new):
        running.lerp_(new.to(running.dtype), 1 - self.momentum)


class MaskedEpsOutside(MaskedNorm):
    def scale(self, var):
        return 1 / (var.sqrt() + self.eps)


class MaskedStatisticsDetached(MaskedNorm):
    def statistics(self, wide, kept):
        return super().statistics(wide.detach(), kept)


# Groups of the width, an RMS norm, a gate.


class GatedGroups(nn.Module):
    def __init__(self, hidden_size, group_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.group_size, self.eps = group_size, eps

    def groups(self, wide):
        return wide.unflatten(-1, (-1, self.group_size))

    def weighted(self, out):
        return out.flatten(-2) * self.weight

    def opened(self, gate):
        return F.silu(wide_of(gate))

    def forward(self, hidden_states, gate):
        groups = self.groups(wide_of(hidden_states))
        out = self.weighted(groups * torch.rsqrt(groups.square().mean(-1, keepdim=True) + self.eps))
        return (out * self.opened(gate)).to(hidden_states.dtype)


class GatedGroupsIgnored(GatedGroups):
    def groups(self, wide):
        return wide.unsqueeze(-2)


class GatedGroupsFirstWeight(GatedGroups):
    def weighted(self, out):
        return (out * self.weight[: self.group_size]).flatten(-2)


class GatedGroupsBySigmoid(GatedGroups):
    def opened(self, gate):
        return torch.sigmoid(wide_of(gate))


class GatedGroupsDetached(GatedGroups):
    def opened(self, gate):
        return F.silu(wide_of(gate).detach())


class GatedGroupsCentered(GatedGroups):
    def groups(self, wide):
        groups = super().groups(wide)
        return groups - groups.mean(-1, keepdim=True)


# A residual and per-sample affine, a residual and groups: right.


def add_modulated(x, residual, scale, shift, eps=1e-6):
    total = x + residual
    each = (scale, shift) if x.dim() == 2 else (scale[:, None], shift[:, None])
    return F.layer_norm(total, total.shape[-1:], eps=eps) * (1 + each[0]) + each[1], total


def add_grouped(x, residual, weight, group_size, eps=1e-6):
    total = x + residual
    heads = wide_of(total).unflatten(-1, (-1, group_size))
    y = heads * torch.rsqrt(heads.square().mean(-1, keepdim=True) + eps)
    return (y.flatten(-2) * weight).to(x.dtype), total


def add_packed(x, residual, weight, cu_seqlens, max_seqlen, eps=1e-6):
    total = x + residual
    return rms(total, weight, eps).to(x.dtype), total
