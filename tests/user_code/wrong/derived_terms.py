"""Backward passes that somebody derived by hand, each with one factor that it should not have; `right` has none."""

import torch


def layer_norm(mean_factor=lambda n, s: 1.0, variance_factor=lambda n, s: 1.0):
    class Derived(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, bias, eps):
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            centered = wide - wide.mean(-1, keepdim=True)
            s = torch.sqrt(centered.square().mean(-1, keepdim=True) + eps)
            ctx.save_for_backward(centered / s, s, weight)
            return (centered / s * weight + bias).to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            xh, s, weight = ctx.saved_tensors
            dy, n = dy.to(xh.dtype), xh.shape[-1]
            g, lead = dy * weight, tuple(range(dy.dim() - 1))
            mean = mean_factor(n, s) * g.mean(-1, keepdim=True)
            along = variance_factor(n, s) * (g * xh).mean(-1, keepdim=True)
            dweight, dbias = (one.sum(lead) if lead else one for one in (dy * xh, dy))
            return (g - mean - xh * along) / s, dweight, dbias, None

    def function(x, weight, bias, eps=1e-5):
        return Derived.apply(x, weight, bias, eps)

    return function


right = layer_norm()
mean_is_sum = layer_norm(mean_factor=lambda n, s: n)
mean_halved = layer_norm(mean_factor=lambda n, s: 0.5)
mean_added = layer_norm(mean_factor=lambda n, s: -1.0)
variance_halved = layer_norm(variance_factor=lambda n, s: 0.5)
variance_is_sum = layer_norm(variance_factor=lambda n, s: n)
variance_by_deviation = layer_norm(variance_factor=lambda n, s: 1.0 / s)
variance_times_square = layer_norm(variance_factor=lambda n, s: s * s)
both_by_fewer = layer_norm(lambda n, s: n / max(n - 1, 1), lambda n, s: n / max(n - 1, 1))
