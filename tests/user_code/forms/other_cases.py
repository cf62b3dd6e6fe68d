"""Instance norms with a mask or lengths in which one case takes the place of another; `own` alone is right."""

import torch


def own(marks):
    return marks


def of_first(marks):
    return marks[:1].expand(marks.shape) if len(marks) else marks


def of_any(mask):
    return mask.any(0, keepdim=True).expand(mask.shape)


def as_length(mask):
    return torch.arange(mask.shape[-1]).expand(mask.shape) < mask.sum(-1, keepdim=True)


def longest(lengths):
    return lengths.amax().expand(lengths.shape) if len(lengths) else lengths


def sorted_lengths(lengths):
    return lengths.sort(descending=True).values


def normalized(x, kept, weight, bias, eps):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = tuple(range(2, x.dim()))
    kept = kept.expand(wide.shape)
    count = kept.sum(axes, keepdim=True).clamp(min=1)
    mean = wide.where(kept, 0).sum(axes, keepdim=True) / count
    centered = (wide - mean).where(kept, 0)
    y = centered * torch.rsqrt(centered.square().sum(axes, keepdim=True) / count + eps)
    units = (1, -1) + (1,) * (x.dim() - 2)
    y = y if weight is None else y * weight.view(units)
    return (y if bias is None else y + bias.view(units)).to(x.dtype)


def masked(change):
    def function(x, mask, weight=None, bias=None, eps=1e-5):
        return normalized(x, change(mask).unsqueeze(1), weight, bias, eps)

    return function


def of_lengths(change):
    def function(x, lengths, weight=None, bias=None, eps=1e-5):
        kept = torch.arange(x.shape[-1]) < change(lengths).view(-1, *(1,) * (x.dim() - 1))
        return normalized(x, kept, weight, bias, eps)

    return function


mask_right, mask_of_first, mask_of_any, mask_as_length = map(masked, (own, of_first, of_any, as_length))
length_right, length_of_first, length_longest, length_sorted = map(of_lengths, (own, of_first, longest, sorted_lengths))
