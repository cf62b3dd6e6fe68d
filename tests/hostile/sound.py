import torch


def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)


def g(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Another that is right."""
    return f(x, normalized_shape, weight, bias, eps)
