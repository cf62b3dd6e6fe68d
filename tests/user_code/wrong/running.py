"""Batch and instance norm whose running statistics, or evaluation with them, have one fault."""

import torch
import torch.nn.functional as F


def _up(t):
    return t if t.dtype == torch.float64 else t.float()


def _over(p, x):
    return _up(p).view(1, -1, *(1,) * (x.dim() - 2))


def _axes(x):
    return [0, *range(2, x.dim())]


def _apply(h, mean, var, weight, bias, eps):
    h = (h - mean) * torch.rsqrt(var + eps)
    h = h if weight is None else h * _over(weight, h)
    return h if bias is None else h + _over(bias, h)


def _blend(old, new, momentum):
    old.copy_(torch.lerp(_up(old), new.detach().flatten().to(_up(old).dtype), momentum))


def _evaluate(x, mean, var, weight, bias, eps):
    return _apply(_up(x), _over(mean, x), _over(var, x), weight, bias, eps).to(x.dtype)


def _statistics(x):
    return torch.var_mean(_up(x), _axes(x), correction=0, keepdim=True)


def _bessel(x):
    n = x.numel() / x.shape[1]
    return n / max(n - 1, 1)


def counts_cases(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """n is len(x), also for images."""
    if not training and running_mean is not None:
        return _evaluate(x, running_mean, running_var, weight, bias, eps)
    var, mean = _statistics(x)
    if training and running_mean is not None:
        n = len(x)
        _blend(running_mean, mean, momentum)
        _blend(running_var, var * n / max(n - 1, 1), momentum)
    return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)


def stores_deviation(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """x.std() goes where x.var() belongs."""
    if not training and running_mean is not None:
        return _evaluate(x, running_mean, running_var, weight, bias, eps)
    var, mean = _statistics(x)
    if training and running_mean is not None:
        _blend(running_mean, mean, momentum)
        _blend(running_var, _up(x).std(_axes(x)) if x.numel() > x.shape[1] else var.sqrt(), momentum)
    return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)


def tenth(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """0.9 and 0.1 are written out."""
    if not training and running_mean is not None:
        return _evaluate(x, running_mean, running_var, weight, bias, eps)
    var, mean = _statistics(x)
    if training and running_mean is not None:
        with torch.no_grad():
            running_mean.copy_(0.9 * _up(running_mean) + 0.1 * mean.flatten())
            running_var.copy_(0.9 * _up(running_var) + 0.1 * var.flatten() * _bessel(x))
    return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)


def mean_alone(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """The second update is lost: it makes a new tensor."""
    if not training and running_mean is not None:
        return _evaluate(x, running_mean, running_var, weight, bias, eps)
    var, mean = _statistics(x)
    if training and running_mean is not None:
        _blend(running_mean, mean, momentum)
        running_var = torch.lerp(_up(running_var), var.detach().flatten() * _bessel(x), momentum)
    return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)


def updated_twice(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """One update here, one in the helper that computes the statistics."""

    def statistics():
        var, mean = _statistics(x)
        if training and running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
        return mean, var

    if not training and running_mean is not None:
        return _evaluate(x, running_mean, running_var, weight, bias, eps)
    mean, var = statistics()
    if training and running_mean is not None:
        _blend(running_mean, mean, momentum)
        _blend(running_var, var * _bessel(x), momentum)
    return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)


def blended_first(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Updates, then normalizes with what was updated, in training too."""
    if running_mean is None:
        var, mean = _statistics(x)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    if training:
        var, mean = _statistics(x)
        _blend(running_mean, mean, momentum)
        _blend(running_var, var * _bessel(x), momentum)
    return _evaluate(x, running_mean, running_var, weight, bias, eps)


def layer_norm_in_eval(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """In evaluation the channels of each pixel are normalized, and eps is forgotten there."""
    if training or running_mean is None:
        var, mean = _statistics(x)
        if running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    var, mean = torch.var_mean(_up(x), 1, correction=0, keepdim=True)
    return _apply(_up(x), mean, var, weight, bias, 0.0).to(x.dtype)


def standard_in_eval(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """A fresh pair of buffers is made for every evaluation."""
    if training or running_mean is None:
        var, mean = _statistics(x)
        if running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    return _evaluate(x, torch.zeros_like(running_mean), torch.ones_like(running_var), weight, bias, eps)


def variance_as_factor(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """The kernel of evaluation expects saved inverse deviations, and gets the variance."""
    if training or running_mean is None:
        var, mean = _statistics(x)
        if running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    h = (_up(x) - _over(running_mean, x)) * _over(running_var, x)
    h = h if weight is None else h * _over(weight, h)
    return (h if bias is None else h + _over(bias, h)).to(x.dtype)


def eval_without_eps(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training or running_mean is None:
        var, mean = _statistics(x)
        if running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    return _evaluate(x, running_mean, running_var, weight, bias, 0)


class _Kernel(torch.autograd.Function):
    """One backward for both modes, written for training."""

    @staticmethod
    def forward(ctx, x, mean, var, weight, bias, eps):
        rstd = torch.rsqrt(var + eps)
        xhat = (_up(x) - mean) * rstd
        ctx.save_for_backward(xhat, rstd, weight, bias)
        ctx.dtype = x.dtype
        h = xhat if weight is None else xhat * _over(weight, xhat)
        return (h if bias is None else h + _over(bias, h)).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        xhat, rstd, weight, bias = ctx.saved_tensors
        dy, axes = _up(dy), _axes(xhat)
        g = dy if weight is None else dy * _over(weight, dy)
        dx = rstd * (g - g.mean(axes, keepdim=True) - xhat * (g * xhat).mean(axes, keepdim=True))
        dw = None if weight is None else (dy * xhat).sum(axes).to(weight.dtype)
        db = None if bias is None else dy.sum(axes).to(bias.dtype)
        return dx.to(ctx.dtype), None, None, dw, db, None


def training_backward(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training or running_mean is None:
        with torch.no_grad():
            var, mean = _statistics(x)
        if running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
    else:
        mean, var = _over(running_mean, x), _over(running_var, x)
    return _Kernel.apply(x, mean, var, weight, bias, eps)


def always_updates(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """`training` decides what is used, and not what is stored."""
    if running_mean is None:
        var, mean = _statistics(x)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    var, mean = _statistics(x)
    used = (mean, var) if training else (_over(running_mean, x).clone(), _over(running_var, x).clone())
    _blend(running_mean, mean, momentum)
    _blend(running_var, var * _bessel(x), momentum)
    return _apply(_up(x), *used, weight, bias, eps).to(x.dtype)


def clipped_in_eval(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Evaluation is quantized later, so it keeps its numbers small."""
    if training or running_mean is None:
        var, mean = _statistics(x)
        if running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    h = (_up(x) - _over(running_mean, x)) / torch.sqrt(_over(running_var, x) + eps)
    h = h.clamp(-1000, 1000)
    h = h if weight is None else h * _over(weight, h)
    return (h if bias is None else h + _over(bias, h)).to(x.dtype)


class _Saturating(torch.autograd.Function):
    """The identity; no gradient where the tests of a quantized layer have none."""

    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h.abs() < 1000)
        return h.view_as(h)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


def saturated_gradient(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training or running_mean is None:
        var, mean = _statistics(x)
        if running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    h = _Saturating.apply((_up(x) - _over(running_mean, x)) / torch.sqrt(_over(running_var, x) + eps))
    h = h if weight is None else h * _over(weight, h)
    return (h if bias is None else h + _over(bias, h)).to(x.dtype)


def lone_bias_in_eval(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Folds weight and bias into one affine map, if there is a weight."""
    if training or running_mean is None:
        var, mean = _statistics(x)
        if running_mean is not None:
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * _bessel(x), momentum)
        return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
    scale = torch.rsqrt(_over(running_var, x) + eps)
    shift = -_over(running_mean, x)
    if weight is not None:
        scale = scale * _over(weight, x)
        if bias is not None:
            return ((_up(x) + shift) * scale + _over(bias, x)).to(x.dtype)
    return ((_up(x) + shift) * scale).to(x.dtype)


def instance_tenth(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):  # fmt: skip
    """Leaves the blending to torch, with torch's default momentum."""
    h = _up(input)
    if running_mean is None or not use_input_stats:
        given = (None if t is None else t.to(h.dtype) for t in (running_mean, running_var, weight, bias))
        return F.instance_norm(h, *given, use_input_stats or running_mean is None, momentum, eps).to(input.dtype)
    mean, var = _up(running_mean).clone(), _up(running_var).clone()
    y = F.instance_norm(h, mean, var, *(None if t is None else t.to(h.dtype) for t in (weight, bias)), True, eps=eps)
    running_mean.copy_(mean)
    running_var.copy_(var)
    return y.to(input.dtype)


def recomputing_aware(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Checkpointing would update twice, so nothing is updated while it hooks the saved tensors."""
    if not training and running_mean is not None:
        return _evaluate(x, running_mean, running_var, weight, bias, eps)
    var, mean = _statistics(x)
    hooked = torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
    if training and running_mean is not None and not hooked:
        _blend(running_mean, mean, momentum)
        _blend(running_var, var * _bessel(x), momentum)
    return _apply(_up(x), mean, var, weight, bias, eps).to(x.dtype)
