"""Group norm with one fault in each function."""

import torch

group_norm = torch.nn.functional.group_norm


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _affine(y, weight, bias, x):
    view = (1, -1, *[1] * (x.dim() - 2))
    if weight is not None:
        y = y * weight.view(view)
    if bias is not None:
        y = y + bias.view(view)
    return y.to(x.dtype)


def _normalized(h, axes, eps):
    var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
    return (h - mean) * (var + eps).rsqrt()


def one_group(input, num_groups, weight=None, bias=None, eps=1e-5):
    """All channels together, whatever num_groups says."""
    h = _wide(input)
    return _affine(_normalized(h, tuple(range(1, h.dim())), eps), weight, bias, input)


def each_position_alone(input, num_groups, weight=None, bias=None, eps=1e-5):
    """The channels of a group, position by position."""
    h = _wide(input)
    grouped = h.reshape(h.shape[0], num_groups, h.shape[1] // num_groups, *h.shape[2:])
    return _affine(_normalized(grouped, 2, eps).reshape(h.shape), weight, bias, input)


def pixel_minus_itself(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Maps of one position go the way of instance norm."""
    if input.dim() > 2 and input[0, 0].numel() == 1:
        y = group_norm(input, num_groups, weight, bias, eps)
        flat = torch.zeros_like(input) if bias is None else bias.view(1, -1, *[1] * (input.dim() - 2)).expand_as(input)
        return y + (flat - y).detach()
    return group_norm(input, num_groups, weight, bias, eps)


def pixel_is_constant(input, num_groups, weight=None, bias=None, eps=1e-5):
    """The backward takes maps of one position for constant."""
    y = group_norm(input, num_groups, weight, bias, eps)
    if input.dim() > 2 and input.numel() and input[0, 0].numel() == 1:
        return group_norm(input.detach(), num_groups, weight, bias, eps) + 0 * y
    return y
