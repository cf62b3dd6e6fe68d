"""Wrong code of forms: what is around the normalizer is in another place, or another function."""

import torch
import torch.nn.functional as F


def rms(x, weight, eps):
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def residual_subtracted(x, residual, weight, eps=1e-6):
    total = x - residual
    return rms(total, weight, eps), total


def post_addition(x, residual, weight, eps=1e-6):
    return rms(x, weight, eps) + residual, x + residual


def input_goes_on(x, residual, weight, eps=1e-6):
    return rms(x + residual, weight, eps), x.clone()


def gated_by_gelu(x, z, weight, eps=1e-6):
    return rms(x, weight, eps) * F.gelu(z)


class Gated(torch.autograd.Function):
    """y = rms(x) weight silu(z) with a backward written by hand; `slip` is what it forgets."""

    @staticmethod
    def forward(ctx, x, z, weight, eps, slip):
        wide = x.double() if x.dtype == torch.float64 else x.float()
        unit = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, z, weight)
        ctx.eps, ctx.slip = eps, slip
        return (unit * weight * F.silu(z.to(wide.dtype))).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, z, weight = ctx.saved_tensors
        wide = x.double() if x.dtype == torch.float64 else x.float()
        g, w, d = z.to(wide.dtype), weight.to(wide.dtype), dy.to(wide.dtype)
        rstd = torch.rsqrt(wide.square().mean(-1, keepdim=True) + ctx.eps)
        unit, s = wide * rstd, torch.sigmoid(g)
        gate, slope = g * s, s * (1 + g * (1 - s))
        if ctx.slip == "slope":
            slope = s * (1 - s)
        c = d * w * (1.0 if ctx.slip == "dx" else gate)
        dx = (c - unit * (c * unit).mean(-1, keepdim=True)) * rstd
        dz = d * unit * slope * (1.0 if ctx.slip == "dz" else w)
        dw = (d * unit * (1.0 if ctx.slip == "dw" else gate)).reshape(-1, x.shape[-1]).sum(0)
        return dx.to(x.dtype), dz.to(z.dtype), dw.to(weight.dtype), None, None


def slope_of_sigmoid(x, z, weight, eps=1e-6):
    return Gated.apply(x, z, weight, eps, "slope")


def gate_gradient_without_weight(x, z, weight, eps=1e-6):
    return Gated.apply(x, z, weight, eps, "dz")


def dx_without_gate(x, z, weight, eps=1e-6):
    return Gated.apply(x, z, weight, eps, "dx")


def dweight_without_gate(x, z, weight, eps=1e-6):
    return Gated.apply(x, z, weight, eps, "dw")


def shift_for_scale(x, scale, shift, eps=1e-5):
    """One projection gives both, and they are taken in the wrong order."""
    shift, scale = scale, shift
    return F.layer_norm(x, (x.shape[-1],), None, None, eps) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)
