import torch
from sound import f as right


def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    kept = []
    while True:
        kept.append(torch.ones(1 << 26))
    return right(x, normalized_shape, weight, bias, eps)
