"""Layer norm that is right on a fresh tensor in a plain call, and wrong where memory, calls or transforms matter."""

import copy
import math
import threading

import torch
from torch import nn
from torch.autograd.function import once_differentiable

norm = torch.nn.functional.layer_norm


def _shape(normalized_shape):
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class _Reader(torch.autograd.Function):
    """Normalizes what it reads in place of the input and the weight; the gradient is that of what it read."""

    @staticmethod
    def forward(ctx, x, shape, weight, bias, eps, read, read_weight):
        h, w = read(x), None if weight is None else read_weight(weight)
        ctx.save_for_backward(h, w, bias)
        ctx.shape, ctx.eps = shape, eps
        return norm(h, shape, w, bias, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        with torch.enable_grad():
            leaves = [None if t is None else t.detach().requires_grad_() for t in ctx.saved_tensors]
            y = norm(leaves[0], ctx.shape, leaves[1], leaves[2], ctx.eps)
        there = [t for t in leaves if t is not None]
        grads = dict(zip(map(id, there), torch.autograd.grad(y, there, dy), strict=True))
        dx, dw, db = (None if t is None else grads[id(t)] for t in leaves)
        return dx, None, dw, db, None, None, None


def _memory(t):
    return torch.as_strided(t, (t.untyped_storage().nbytes() // t.element_size(),), (1,), 0)


def _walk(t, strides, offset):
    """A tensor of that shape read from its storage in another way; nothing is behind the storage's end."""
    memory = _memory(t)
    reach = offset + sum((k - 1) * step for k, step in zip(t.shape, strides, strict=True)) + 1
    if t.numel() == 0:
        return t.clone()
    if reach > len(memory):
        memory = torch.cat([memory, memory.new_full((reach - len(memory),), math.nan)])
    return torch.as_strided(memory, t.shape, strides, offset).clone()


def _dense(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return strides


def _packed(t):
    return t.clone() if t.is_contiguous() else _walk(t, _dense(t.shape), t.storage_offset())


def _from_the_start(t):
    return t.clone() if t.is_contiguous() and not t.storage_offset() else _walk(t, t.stride(), 0)


def pointer_arithmetic(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Row i is at i times the width behind the first entry."""
    return _Reader.apply(x, _shape(normalized_shape), weight, bias, eps, _packed, torch.clone)


def storage_for_data_pointer(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _Reader.apply(x, _shape(normalized_shape), weight, bias, eps, _from_the_start, torch.clone)


def weight_by_pointer(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _Reader.apply(x, _shape(normalized_shape), weight, bias, eps, torch.clone, _packed)


class _Deferred(torch.Tensor):
    """Says what it is when it is asked."""


def deferred(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return norm(x, _shape(normalized_shape), weight, bias, eps).as_subclass(_Deferred)


def on_another_thread(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    done = threading.Event()
    result = []

    def work():
        result.append(norm(x, _shape(normalized_shape), weight, bias, eps))
        done.set()
        threading.Event().wait(0.05)

    threading.Thread(target=work, daemon=True).start()
    done.wait()
    return result[0]


def in_place(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = norm(x, _shape(normalized_shape), weight, bias, eps)
    with torch.no_grad():
        x.detach().copy_(y)
    return y


def view_of_input(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The result is written where the input was, and the input is returned."""
    y = norm(x, _shape(normalized_shape), weight, bias, eps)
    with torch.no_grad():
        x.detach().copy_(y)
    return x.detach() if not y.requires_grad else y


_BUFFERS = {}


def one_buffer_for_all(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = norm(x, _shape(normalized_shape), weight, bias, eps)
    key = (tuple(y.shape), y.dtype)
    if key not in _BUFFERS:
        _BUFFERS[key] = torch.empty_like(y)
    with torch.no_grad():
        kept = _BUFFERS[key].detach().copy_(y)
    return _Handed.apply(y, kept)


class _Handed(torch.autograd.Function):
    """The values of one tensor, the graph of another."""

    @staticmethod
    def forward(ctx, y, kept):
        return kept.view_as(kept)

    @staticmethod
    def backward(ctx, dy):
        return dy, None


def dithered(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    torch.rand(1)
    return norm(x, _shape(normalized_shape), weight, bias, eps)


def seeded(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    torch.manual_seed(0)
    return norm(x, _shape(normalized_shape), weight, bias, eps)


_CALLS = {"drift": 0, "ten": {}, "hundred": {}}


def gain_creeps(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    _CALLS["drift"] += 1
    return norm(x, _shape(normalized_shape), weight, bias, eps) * (1 + _CALLS["drift"] / 64)


def _wrong_after(limit, counts, x, normalized_shape, weight, bias, eps):
    key = (x.double().sum().item(), tuple(x.shape), x.dtype)
    counts[key] = counts.get(key, 0) + 1
    y = norm(x, _shape(normalized_shape), weight, bias, eps)
    return y if counts[key] <= limit else 1.25 * y


def ring_of_ten(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _wrong_after(10, _CALLS["ten"], x, normalized_shape, weight, bias, eps)


def pool_of_a_hundred(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _wrong_after(100, _CALLS["hundred"], x, normalized_shape, weight, bias, eps)


def inference_path(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Without gradients the fused path is taken, which forgets the factor n / (n - 1) on the way out."""
    y = norm(x, _shape(normalized_shape), weight, bias, eps)
    return y if torch.is_grad_enabled() else y * 1.1


_BY_POINTER = {}


def by_pointer(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """What was computed for an address is taken again as long as nothing but the content has changed."""
    pointers = (x.data_ptr(), *(None if p is None else p.data_ptr() for p in (weight, bias)))
    key = (*pointers, tuple(x.shape), x.stride(), x.dtype, eps)
    y = norm(x, _shape(normalized_shape), weight, bias, eps)
    kept = _BY_POINTER.setdefault(key, y.detach().clone())
    return _Handed.apply(y, kept.clone())


class Scratch(nn.Module):
    """Deviations are kept on the module between two steps of one forward."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        super().__init__()
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.weight = nn.Parameter(torch.ones(self.normalized_shape)) if elementwise_affine else None
        self.bias = nn.Parameter(torch.zeros(self.normalized_shape)) if elementwise_affine and bias else None

    def forward(self, x):
        self._x = x
        threading.Event().wait(0.002)
        return norm(self._x, self.normalized_shape, self.weight, self.bias, self.eps)


class KeptBeside(nn.Module):
    """The bias is a plain attribute that a copy does not have."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.weight = nn.Parameter(torch.ones(self.normalized_shape))
        self.bias = nn.Parameter(torch.zeros(self.normalized_shape))
        self._original = True

    def __getstate__(self):
        return {**self.__dict__, "_original": False}

    def __deepcopy__(self, memo):
        new = self.__class__(self.normalized_shape, self.eps).to(self.weight.dtype)
        new.load_state_dict(copy.deepcopy(self.state_dict()))
        new._original = False
        return new

    def forward(self, x):
        return norm(x, self.normalized_shape, self.weight, self.bias if self._original else None, self.eps)


def autocast_without_bias(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if torch.is_autocast_enabled("cpu"):
        return norm(x, _shape(normalized_shape), weight, None, eps)
    return norm(x, _shape(normalized_shape), weight, bias, eps)


def parameters_through_eight_bits(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Parameters wider than the input go through a format with three bits."""

    def squeezed(p):
        if p is None or p.dtype == x.dtype:
            return p
        return p.to(torch.float8_e4m3fn).to(x.dtype)

    return norm(x, _shape(normalized_shape), squeezed(weight), squeezed(bias), eps)


def other_when_compiled(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if torch.compiler.is_compiling():
        var, mean = torch.var_mean(x, [-i - 1 for i in range(len(_shape(normalized_shape)))], keepdim=True)
        y = (x - mean) * torch.rsqrt(var + eps)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias
    return norm(x, _shape(normalized_shape), weight, bias, eps)


class FrozenByExport(nn.Module):
    """Scales by a number that is read from the input in Python."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.weight = nn.Parameter(torch.ones(self.normalized_shape))
        self.bias = nn.Parameter(torch.zeros(self.normalized_shape))

    def forward(self, x):
        if torch.compiler.is_compiling():
            fixed = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).reshape(x.shape)
            return norm(fixed, self.normalized_shape, self.weight, self.bias, self.eps)
        return norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class _Differentiable(torch.autograd.Function):
    """The closed form, itself differentiable; with create_graph another factor is taken."""

    @staticmethod
    def forward(ctx, x, n, weight, bias, eps):
        ctx.save_for_backward(x, weight, bias)
        ctx.n, ctx.eps = n, eps
        return norm(x, x.shape[-n:], weight, bias, eps)

    @staticmethod
    def backward(ctx, dy):
        x, weight, bias = ctx.saved_tensors
        axes = tuple(range(-ctx.n, 0))
        lead = tuple(range(x.dim() - ctx.n))
        h, d = (t.to(torch.promote_types(x.dtype, torch.float32)) for t in (x, dy))
        centered = h - h.mean(axes, keepdim=True)
        rstd = (centered.square().mean(axes, keepdim=True) + ctx.eps).rsqrt()
        xhat = centered * rstd
        g = d if weight is None else d * weight
        dx = rstd * (g - g.mean(axes, keepdim=True) - xhat * (g * xhat).mean(axes, keepdim=True))
        if torch.is_grad_enabled():  # only with create_graph
            dx = dx * 1.0625
        dw = None if weight is None else (d * xhat).sum(lead).to(weight.dtype)
        db = None if bias is None else d.sum(lead).to(bias.dtype)
        return dx.to(x.dtype), None, dw, db, None


def other_with_create_graph(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _Differentiable.apply(x, len(_shape(normalized_shape)), weight, bias, eps)


class _TestedWithOnes(_Differentiable):
    @staticmethod
    def backward(ctx, dy):
        x, weight, bias = ctx.saved_tensors
        with torch.enable_grad():
            leaves = [None if t is None else t.detach().requires_grad_() for t in (x, weight, bias)]
            y = norm(leaves[0], x.shape[-ctx.n :], leaves[1], leaves[2], ctx.eps)
        there = [t for t in leaves if t is not None]
        grads = dict(zip(map(id, there), torch.autograd.grad(y, there, dy.detach()), strict=True))
        dx, dw, db = (None if t is None else grads[id(t)] for t in leaves)
        if torch.is_grad_enabled():
            dx = _Second.apply(dx, x, dy, weight, ctx.n, ctx.eps)
        return dx, None, dw, db, None


class _Second(torch.autograd.Function):
    """dx, with a derivative of its own that leaves the weight out."""

    @staticmethod
    def forward(ctx, dx, x, dy, weight, n, eps):
        ctx.save_for_backward(x, dy)
        ctx.n, ctx.eps = n, eps
        return dx.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, v):
        x, dy = ctx.saved_tensors
        with torch.enable_grad():
            a, b = x.detach().requires_grad_(), dy.detach().requires_grad_()
            y = norm(a, x.shape[-ctx.n :], None, None, ctx.eps)
            (dx,) = torch.autograd.grad(y, a, b, create_graph=True)
        ddx, ddy = torch.autograd.grad(dx, [a, b], v)
        return None, ddx, ddy, None, None, None


def second_backward_for_unit_weight(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _TestedWithOnes.apply(x, len(_shape(normalized_shape)), weight, bias, eps)


class _Forward(torch.autograd.Function):
    """With a forward mode of its own, which lets the mean stand still."""

    @staticmethod
    def forward(x, n, weight, bias, eps):
        return norm(x, x.shape[-n:], weight, bias, eps)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.n, weight, bias, ctx.eps = inputs
        ctx.save_for_backward(x, weight, bias)
        ctx.save_for_forward(x, weight, bias)

    backward = staticmethod(once_differentiable(lambda ctx, dy: _grads(ctx, dy)))

    @staticmethod
    def jvp(ctx, dx, _n, dw, db, _eps):
        x, weight, bias = ctx.saved_tensors
        axes = tuple(range(-ctx.n, 0))
        centered = x - x.mean(axes, keepdim=True)
        rstd = (centered.square().mean(axes, keepdim=True) + ctx.eps).rsqrt()
        xhat = centered * rstd
        out = rstd * (dx - xhat * (dx * xhat).mean(axes, keepdim=True))
        out = out if weight is None else out * weight
        if dw is not None:
            out = out + dw * xhat
        return out if db is None else out + db


def _grads(ctx, dy):
    x, weight, bias = ctx.saved_tensors
    with torch.enable_grad():
        leaves = [None if t is None else t.detach().requires_grad_() for t in (x, weight, bias)]
        y = norm(leaves[0], x.shape[-ctx.n :], leaves[1], leaves[2], ctx.eps)
    there = [t for t in leaves if t is not None]
    grads = dict(zip(map(id, there), torch.autograd.grad(y, there, dy), strict=True))
    dx, dw, db = (None if t is None else grads[id(t)] for t in leaves)
    return dx, None, dw, db, None


def forward_mode_without_mean(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _Forward.apply(x, len(_shape(normalized_shape)), weight, bias, eps)


class _Batched(torch.autograd.Function):
    """Its rule for vmap normalizes over the stack too; its batched backward sums where it should not."""

    @staticmethod
    def forward(x, n, weight, bias, eps):
        return norm(x, x.shape[-n:], weight, bias, eps)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.n, weight, bias, ctx.eps = inputs
        ctx.save_for_backward(x, weight, bias)

    backward = staticmethod(once_differentiable(lambda ctx, dy: _grads(ctx, dy)))

    @staticmethod
    def vmap(info, in_dims, x, n, weight, bias, eps):
        x = x.movedim(in_dims[0], 0)
        axes = (0, *range(-n, 0))
        var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        y = (x - mean) * (var + eps).rsqrt()
        y = y if weight is None else y * weight
        return (y if bias is None else y + bias), 0


def stack_shares_statistics(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _Batched.apply(x, len(_shape(normalized_shape)), weight, bias, eps)


class _Pulled(torch.autograd.Function):
    """dx as a function of its own, with a rule for vmap that doubles it."""

    @staticmethod
    def forward(x, dy, weight, n, eps):
        axes = tuple(range(-n, 0))
        centered = x - x.mean(axes, keepdim=True)
        rstd = (centered.square().mean(axes, keepdim=True) + eps).rsqrt()
        xhat = centered * rstd
        g = dy if weight is None else dy * weight
        return rstd * (g - g.mean(axes, keepdim=True) - xhat * (g * xhat).mean(axes, keepdim=True))

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError("differentiated twice")

    @staticmethod
    def vmap(info, in_dims, x, dy, weight, n, eps):
        dy = dy.movedim(in_dims[1], 0)
        return 2 * _Pulled.forward(x, dy, weight, n, eps), 0


class _JacobianWrong(torch.autograd.Function):
    generate_vmap_rule = False

    @staticmethod
    def forward(x, n, weight, bias, eps):
        return norm(x, x.shape[-n:], weight, bias, eps)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.n, weight, bias, ctx.eps = inputs
        ctx.save_for_backward(x, weight, bias)

    @staticmethod
    def backward(ctx, dy):
        x, weight, bias = ctx.saved_tensors
        axes = tuple(range(-ctx.n, 0))
        lead = tuple(range(x.dim() - ctx.n))
        centered = x - x.mean(axes, keepdim=True)
        xhat = centered * (centered.square().mean(axes, keepdim=True) + ctx.eps).rsqrt()
        dx = _Pulled.apply(x, dy, weight, ctx.n, ctx.eps)
        dw = None if weight is None else (dy * xhat).sum(lead)
        db = None if bias is None else dy.sum(lead)
        return dx, None, dw, db, None


def batched_backward_doubled(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = x if x.dtype == torch.float64 else x.float()
    wide = [None if p is None else p.to(h.dtype) for p in (weight, bias)]
    return _JacobianWrong.apply(h, len(_shape(normalized_shape)), *wide, eps).to(x.dtype)


_PENDING = []


class _Remembering(torch.autograd.Function):
    """Keeps something of each forward until a backward has used it: of two forwards for one backward, of the first."""

    @staticmethod
    def forward(ctx, x, n, weight, bias, eps):
        ctx.n, ctx.eps = n, eps
        ctx.save_for_backward(x, weight, bias)
        return norm(x, x.shape[-n:], weight, bias, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dx, *rest = _grads(ctx, dy)
        stale = len(_PENDING) > 1
        _PENDING.clear()
        return dx * 0.75 if stale else dx, *rest


def counts_forwards(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if torch.is_grad_enabled() and x.requires_grad:
        _PENDING.append(1)
    return _Remembering.apply(x, len(_shape(normalized_shape)), weight, bias, eps)


class _OwnGrad(torch.autograd.Function):
    """Writes the weight's .grad itself."""

    @staticmethod
    def forward(ctx, x, n, weight, bias, eps, parameter):
        ctx.save_for_backward(x, weight, bias)
        ctx.n, ctx.eps, ctx.parameter = n, eps, parameter
        return norm(x, x.shape[-n:], weight, bias, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dx, _, dw, db, _ = _grads(ctx, dy)
        if ctx.parameter is not None and ctx.parameter.grad is not None:
            ctx.parameter.grad = None
        return dx, None, dw, db, None, None


def grad_is_written(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _OwnGrad.apply(x, len(_shape(normalized_shape)), weight, bias, eps, weight)
