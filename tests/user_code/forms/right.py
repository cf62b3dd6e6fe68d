"""Right code of every form, in the styles of model code."""

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


def add_gated(x, residual, gate, weight, eps=1e-5):
    """Two forms at once."""
    total = x + residual
    return F.rms_norm(total, (total.shape[-1],), weight, eps) * F.silu(gate), total
