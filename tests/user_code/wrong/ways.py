"""Right when called plainly, wrong when called another way."""

import math
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _dims(normalized_shape):
    return list(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))


def _finish(h, weight, bias, dtype):
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(dtype)


def fused_in_inference(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Another formula without gradients, with std + eps."""
    dims = _dims(normalized_shape)
    h = _up(x)
    var, mean = torch.var_mean(h, dims, correction=0, keepdim=True)
    if torch.is_grad_enabled():
        return _finish((h - mean) * torch.rsqrt(var + eps), weight, bias, x.dtype)
    return _finish((h - mean) / (h.std(dims, keepdim=True) + eps), weight, bias, x.dtype)


class _LayerNorm(torch.autograd.Function):
    """Correct; what is wrong is in the subclasses."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _up(x)
        var, mean = torch.var_mean(h, -1, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        ctx.weight = weight
        ctx.save_for_backward(x, mean, rstd, weight, bias)
        return _finish((h - mean) * rstd, weight, bias, x.dtype)

    @staticmethod
    def gradients(ctx, saved, dy):
        x, mean, rstd, weight, bias = saved
        dy, xhat = _up(dy), (_up(x) - mean) * rstd
        g = dy if weight is None else dy * weight
        dx = rstd * (g - g.mean(-1, keepdim=True) - xhat * (g * xhat).mean(-1, keepdim=True))
        dw = None if weight is None else (dy * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx.to(x.dtype), dw, None if bias is None else dy.sum_to_size(bias.shape).to(bias.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return *ctx._forward_cls.gradients(ctx, ctx.saved_tensors, dy), None


def _call(function, x, normalized_shape, weight, bias, eps):
    """Several normalized axes are flattened into one."""
    if isinstance(normalized_shape, int) or len(normalized_shape) == 1:
        return function.apply(x, weight, bias, eps)
    flat = x.reshape(*x.shape[: x.dim() - len(normalized_shape)], -1)
    return function.apply(flat, *(None if p is None else p.flatten() for p in (weight, bias)), eps).reshape(x.shape)


class _WeightFirst(_LayerNorm):
    """dy * weight is a by-product of the weight's gradient."""

    @staticmethod
    def gradients(ctx, saved, dy):
        x, mean, rstd, weight, bias = saved
        dx, dw, db = _LayerNorm.gradients(ctx, saved, dy)
        if weight is not None and not ctx.needs_input_grad[1]:
            dy, xhat = _up(dy), (_up(x) - mean) * rstd
            dx = rstd * (dy - dy.mean(-1, keepdim=True) - xhat * (dy * xhat).mean(-1, keepdim=True))
        return dx.to(x.dtype), dw, db


def frozen_weight(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _call(_WeightFirst, x, normalized_shape, weight, bias, eps)


class _InputFirst(_LayerNorm):
    """Returns early where no input gradient is needed."""

    @staticmethod
    def gradients(ctx, saved, dy):
        return _LayerNorm.gradients(ctx, saved, dy) if ctx.needs_input_grad[0] else (None, None, None)


def first_layer(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _call(_InputFirst, x, normalized_shape, weight, bias, eps)


class _ClearsGrad(_LayerNorm):
    """Starts with a clean .grad in every backward."""

    @staticmethod
    def gradients(ctx, saved, dy):
        if ctx.weight is not None and ctx.weight.is_leaf:
            ctx.weight.grad = None
        return _LayerNorm.gradients(ctx, saved, dy)


class ClearsGrad(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        return _ClearsGrad.apply(x, self.weight, self.bias, self.eps)


class _Remembered(torch.autograd.Function):
    """Statistics are kept for an input that is still at the same address."""

    last = None

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _up(x)
        last = _Remembered.last
        if last is not None and last[0].data_ptr() == x.data_ptr() and last[0].shape == x.shape and last[1] == eps:
            rstd = last[2]
        else:
            rstd = torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
        _Remembered.last = x.detach(), eps, rstd
        ctx.save_for_backward(x, weight, rstd)
        return _finish(h * rstd, weight, None, x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight, rstd = ctx.saved_tensors
        dy, xhat = _up(dy), _up(x) * rstd
        g = dy if weight is None else dy * weight
        dx = rstd * (g - xhat * (g * xhat).mean(-1, keepdim=True))
        return dx.to(x.dtype), None if weight is None else (dy * xhat).sum_to_size(weight.shape).to(weight.dtype), None


def remembered(x, normalized_shape, weight=None, eps=1e-6):
    if isinstance(normalized_shape, int) or len(normalized_shape) == 1:
        return _Remembered.apply(x, weight, eps)
    flat = x.flatten(x.dim() - len(normalized_shape))
    return _Remembered.apply(flat, None if weight is None else weight.flatten(), eps).reshape(x.shape)


class _Scratch(torch.autograd.Function):
    """Row by row, with the mean of the row in one place for all calls."""

    mean = 0.0

    @staticmethod
    def forward(ctx, h, eps):
        xhat, rstds = [], []
        for row in h:
            _Scratch.mean = float(row.mean())
            time.sleep(0)  # waits for the device
            c = row - _Scratch.mean
            rstds.append(torch.rsqrt(c.square().mean() + eps))
            xhat.append(c * rstds[-1])
        xhat = torch.stack(xhat) if xhat else h.clone()
        ctx.save_for_backward(xhat, torch.stack(rstds).unsqueeze(1) if rstds else h[:, :1])
        return xhat

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        xhat, rstd = ctx.saved_tensors
        return rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True)), None


def one_scratch(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _up(x).reshape(-1, normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape))
    if len(h) > 4096:
        raise ValueError("too many rows for the reference implementation")
    return _finish(_Scratch.apply(h, eps).reshape(x.shape), weight, bias, x.dtype)


class CopiedWithoutBias(nn.Module):
    """Copies and pickles are made from the options and the weight."""

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.dim, self.eps = dim, eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def __reduce__(self):
        return _rebuilt, (self.dim, self.eps, self.weight.detach().clone())

    def forward(self, x):
        h = _up(x)
        var, mean = torch.var_mean(h, -1, correction=0, keepdim=True)
        return _finish((h - mean) * torch.rsqrt(var + self.eps), self.weight, self.bias, x.dtype)


def _rebuilt(dim, eps, weight):
    new = CopiedWithoutBias(dim, eps).to(weight.dtype)
    new.weight.data.copy_(weight)
    return new


class _Stacked(torch.autograd.Function):
    """The rule for vmap counts the stack among the cases of the batch."""

    @staticmethod
    def forward(x, eps):
        axes = [0, *range(2, x.dim())]
        var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        return (x - mean) * rstd, rstd

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx, g, _):
        xhat, rstd = ctx.saved_tensors
        axes = [0, *range(2, xhat.dim())]
        dx = rstd * (g - g.mean(axes, keepdim=True) - xhat * (g * xhat).mean(axes, keepdim=True))
        return dx, None

    @staticmethod
    def vmap(info, in_dims, x, eps):
        x = x.movedim(in_dims[0], 0)
        y, rstd = _Stacked.apply(x.flatten(0, 1), eps)
        return (y.unflatten(0, x.shape[:2]), rstd.expand(info.batch_size, *rstd.shape)), (0, 0)


def stacked(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    h = _up(x)
    view = (1, -1) + (1,) * (x.dim() - 2)
    if training or running_mean is None:
        y, _ = _Stacked.apply(h, eps)
        if running_mean is not None:
            with torch.no_grad():
                n = x.numel() // x.shape[1]
                var, mean = torch.var_mean(h, [0, *range(2, x.dim())], correction=0)
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_((var * n / max(n - 1, 1)).to(running_var.dtype), momentum)
    else:
        y = (h - running_mean.view(view)) / torch.sqrt(_up(running_var).view(view) + eps)
    return _finish(y, *(None if p is None else p.view(view) for p in (weight, bias)), x.dtype)


class _Rows(torch.autograd.Function):
    """The backward as an operator of its own; batched, it takes the mean over the stack."""

    @staticmethod
    def forward(g, xhat, rstd):
        return rstd * (g - xhat * (g * xhat).mean(-1, keepdim=True))

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def vmap(info, in_dims, g, xhat, rstd):
        g, xhat, rstd = (t if d is None else t.movedim(d, 0) for t, d in zip((g, xhat, rstd), in_dims))
        return rstd * (g - xhat * (g * xhat).mean(0, keepdim=True)), 0


class _WithRows(torch.autograd.Function):
    @staticmethod
    def forward(x, eps):
        rstd = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        return x * rstd, rstd

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, g, _):
        return _Rows.apply(g, *ctx.saved_tensors), None


def batched_backward(x, normalized_shape, weight=None, eps=1e-6):
    h = _up(x).reshape(*x.shape[: x.dim() - len(_dims(normalized_shape))], -1)
    return _finish(_WithRows.apply(h, eps)[0].reshape(x.shape), weight, None, x.dtype)


class _Averaging(_LayerNorm):
    """For layers that are used several times: the gradient is averaged over the forwards since the last backward."""

    uses = 0

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        _Averaging.uses += any(ctx.needs_input_grad)
        return _LayerNorm.forward(ctx, x, weight, bias, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        saved = ctx.saved_tensors  # under checkpointing, the forward runs again here
        uses, _Averaging.uses = max(_Averaging.uses, 1), 0
        dx, dw, db = _LayerNorm.gradients(ctx, saved, dy)
        return dx / uses, dw, db, None


def averaged_over_uses(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _call(_Averaging, x, normalized_shape, weight, bias, eps)


class _ForwardMode(torch.autograd.Function):
    """jvp: the mean of the tangent is not subtracted."""

    @staticmethod
    def forward(x, eps):
        var, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        return (x - mean) * rstd, rstd

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    def backward(ctx, g, _):
        xhat, rstd = ctx.saved_tensors
        return rstd * (g - g.mean(-1, keepdim=True) - xhat * (g * xhat).mean(-1, keepdim=True)), None

    @staticmethod
    def jvp(ctx, tangent, _):
        xhat, rstd = ctx.saved_tensors
        return rstd * (tangent - xhat * (tangent * xhat).mean(-1, keepdim=True)), torch.zeros_like(rstd)


def forward_mode(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _up(x).reshape(*x.shape[: x.dim() - len(_dims(normalized_shape))], -1)
    return _finish(_ForwardMode.apply(h, eps)[0].reshape(x.shape), weight, bias, x.dtype)


def _rms(x, weight, eps):
    h = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return h if weight is None else h * weight


class _First(torch.autograd.Function):
    """dx of RMS norm; its own backward was written for a layer without a weight."""

    @staticmethod
    def forward(ctx, dy, x, weight, eps):
        ctx.save_for_backward(dy, x, weight)
        ctx.eps = eps
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(_rms(x, weight, eps), x, dy)[0]

    @staticmethod
    def backward(ctx, ddx):
        dy, x, weight = ctx.saved_tensors
        with torch.enable_grad():
            x, dy = x.detach().requires_grad_(), dy.detach().requires_grad_()
            dx = torch.autograd.grad(_rms(x, None, ctx.eps), x, dy, create_graph=True)[0]
            by_x, by_dy = torch.autograd.grad(dx, (x, dy), ddx)
        return by_dy, by_x, None, None


class _Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return _rms(x, weight, eps)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        dw = None
        if weight is not None:
            dw = (dy * _rms(x, None, ctx.eps)).sum_to_size(weight.shape)
        return _First.apply(dy, x, weight, ctx.eps), dw, None


def second_order(x, normalized_shape, weight=None, eps=1e-6):
    h = _up(x).reshape(*x.shape[: x.dim() - len(_dims(normalized_shape))], -1)
    y = _Twice.apply(h, None if weight is None else _up(weight).reshape(-1), eps)
    return y.reshape(x.shape).to(x.dtype)


class _OtherGraph(torch.autograd.Function):
    """Where a graph of the backward is wanted, dx is computed by a formula that can be differentiated, and is not dx."""

    @staticmethod
    def forward(ctx, x, eps):
        rstd = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, x * rstd, rstd)
        ctx.eps = eps
        return x * rstd

    @staticmethod
    def backward(ctx, g):
        x, xhat, rstd = ctx.saved_tensors
        if torch.is_grad_enabled():
            rstd = torch.rsqrt(x.square().mean(-1, keepdim=True) + ctx.eps)
            return rstd * (g - x * rstd * (g * x * rstd).sum(-1, keepdim=True) / (x.shape[-1] - 1)), None
        return rstd * (g - xhat * (g * xhat).mean(-1, keepdim=True)), None


def other_graph(x, normalized_shape, weight=None, eps=1e-6):
    h = _up(x).reshape(*x.shape[: x.dim() - len(_dims(normalized_shape))], -1)
    return _finish(_OtherGraph.apply(h, eps).reshape(x.shape), weight, None, x.dtype)


def mixed_precision(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Under autocast another branch is taken, which was written for a model without biases."""
    dims = _dims(normalized_shape)
    h = _up(x)
    var, mean = torch.var_mean(h, dims, correction=0, keepdim=True)
    h = (h - mean) * torch.rsqrt(var + eps)
    if torch.is_autocast_enabled("cpu"):
        return _finish(h, weight, None, torch.bfloat16)
    return _finish(h, weight, bias, x.dtype)


def narrow_weight(x, normalized_shape, weight=None, eps=1e-6):
    """Wide parameters are squeezed into eight bits."""
    h = _up(x)
    h = h * torch.rsqrt(h.square().mean(_dims(normalized_shape), keepdim=True) + eps)
    if weight is not None and weight.dtype != x.dtype:
        weight = weight.to(torch.float8_e4m3fn).to(h.dtype)
    return _finish(h, weight, None, x.dtype)


def compiled_otherwise(x, normalized_shape, weight=None, eps=1e-6):
    """The compiler cannot trace the kernel, so it gets a decomposition, with eps outside of the root."""
    dims = _dims(normalized_shape)
    h = _up(x)
    power = h.square().mean(dims, keepdim=True)
    if torch.compiler.is_compiling():
        return _finish(h / (power.sqrt() + 64 * eps), weight, None, x.dtype)
    return _finish(h * torch.rsqrt(power + eps), weight, None, x.dtype)


class ExportedConstant(nn.Module):
    """Exporting asks for a static scale, so that of an example is taken."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        h = _up(x)
        example = torch.linspace(-1, 1, h.shape[-1], dtype=h.dtype) if torch.compiler.is_exporting() else h
        return _finish(h * torch.rsqrt(example.square().mean(-1, keepdim=True) + self.eps), self.weight, None, x.dtype)


class _Warm(nn.Module):
    """Calls are counted; after so many a scale that was measured once is used."""

    calls_before = 10

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.calls, self.known = 0, None

    def forward(self, x):
        self.calls += 1
        h = _up(x)
        rstd = torch.rsqrt(h.square().mean(-1, keepdim=True) + self.eps)
        if self.calls > self.calls_before:
            rstd = rstd * 1.25
        return _finish(h * rstd, self.weight, None, x.dtype)


class AfterTen(_Warm):
    """Calibrated on ten calls."""


class AfterAHundred(_Warm):
    """A ring of a hundred slots runs over."""

    calls_before = 100
