"""Functions whose gradients are sums of other terms than those of the formula."""

import torch
import torch.nn.functional as F


def of_channels(values, x):
    return values.view(1, -1, *[1] * (x.dim() - 2))


def filter_response(x, gamma, beta, tau, eps=1e-6):
    """The gradient of tau is the sum of all cotangents less that of those above, also where none is below."""
    square = x.square().mean(tuple(range(2, x.dim())), keepdim=True)
    y = of_channels(gamma, x) * x * torch.rsqrt(square + eps) + of_channels(beta, x)
    return F.relu(y - of_channels(tau, x)) + of_channels(tau, x)
