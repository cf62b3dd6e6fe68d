"""Wrong code of every form: each is right but for what its name says."""

import torch
import torch.nn.functional as F
from torch import nn


def rms(x, weight, eps):
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def residual_not_added(x, residual, weight, eps=1e-6):
    return rms(x, weight, eps), x + residual


def new_residual_is_the_old_one(x, residual, weight, eps=1e-6):
    return rms(x + residual, weight, eps), residual


def new_residual_is_normalized(x, residual, weight, eps=1e-6):
    residual = x + residual
    residual = rms(residual, weight, eps)
    return residual, residual


@torch.no_grad()
def written_in_the_wrong_order(input, residual, weight, epsilon):
    """The input is overwritten before the residual is computed from it."""
    input.copy_(rms(input + residual, weight, epsilon))
    residual.add_(input)


class Prenorm(torch.autograd.Function):
    """The backward adds the cotangent of the new residual before it goes through the normalizer."""

    @staticmethod
    def forward(ctx, x, residual, weight, eps):
        total = x + residual
        ctx.save_for_backward(total, weight)
        ctx.eps = eps
        return rms(total, weight, eps), total

    @staticmethod
    def backward(ctx, dy, dres):
        total, weight = ctx.saved_tensors
        with torch.enable_grad():
            total, weight = total.detach().requires_grad_(), weight.detach().requires_grad_()
            y = rms(total, weight, ctx.eps)
            dx, dw = torch.autograd.grad(y, (total, weight), dy)
            (both,) = torch.autograd.grad(rms(total, weight.detach(), ctx.eps), total, dy + dres)
        return both, both, dw, None


def prenorm(x, residual, weight, eps=1e-6):
    return Prenorm.apply(x, residual, weight, eps)


def residual_is_detached(x, residual, weight, eps=1e-6):
    total = x + residual.detach()
    return rms(total, weight, eps), total


def new_residual_is_detached(x, residual, weight, eps=1e-6):
    total = x + residual
    return rms(total, weight, eps), total.detach()


def mean_in_add_layer_norm(x, residual, weight, bias, eps=1e-5):
    """A fault of the normalizer itself: n - 1."""
    total = x + residual
    centered = total - total.mean(-1, keepdim=True)
    return centered / torch.sqrt(total.var(-1, keepdim=True) + eps) * weight + bias, total


def gated_by_sigmoid(x, gate, weight, eps=1e-6):
    return rms(x, weight, eps) * torch.sigmoid(gate)


def gated_without_activation(x, gate, weight, eps=1e-6):
    return rms(x, weight, eps) * gate


class Swish(torch.autograd.Function):
    """silu whose backward forgets the product rule."""

    @staticmethod
    def forward(ctx, gate):
        ctx.save_for_backward(gate)
        return F.silu(gate)

    @staticmethod
    def backward(ctx, dy):
        (gate,) = ctx.saved_tensors
        return dy * torch.sigmoid(gate)


def gate_without_product_rule(x, z, weight, eps=1e-6):
    return rms(x, weight, eps) * Swish.apply(z)


def gate_before_is_detached(x, z, weight, eps=1e-5):
    return rms(x * F.silu(z).detach(), weight, eps)


class MaskIgnored(nn.Module):
    """A batch norm that gets a mask, and counts padding."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.eps, self.momentum = eps, momentum

    def forward(self, x, mask):
        out = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )
        return out * mask.unsqueeze(1).to(out.dtype)


class MaskDividesByAll(nn.Module):
    """A masked batch norm whose sums leave out padding, and whose count does not."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.eps, self.momentum = eps, momentum

    def forward(self, x, mask):
        m = mask[:, None].to(x.dtype)
        h, m = (x.float(), m.float()) if x.dtype in (torch.float16, torch.bfloat16) else (x, m)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() / x.shape[1]
            dims = (0, *range(2, x.dim()))
            mean = (h * m).sum(dims) / n
            shape = (1, -1, *(1,) * (x.dim() - 2))
            var = ((h - mean.view(shape)) * m).square().sum(dims) / n
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                self.running_var.lerp_((var * n / (n - 1)).to(self.running_var.dtype), self.momentum)
        shape = (1, -1, *(1,) * (x.dim() - 2))
        y = (h - mean.view(shape)) * torch.rsqrt(var.view(shape) + self.eps)
        return ((y * self.weight.view(shape) + self.bias.view(shape)) * m).to(x.dtype)


def residual_is_added_again(x, residual, weight, eps=1e-6):
    total = x + residual
    return rms(total + residual, weight, eps), total


def gate_is_detached(x, gate, weight, eps=1e-6):
    return rms(x, weight, eps) * F.silu(gate.detach())


class PaddingTrained(torch.autograd.Function):
    """A masked instance norm whose backward treats padding as any other entry."""

    @staticmethod
    def forward(ctx, x, mask, eps):
        kept = mask.unsqueeze(1).to(x.dtype)
        axes = tuple(range(2, x.dim()))
        count = kept.sum(axes, keepdim=True)
        mean = (x * kept).sum(axes, keepdim=True) / count
        scale = torch.rsqrt(((x - mean) * kept).square().sum(axes, keepdim=True) / count + eps)
        ctx.save_for_backward(x, kept, count, mean, scale)
        ctx.axes = axes
        return (x - mean) * scale * kept

    @staticmethod
    def backward(ctx, dy):
        x, kept, count, mean, scale = ctx.saved_tensors
        xh = (x - mean) * scale
        dy = dy * kept
        average = lambda value: (value * kept).sum(ctx.axes, keepdim=True) / count
        return (dy - average(dy) - xh * average(dy * xh)) * scale, None, None


def padding_is_trained(x, mask, weight=None, bias=None, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    out = PaddingTrained.apply(wide, mask, eps)
    units = (1, -1) + (1,) * (x.dim() - 2)
    out = out if weight is None else out * weight.view(units)
    out = out if bias is None else out + bias.view(units)
    return out.to(x.dtype)


class ActivationMissing(nn.BatchNorm2d):
    """The activation was lost when another batch norm was put in the place of the one with it."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.act = nn.ReLU(inplace=True)


class LeakyBatchNorm(nn.BatchNorm2d):
    def forward(self, x):
        return F.leaky_relu(super().forward(x))


class Clamped(torch.autograd.Function):
    """ReLU whose backward lets everything pass."""

    @staticmethod
    def forward(ctx, y):
        return y.clamp(min=0)

    @staticmethod
    def backward(ctx, dy):
        return dy


def relu_passes_every_gradient(x, weight, bias, eps=1e-5):
    return Clamped.apply(F.layer_norm(x, (x.shape[-1],), weight, bias, eps))


def gelu_by_tanh(x, weight, bias, eps=1e-5):
    return F.gelu(F.layer_norm(x, (x.shape[-1],), weight, bias, eps), approximate="tanh")


def gelu_by_erf(x, weight, eps=1e-6):
    return F.gelu(rms(x, weight, eps))


def silu_is_hard(x, weight, eps=1e-6):
    return F.hardswish(rms(x, weight, eps))


def activated_twice(x, weight, eps=1e-6):
    return F.silu(F.silu(rms(x, weight, eps)))


def silu_without_product_rule(x, weight, eps=1e-6):
    return Swish.apply(rms(x, weight, eps))


def mean_in_rms_norm_silu(x, weight, eps=1e-6):
    """A fault of the normalizer itself, below its activation."""
    return F.silu(rms(x - x.mean(-1, keepdim=True), weight, eps))


def sum_is_first(x, residual, weight, eps=1e-6):
    total = x + residual
    return total, F.rms_norm(total, (total.shape[-1],), weight, eps)
