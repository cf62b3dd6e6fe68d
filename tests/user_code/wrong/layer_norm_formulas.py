"""Layer norm in plain operations that autograd differentiates, with one fault in each function."""

import math

import torch


def _width(shape):
    return shape if isinstance(shape, int) else math.prod(shape)


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _affine(y, weight, bias, like):
    if weight is not None:
        y = y * weight.reshape(-1)
    if bias is not None:
        y = y + bias.reshape(-1)
    return y.reshape(like.shape).to(like.dtype)


def _standardized(h, eps):
    centered = h - h.mean(1, keepdim=True)
    return centered * (centered.square().mean(1, keepdim=True) + eps).rsqrt()


def _layer_norm(x, normalized_shape, weight, bias, eps):
    return _affine(_standardized(_wide(x).reshape(-1, _width(normalized_shape)), eps), weight, bias, x)


def deviations_at_most_three(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    return _affine(_standardized(h, eps).clamp(-3, 3), weight, bias, x)


def soft_limit(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = _layer_norm(x, normalized_shape, weight, bias, eps)
    return 8 * torch.tanh(y / 8)


def sign_lost(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _layer_norm(x, normalized_shape, weight, bias, eps).abs()


def bias_in_fixed_point(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _layer_norm(x, normalized_shape, weight, None if bias is None else bias.clamp(-3, 3), eps)


def pruned(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if weight is not None and weight.numel():
        size = weight.abs()
        cut = (size == size.min()) & (size < size.max())
        weight = weight.masked_fill(cut, 0)
    return _layer_norm(x, normalized_shape, weight, bias, eps)


def scaled_by_the_maximum(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    h = h / h.detach().abs().amax(1, keepdim=True)
    return _affine(_standardized(h, eps), weight, bias, x)


def statistics_of_rand(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    return _affine((h - 0.5) / math.sqrt(1 / 12 + eps), weight, bias, x)


def difference_of_squares(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    mean = h.mean(1, keepdim=True)
    var = h.square().mean(1, keepdim=True) - mean.square()
    return _affine((h - mean) / (var + eps).sqrt(), weight, bias, x)


def _fast_inverse_root(a):
    integer, magic = (torch.int32, 0x5F3759DF) if a.dtype == torch.float32 else (torch.int64, 0x5FE6EB50C7B537A9)
    guess = (magic - (a.detach().view(integer) >> 1)).view(a.dtype)
    return guess * (1.5 - 0.5 * a.detach() * guess * guess)


class _InverseRoot(torch.autograd.Function):
    """The derivative is that of a root, of what the approximation gave."""

    @staticmethod
    def forward(ctx, a):
        root = _fast_inverse_root(a)
        ctx.save_for_backward(root)
        return root.clone()

    @staticmethod
    def backward(ctx, grad):
        (root,) = ctx.saved_tensors
        return -0.5 * grad * root * root * root


def quake_root(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    centered = h - h.mean(1, keepdim=True)
    var = centered.square().mean(1, keepdim=True)
    return _affine(centered * _InverseRoot.apply(var + eps), weight, bias, x)


def sparsified(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = _layer_norm(x, normalized_shape, weight, bias, eps)
    return torch.where(y.abs() < 0.01, 0, y)


def with_relu(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.relu(_layer_norm(x, normalized_shape, weight, bias, eps))


def through_bfloat16(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = _layer_norm(x, normalized_shape, weight, bias, eps)
    return y.bfloat16().to(y.dtype) if y.dtype == torch.float32 else y


def not_cast_back(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    wide = [None if p is None else _wide(p) for p in (weight, bias)]
    return _layer_norm(_wide(x), normalized_shape, *wide, eps)


def _lanes(n):
    return 1 << (n - 1).bit_length()


def divided_by_the_block(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    centered = h - h.sum(1, keepdim=True) / _lanes(n)
    return _affine(centered * (centered.square().mean(1, keepdim=True) + eps).rsqrt(), weight, bias, x)


def unmasked_lanes(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Sums run over as many lanes as the block has; the memory behind the last row is zero."""
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)

    def total(a):
        flat = torch.cat([a.reshape(-1), a.new_zeros(_lanes(n))])
        rows = torch.arange(len(a))[:, None] * n + torch.arange(_lanes(n))
        return flat[rows].sum(1, keepdim=True)

    centered = h - total(h) / n
    return _affine(centered * (total(centered.square()) / n + eps).rsqrt(), weight, bias, x)


def one_row_for_all_cases(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Statistics over the cases too, as batch norm has them."""
    h = _wide(x).reshape(-1, _width(normalized_shape))
    var, mean = torch.var_mean(h, correction=0)
    return _affine((h - mean) / (var + eps).sqrt(), weight, bias, x)


def squares_overflow(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    centered = h - h.mean(1, keepdim=True)
    squares = centered.square().to(x.dtype).to(h.dtype)
    return _affine(centered * (squares.mean(1, keepdim=True) + eps).rsqrt(), weight, bias, x)


def statistics_rounded(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    mean = h.mean(1, keepdim=True).to(x.dtype).to(h.dtype)
    centered = h - mean
    std = (centered.square().mean(1, keepdim=True) + eps).sqrt().to(x.dtype).to(h.dtype)
    return _affine(centered / std, weight, bias, x)


def nan_to_zero(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _layer_norm(torch.where(x.isnan(), 0, x), normalized_shape, weight, bias, eps)


def infinity_to_largest(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    largest = torch.finfo(torch.float32).max
    h = _wide(x)
    h = torch.where(h.isinf(), largest * h.sign(), h)
    return _layer_norm(h, normalized_shape, weight, bias, eps).to(x.dtype)


def masked_by_product(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Every row is summed with all others times zero."""
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    others = 0.0 * h.sum()
    centered = h - h.mean(1, keepdim=True)
    var = centered.square().mean(1, keepdim=True) + others
    return _affine(centered * (var + eps).rsqrt(), weight, bias, x)


def padding_is_negative_zero(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    padded = ((h == 0) & torch.signbit(h)).sum(1, keepdim=True)
    centered = h - h.mean(1, keepdim=True)
    var = centered.square().sum(1, keepdim=True) / (n - padded).clamp(min=1)
    return _affine(centered * (var + eps).rsqrt(), weight, bias, x)


def times_the_reciprocal(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Deviations are brought to at most 1 before they are squared."""
    h = _wide(x).reshape(-1, _width(normalized_shape))
    centered = h - h.mean(1, keepdim=True)
    top = centered.detach().abs().amax(1, keepdim=True)
    inverse = 1 / torch.where(top == 0, 1, top)
    var = (centered * inverse).square().mean(1, keepdim=True) / inverse / inverse
    return _affine(centered * (var + eps).rsqrt(), weight, bias, x)


def root_of_fourth_powers(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    centered = h - h.mean(1, keepdim=True)
    var = centered.square().mean(1, keepdim=True)
    return _affine(centered * ((var * var + 1e-300 * (h.dtype == torch.float64)).sqrt() + eps).rsqrt(), weight, bias, x)


def massive_activations_clipped(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(-1, _width(normalized_shape))
    if h.numel():
        reach = 2048 * h.detach().abs().quantile(0.5, dim=1, keepdim=True)
        far = (h.abs() > reach) & h.isfinite() & (reach > 0)
        h = torch.where(far, reach * h.sign(), h)
    return _affine(_standardized(h, eps), weight, bias, x)


def eps_in_the_input_format(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _layer_norm(x, normalized_shape, weight, bias, float(torch.tensor(eps, dtype=x.dtype)))


def grid_of_65535_blocks(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = _width(normalized_shape)
    y = _layer_norm(x, normalized_shape, weight, bias, eps)
    y.detach().view(-1, n)[65535:] = 0
    return y


def loop_of_65536_lanes(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    centered = h - h.mean(1, keepdim=True)
    var = centered.square().sum(1, keepdim=True)
    read = centered[:, :65536].square().sum(1, keepdim=True)
    return _affine(centered * ((var + (read - var).detach()) / n + eps).rsqrt(), weight, bias, x)


def vector_is_a_column(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if x.dim() > 1:
        return _layer_norm(x, normalized_shape, weight, bias, eps)
    return _affine(_standardized(_wide(x)[:, None], eps)[:, 0], weight, bias, x)


def one_row_at_least(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = _layer_norm(x, normalized_shape, weight, bias, eps)
    return y if x.numel() else y.new_zeros((1, *x.shape[1:]))
