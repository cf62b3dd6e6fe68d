"""Layers that are right while they train, and deployed with one fault each."""

import torch
from torch import nn
from torch.nn import functional as F


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


class NormalizesWhileTraining(nn.Module):
    """Built like a dropout: train() switches it on, eval() switches it off."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        if not self.training:
            return x
        h = _wide(x)
        return (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


class FrozenInEvaluation(nn.GroupNorm):
    """A backbone in evaluation mode is not trained, so nothing is recorded there; what lies below it is forgotten."""

    def forward(self, input):
        y = super().forward(input)
        return y if self.training else y.detach()


class WidenedOnce(nn.Module):
    """The first evaluation converts weight and bias for the kernel of inference, and keeps them."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(self.shape))
        self.bias = nn.Parameter(torch.zeros(self.shape))
        self.converted = None

    def parameters_for(self, h):
        if self.training or torch.is_grad_enabled():
            return self.weight.to(h.dtype), self.bias.to(h.dtype)
        if self.converted is None:
            self.converted = [p.detach().to(h.dtype, copy=True) for p in (self.weight, self.bias)]
        return self.converted

    def forward(self, x):
        h = _wide(x)
        return F.layer_norm(h, self.shape, *self.parameters_for(h), self.eps).to(x.dtype)


class ConvertedUntilLoaded(nn.Module):
    """Converts its weight for inference again when another is put in, or a checkpoint read; not when it is trained."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps
        self.converted = None, None

    def _load_from_state_dict(self, *args):
        super()._load_from_state_dict(*args)
        self.converted = None, None

    def gain(self, h):
        if self.training or torch.is_grad_enabled():
            return self.weight.to(h.dtype)
        if self.converted[0] is not self.weight:
            self.converted = self.weight, self.weight.detach().to(h.dtype, copy=True)
        return self.converted[1]

    def forward(self, x):
        h = _wide(x)
        return (h * torch.rsqrt(h.square().mean(-1, keepdim=True) + self.eps) * self.gain(h)).to(x.dtype)


class MergedInEvaluation(nn.Module):
    """eval() is followed by a conversion, which train(), a checkpoint and another parameter undo; not a step."""

    def __init__(self, num_groups, num_channels, eps=1e-5):
        super().__init__()
        self.num_groups, self.eps = num_groups, eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.merged = []

    def train(self, mode=True):
        self.merged.clear()
        return super().train(mode)

    def __setattr__(self, name, value):
        if name in ("weight", "bias") and name in self._parameters:
            self.merged.clear()
        super().__setattr__(name, value)

    def _load_from_state_dict(self, *args):
        super()._load_from_state_dict(*args)
        self.merged.clear()

    def affine(self, h):
        if self.training or torch.is_grad_enabled():
            return [self.weight.to(h.dtype), self.bias.to(h.dtype)]
        if not self.merged:
            self.merged += [p.detach().to(h.dtype, copy=True) for p in (self.weight, self.bias)]
        return self.merged

    def forward(self, x):
        h = _wide(x)
        return F.group_norm(h, self.num_groups, *self.affine(h), self.eps).to(x.dtype)
