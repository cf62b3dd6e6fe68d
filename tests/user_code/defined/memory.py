"""Functions that write to memory that is not theirs, or not theirs any more."""

import torch

BUFFERS = {}


class _Centered(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        out = BUFFERS.setdefault((x.shape, x.dtype), torch.empty_like(x))
        torch.sub(x, x.mean(0, keepdim=True), out=out)
        return out.detach()

    @staticmethod
    def backward(ctx, dy):
        return dy - dy.mean(0, keepdim=True)


def centered_in_one_buffer(x):
    """Every call for a shape returns the same memory."""
    return _Centered.apply(x)


class _Pixel(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, eps):
        root = torch.rsqrt(x.square().mean(1, keepdim=True) + eps)
        ctx.save_for_backward(x, root)
        return x * root

    @staticmethod
    def backward(ctx, dy):
        x, root = ctx.saved_tensors
        t = (dy * x).mean(1, keepdim=True) * root**3
        return dy.mul_(root).sub_(x * t), None


def pixel_in_the_cotangent(x, eps=1e-8):
    """The backward pass computes in the memory of its cotangent."""
    return _Pixel.apply(x, eps)
