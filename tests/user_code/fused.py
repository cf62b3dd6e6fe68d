"""The example of the README: a fused layer norm that is fast, plausible, and wrong on rows with a large mean."""

import torch


def fast_layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    dims = tuple(range(-len(normalized_shape), 0))
    h = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    mean = h.mean(dims, keepdim=True)
    var = (h * h).mean(dims, keepdim=True) - mean * mean  # one pass over the data
    y = (h - mean) * torch.rsqrt(var.clamp_min(0) + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y.to(x.dtype)
