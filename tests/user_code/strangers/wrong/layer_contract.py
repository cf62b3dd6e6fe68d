"""Layer, RMS and group norm as modules whose arithmetic is right; what breaks is what a module owes its users."""

import copy
import numbers

import torch
from torch import nn


class _Norm(nn.Module):
    """A layer norm as torch's own: constructor, parameters, names."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        super().__init__()
        if isinstance(normalized_shape, numbers.Integral):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.make_parameters(elementwise_affine, bias)

    def make_parameters(self, affine, bias):
        self.weight = nn.Parameter(torch.ones(self.normalized_shape)) if affine else None
        self.bias = nn.Parameter(torch.zeros(self.normalized_shape)) if affine and bias else None

    def standardized(self, x):
        dims = tuple(range(-len(self.normalized_shape), 0))
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        h = h - h.mean(dims, keepdim=True)
        return h * torch.rsqrt(h.square().mean(dims, keepdim=True) + self.eps)

    def forward(self, x):
        y = self.standardized(x)
        if self.weight is not None:
            y = y * self.weight
        if self.bias is not None:
            y = y + self.bias
        return y.to(x.dtype)


class ParametersInAList(_Norm):
    """The two tensors live in a plain list, so the module does not own them."""

    def make_parameters(self, affine, bias):
        self.affine = [
            nn.Parameter(torch.ones(self.normalized_shape)),
            nn.Parameter(torch.zeros(self.normalized_shape)),
        ]

    @property
    def weight(self):
        return self.affine[0]

    @property
    def bias(self):
        return self.affine[1]


class StartsSmall(_Norm):
    """Layer scale's habit: the gain begins at a tenth."""

    def make_parameters(self, affine, bias):
        super().make_parameters(affine, bias)
        if affine:
            nn.init.constant_(self.weight, 0.1)


class BiasDrawn(_Norm):
    """The shift begins as a linear layer's would."""

    def make_parameters(self, affine, bias):
        super().make_parameters(affine, bias)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -0.1, 0.1)


class BiasAnyway(_Norm):
    """bias=False is accepted, and there is a bias."""

    def make_parameters(self, affine, bias):
        super().make_parameters(affine, affine)


class AffineAnyway(_Norm):
    """elementwise_affine=False is accepted, and there are parameters."""

    def make_parameters(self, affine, bias):
        super().make_parameters(True, bias)


class CopiedAsNew(_Norm):
    """A deep copy is a new layer of the same size."""

    def __deepcopy__(self, memo):
        return type(self)(self.normalized_shape, self.eps, self.elementwise_affine, self.bias is not None)


class PickledAsNew(_Norm):
    """What is pickled are the arguments of the constructor."""

    def __reduce__(self):
        return type(self), (self.normalized_shape, self.eps, self.elementwise_affine, self.bias is not None)


class LoadsTheWeightOnly(_Norm):
    """Old checkpoints had no bias; since then none is read."""

    def _load_from_state_dict(self, state_dict, prefix, *args):
        state_dict = dict(state_dict)
        if self.bias is not None:
            state_dict[prefix + "bias"] = self.bias.detach().clone()
        super()._load_from_state_dict(state_dict, prefix, *args)


class SavesACast(_Norm):
    """Checkpoints are kept small: parameters are saved in half precision."""

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for key in list(destination):
            if key.startswith(prefix):
                destination[key] = destination[key].to(torch.bfloat16)


class AveragingMatrix(_Norm):
    """Means are products with a constant vector, made once in single precision and never moved."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        super().__init__(normalized_shape, eps, elementwise_affine, bias)
        n = torch.Size(self.normalized_shape).numel()
        self.average = torch.full((n, 1), 1.0 / n)

    def standardized(self, x):
        k = len(self.normalized_shape)
        h = x.to(torch.promote_types(x.dtype, torch.float32)).flatten(-k)
        average = self.average.to(h.dtype)
        h = h - h @ average
        h = h * torch.rsqrt(h.square() @ average + self.eps)
        return h.reshape(x.shape)


class SharedDefault(_Norm):
    """All layers without a weight of their own share one: of the class."""

    _ones = {}

    def make_parameters(self, affine, bias):
        super().make_parameters(affine, bias)
        if affine:
            self.weight = self._ones.setdefault(self.normalized_shape, self.weight)


class RMSNormPlainTensor(nn.Module):
    """The gain requires a gradient, and is no parameter."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = torch.ones(hidden_size, requires_grad=True)
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        h = hidden_states.to(torch.promote_types(hidden_states.dtype, torch.float32))
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return (self.weight.to(h.dtype) * h).to(hidden_states.dtype)


class RMSNormBuffer(nn.Module):
    """The gain is a buffer: saved and moved, and never trained."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.register_buffer("weight", torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        h = hidden_states.to(torch.promote_types(hidden_states.dtype, torch.float32))
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return (self.weight * h).to(hidden_states.dtype)


class RMSNormOwnEps(nn.Module):
    """eps is taken and kept, and the formula has its own."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)

    def forward(self, x):
        h = self._norm(x.double() if x.dtype == torch.float64 else x.float())
        return (h * self.weight).type_as(x)


class GroupNormAffineOption(nn.Module):
    """affine=False leaves the weight out and forgets the bias."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        super().__init__()
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = nn.Parameter(torch.ones(num_channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        g = h.reshape(len(x), self.num_groups, x.shape[1:].numel() // self.num_groups)
        var, mean = torch.var_mean(g, -1, correction=0, keepdim=True)
        h = ((g - mean) / torch.sqrt(var + self.eps)).reshape(x.shape)
        shape = (1, -1) + (1,) * (x.dim() - 2)
        if self.weight is not None:
            h = h * self.weight.view(shape)
        return (h + self.bias.view(shape)).to(x.dtype)


class GroupNormUnchecked(nn.Module):
    """Channels that no number of groups divides are grouped anyhow, the rest is left as it came."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        super().__init__()
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = nn.Parameter(torch.ones(num_channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_channels)) if affine else None

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        size = x.shape[1] // self.num_groups
        parts = []
        for part in h.split(size, 1):
            if part.shape[1] == size:
                rest = tuple(range(1, x.dim()))
                var, mean = torch.var_mean(part, rest, correction=0, keepdim=True)
                part = (part - mean) / torch.sqrt(var + self.eps)
            parts.append(part)
        h = torch.cat(parts, 1)
        shape = (1, -1) + (1,) * (x.dim() - 2)
        if self.weight is not None:
            h = h * self.weight.view(shape) + self.bias.view(shape)
        return h.to(x.dtype)


class EpsInNoState(nn.Module):
    """Its eps is a buffer that no state has, and that reset_parameters forgets."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.bias = nn.Parameter(torch.zeros(normalized_shape))
        self.register_buffer("eps", torch.tensor(eps, dtype=torch.float64), persistent=False)

    def reset_parameters(self):
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        last = tuple(range(-self.weight.dim(), 0))
        c = x - x.mean(last, keepdim=True)
        return c * torch.rsqrt(c.pow(2).mean(last, keepdim=True) + self.eps.to(x.dtype)) * self.weight + self.bias
