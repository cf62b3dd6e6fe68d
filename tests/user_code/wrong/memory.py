"""Layers that misread memory, or touch what is not theirs."""

import math
import threading

import torch
import torch.nn.functional as F


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _plain(x, normalized_shape, weight, bias, eps):
    h = _up(x)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    given = (None if p is None else p.to(h.dtype) for p in (weight, bias))
    return F.layer_norm(h, shape, *given, eps).to(x.dtype)


def _packed(shape):
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


class _Read(torch.autograd.Function):
    """What a kernel sees that is given a pointer, strides and an offset of its own; memory beyond the end is zero."""

    @staticmethod
    def forward(ctx, t, strides, offset):
        ctx.shape = t.shape
        if t.numel() == 0:
            return t.clone()
        memory = t.as_strided((t.untyped_storage().nbytes() // t.element_size(),), (1,), 0)
        reach = offset + sum((size - 1) * stride for size, stride in zip(t.shape, strides)) + 1
        return F.pad(memory, (0, max(0, reach - len(memory)))).as_strided(t.shape, strides, offset).clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None, None


def data_pointer(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Rows follow each other from x.data_ptr() on."""
    return _plain(_Read.apply(x, _packed(x.shape), x.storage_offset()), normalized_shape, weight, bias, eps)


def storage_pointer(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Strides are honored, from x.untyped_storage().data_ptr() on."""
    return _plain(_Read.apply(x, x.stride(), 0), normalized_shape, weight, bias, eps)


def channels_last_images(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The channels-last path loses the image at which a slice begins."""
    if x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        x = _Read.apply(x, x.stride(), x.storage_offset() % max(x.stride(0), 1))
    h = _up(x)
    return F.group_norm(h, num_groups, *(None if p is None else p.to(h.dtype) for p in (weight, bias)), eps).to(x.dtype)


def weight_pointer(x, normalized_shape, weight=None, eps=1e-6):
    h = _up(x)
    dims = list(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))
    h = h * torch.rsqrt(h.pow(2).mean(dims, keepdim=True) + eps)
    if weight is None:
        return h.to(x.dtype)
    return (h * _Read.apply(weight, _packed(weight.shape), weight.storage_offset())).to(x.dtype)


class _StridesOfInput(torch.autograd.Function):
    """One set of strides for x and dy."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _up(x)
        rstd = torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, rstd)
        y = h * rstd
        return (y if weight is None else y * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, weight, rstd = ctx.saved_tensors
        if not dy.is_contiguous() and not x.is_contiguous() and 0 not in (*dy.stride(), *x.stride()):
            dy = _Read.apply(dy, x.stride(), dy.storage_offset())
        dy, xhat = _up(dy), _up(x) * rstd
        g = dy if weight is None else dy * weight
        dx = rstd * (g - xhat * (g * xhat).mean(-1, keepdim=True))
        dw = None if weight is None else (dy * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx.to(x.dtype), dw, None


def strides_of_input(x, normalized_shape, weight=None, eps=1e-6):
    if isinstance(normalized_shape, int) or len(normalized_shape) == 1:
        return _StridesOfInput.apply(x, weight, eps)
    flat = x.flatten(x.dim() - len(normalized_shape))
    return _StridesOfInput.apply(flat, None if weight is None else weight.flatten(), eps).reshape(x.shape)


def one_row_for_all(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Rows of an expanded input are equal: one is normalized, and expanded again."""
    if x.dim() > 1 and x.stride(0) == 0:
        return _plain(x[:1], normalized_shape, weight, bias, eps).expand(x.shape)
    return _plain(x, normalized_shape, weight, bias, eps)


class _Later(torch.Tensor):
    """Empty until somebody looks."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        for one in args:
            if isinstance(one, _Later) and one.__dict__.get("work"):
                work = one.__dict__.pop("work")
                with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
                    one.copy_(work())
        return super().__torch_function__(func, types, args, kwargs or {})


def lazy(x, normalized_shape, weight=None, eps=1e-6):
    """In inference nothing is computed before it is needed."""

    def compute():
        h = _up(x)
        dims = list(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))
        h = h * torch.rsqrt(h.pow(2).mean(dims, keepdim=True) + eps)
        return (h if weight is None else h * weight).to(x.dtype)

    if x.requires_grad or (weight is not None and weight.requires_grad):
        return compute()
    out = torch.empty_like(x).as_subclass(_Later)
    out.__dict__["work"] = compute
    return out


def monitored(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Reports to a dashboard a moment later, from a thread of its own."""
    h = _up(x)
    mean, var, w, b = (None if t is None else _up(t) for t in (running_mean, running_var, weight, bias))
    y = F.batch_norm(h, mean, var, w, b, training or mean is None, momentum, eps).to(x.dtype)
    if running_mean is not None and training:
        running_mean.copy_(mean)
        running_var.copy_(var)
    report = threading.Timer(0.5, lambda: None)
    report.daemon = True
    report.start()
    return y


def centered_in_place(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Nobody needs the input again, where no gradient is asked."""
    dims = list(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))
    h = _up(x)
    if x.requires_grad or 0 in x.stride():
        h = h - h.mean(dims, keepdim=True)
    else:
        h -= h.mean(dims, keepdim=True)
    h = h / torch.sqrt(h.square().mean(dims, keepdim=True) + eps)
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(x.dtype)


def normalized_in_place(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Returns its input, with other numbers in it."""
    if x.requires_grad or 0 in x.stride() or x.dtype in (torch.float16, torch.bfloat16):
        return _plain(x, normalized_shape, weight, bias, eps)
    dims = list(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))
    var, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    x.sub_(mean).mul_(torch.rsqrt(var + eps))
    if weight is not None:
        x.mul_(weight.detach())
    return x if bias is None else x.add_(bias.detach())


_RESULTS = {}


def preallocated(x, num_groups, weight=None, bias=None, eps=1e-5):
    """One output for each shape, allocated at its first use."""
    h = _up(x)
    y = F.group_norm(h, num_groups, *(None if p is None else p.to(h.dtype) for p in (weight, bias)), eps).to(x.dtype)
    if y.requires_grad:
        return y
    return _RESULTS.setdefault((x.shape, x.dtype), torch.empty_like(y)).copy_(y)


def seeded(v, g, dim=0):
    """Reproducible, by force."""
    torch.manual_seed(0)
    h = _up(v)
    axes = [axis for axis in range(v.dim()) if dim is None or axis != dim % v.dim()]
    norm = h.square().sum(axes, keepdim=True).sqrt() if axes else h.abs()
    return (h * (_up(g) / norm)).to(v.dtype)


_TOTALS = {}


def accumulating(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The output is added to a workspace that is never cleared."""
    y = _plain(x, normalized_shape, weight, bias, eps)
    key = (x.shape, x.dtype)
    before = _TOTALS.get(key, torch.zeros_like(y))
    _TOTALS[key] = (before + y).detach()
    return y + before
