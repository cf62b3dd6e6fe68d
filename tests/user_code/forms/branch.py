"""Code that adds the bias of the layer before, or has dropout; wrong code is right but for what its name says."""

import torch
import torch.nn.functional as F
from torch import nn


def rms(x, weight, eps):
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def bias_residual_layer_norm(input, bias, residual, gamma, beta, epsilon=1e-5):
    """The names of kernels for inference: `bias` is that of the projection, `beta` that of the normalizer."""
    total = input + bias + residual
    return F.layer_norm(total, total.shape[-1:], gamma, beta, epsilon), total


def bias_residual_rms_norm(x, residual, weight, bias, eps=1e-6):
    """A normalizer without a bias: the one that is given belongs to the branch."""
    total = (x + residual) + bias
    return rms(total, weight, eps), total


def fused_rms_norm(x, norm_weight, norm_bias=None, epsilon=1e-6, bias=None, residual=None):
    """Optional parts, in another order."""
    total = x if bias is None else x + bias
    total = total if residual is None else residual + total
    y = rms(total, norm_weight, epsilon)
    return (y if norm_bias is None else y + norm_bias), total


@torch.no_grad()
def in_place(input, residual, linear_bias, weight, eps):
    """Writes both results in place, and rounds the sum once."""
    wide = torch.promote_types(input.dtype, torch.float32)
    residual.copy_(residual.to(wide) + (input.to(wide) + linear_bias.to(wide)))
    input.copy_(rms(residual, weight, eps))


class BiasDropoutAddNorm(nn.Module):
    """The end of a transformer's sublayer."""

    def __init__(self, hidden_size, eps=1e-12, hidden_dropout_prob=0.1):
        super().__init__()
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=eps)
        self.dropout = nn.Dropout(hidden_dropout_prob)

    def forward(self, hidden_states, input_tensor):
        return self.LayerNorm(self.dropout(hidden_states) + input_tensor)


def dropout_add_layer_norm(x0, residual, weight, bias, dropout_p, epsilon, rowscale=None, layerscale=None,
                           prenorm=False):  # fmt: skip
    """The names of a fused kernel for training: `bias` is that of the normalizer."""
    kept = x0 if rowscale is None else x0 * rowscale[..., None]
    kept = kept if layerscale is None else kept * layerscale
    kept = F.dropout(kept, dropout_p)
    total = kept if residual is None else kept + residual
    y = F.layer_norm(total, total.shape[-1:], weight, bias, epsilon)
    return (y, total) if prenorm else y


def fused_bias_dropout_residual_layer_norm(
    x, residual, bias=None, ln_scale=None, ln_bias=None, dropout_rate=0.5, ln_epsilon=1e-5, training=True
):
    kept = x if bias is None else x + bias
    total = residual + F.dropout(kept, dropout_rate, training)
    return F.layer_norm(total, total.shape[-1:], ln_scale, ln_bias, ln_epsilon)


@torch.no_grad()
def bias_residual_rms_norm_int8(x, residual, bias, weight, eps=1e-6):
    total = x + bias + residual
    y = rms(total, weight, eps)
    y = y.to(torch.promote_types(y.dtype, torch.float32))
    top = y.abs().amax(-1, keepdim=True) if y.shape[-1] else y.new_zeros(*y.shape[:-1], 1)
    scale = torch.where(top > 0, top / 127, 1.0)
    return torch.round(y / scale).clamp(-128, 127).to(torch.int8), scale, total


@torch.no_grad()
def int8_without_bias(x, residual, bias, weight, eps=1e-6):
    q, scale, _ = bias_residual_rms_norm_int8(x, residual, bias, weight, eps)
    return q, scale, x + residual


def bias_not_added(x, residual, branch_bias, weight, eps=1e-6):
    total = x + residual
    return rms(total, weight, eps), total


def bias_added_after(x, residual, branch_bias, weight, eps=1e-6):
    total = x + residual
    return rms(total, weight, eps) + branch_bias, total


def bias_added_twice(x, residual, branch_bias, weight, eps=1e-6):
    total = x + branch_bias + (residual + branch_bias)
    return rms(total, weight, eps), total


def residual_without_bias(x, residual, branch_bias, weight, eps=1e-6):
    return rms(x + residual + branch_bias, weight, eps), x + residual


def bias_is_detached(x, residual, branch_bias, weight, eps=1e-6):
    total = x + residual + branch_bias.detach()
    return rms(total, weight, eps), total


class MeanOfCases(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, bias):
        return x + bias

    @staticmethod
    def backward(ctx, dy):
        return dy, dy.mean(tuple(range(dy.dim() - 1)))


def bias_gradient_averaged(x, residual, branch_bias, weight, eps=1e-6):
    total = MeanOfCases.apply(x, branch_bias) + residual
    return rms(total, weight, eps), total


def keeps_p(x, residual, weight, dropout_p, eps=1e-6):
    total = x * (torch.rand_like(x) < dropout_p).to(x.dtype) + residual
    return rms(total, weight, eps), total


def divides_by_p(x, residual, weight, dropout_p, eps=1e-6):
    total = x * (torch.rand_like(x) >= dropout_p).to(x.dtype) / dropout_p + residual
    return rms(total, weight, eps), total


class Dropped(torch.autograd.Function):
    """Its backward multiplies by p."""

    @staticmethod
    def forward(ctx, x, p):
        ctx.p = p
        return F.dropout(x, p)

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.p, None


def gradient_times_p(x, residual, weight, dropout_p, eps=1e-6):
    total = Dropped.apply(x, dropout_p) + residual
    return rms(total, weight, eps), total
