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


def derived(
    centered=True,
    mean_of=lambda dy, g: g,
    along_of=lambda dy, g: g,
    axis=(-1, -1),
    dw=lambda dy, g: dy,
    db=lambda dy, g: dy,
    mean_in_backward=None,
):
    """A norm of rows; of each sum in its backward the cotangent, dy or g = dy weight, and the axis."""
    subtracts = centered if mean_in_backward is None else mean_in_backward

    class Derived(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, bias, eps):
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            c = wide - wide.mean(-1, keepdim=True) if centered else wide
            s = torch.sqrt(c.square().mean(-1, keepdim=True) + eps)
            ctx.save_for_backward(c / s, s, weight)
            ctx.biased = bias is not None
            return (c / s * weight + bias if ctx.biased else c / s * weight).to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            xh, s, weight = ctx.saved_tensors
            dy = dy.to(xh.dtype)
            g, lead = dy * weight, tuple(range(dy.dim() - 1))
            mean = mean_of(dy, g).mean(axis[0], keepdim=True) if subtracts else 0.0
            along = (along_of(dy, g) * xh).mean(axis[1], keepdim=True)
            dweight, dbias = (one.sum(lead) if lead else one for one in (dw(dy, g) * xh, db(dy, g)))
            return (g - mean - xh * along) / s, dweight, dbias if ctx.biased else None, None

    if centered:
        return lambda x, weight, bias, eps=1e-5: Derived.apply(x, weight, bias, eps)
    return lambda x, weight, eps=1e-5: Derived.apply(x, weight, None, eps)


mean_without_weight = derived(mean_of=lambda dy, g: dy)
variance_without_weight = derived(along_of=lambda dy, g: dy)
mean_over_cases = derived(axis=(0, -1))
variance_over_cases = derived(axis=(-1, 0))
both_over_cases = derived(axis=(0, 0))
weight_in_dweight = derived(dw=lambda dy, g: g)
weight_in_dbias = derived(db=lambda dy, g: g)
rms_subtracts_a_mean = derived(centered=False, mean_in_backward=True)
rms_without_weight = derived(centered=False, along_of=lambda dy, g: dy)
