"""Code that normalizes queries and keys and rotates them; wrong code is right but for what its name says."""

import torch
from torch import nn


def rms(x, weight, eps):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (wide * weight).to(x.dtype)


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def rotate_neighbors(x):
    return torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)


def qk_norm_rope(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    """Tables as wide as a head, which broadcast to (heads, tokens, width)."""
    q, k = rms(q, q_weight, eps), rms(k, k_weight, eps)
    return q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin


def halves(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def fused_qk_norm_rope(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    """Tables of half the width, for (tokens, heads, width); all in one wide format."""
    cos, sin = (table.unsqueeze(-2).to(torch.promote_types(q.dtype, torch.float32)) for table in (cos, sin))
    out = []
    for x, weight in ((q, q_weight), (k, k_weight)):
        wide = x.to(cos.dtype)
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.to(cos.dtype)
        out.append(halves(wide, cos, sin).to(x.dtype))
    return tuple(out)


class Attention(nn.Module):
    """The norms of an attention's heads, on (cases, heads, tokens, width)."""

    def __init__(self, head_dim, eps=1e-6):
        super().__init__()
        self.q_norm = nn.RMSNorm(head_dim, eps)
        self.k_norm = nn.RMSNorm(head_dim, eps)

    def forward(self, query_states, key_states, cos, sin):
        cos, sin = cos[None, None], sin[None, None]
        q, k = self.q_norm(query_states), self.k_norm(key_states)
        return (q * cos) + (rotate_half(q) * sin), (k * cos) + (rotate_half(k) * sin)


def neighbors_by_complex_numbers(xq, xk, q_weight, k_weight, cos, sin, eps=1e-6):
    """Pairs of neighbors as complex numbers, (cases, tokens, heads, width)."""
    out = []
    for x, weight in ((xq, q_weight), (xk, k_weight)):
        y = rms(x, weight, eps)
        wide = y.to(torch.promote_types(y.dtype, torch.float32)).unflatten(-1, (-1, 2))
        turn = torch.complex(cos.to(wide.dtype), sin.to(wide.dtype))[None, :, None]
        turned = torch.complex(wide[..., 0], wide[..., 1]) * turn
        out.append(torch.stack((turned.real, turned.imag), -1).flatten(-2).to(x.dtype))
    return out[0], out[1]


def neighbors(q, k, weight, freqs_cos, freqs_sin, eps=1e-6):
    q, k = rms(q, weight, eps), rms(k, weight, eps)
    return q * freqs_cos + rotate_neighbors(q) * freqs_sin, k * freqs_cos + rotate_neighbors(k) * freqs_sin


def tables_in_single(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    """Tables in float32 whatever the input has."""
    cos, sin = cos.float(), sin.float()
    q, k = rms(q, q_weight, eps), rms(k, k_weight, eps)
    return halves(q, cos, sin).to(q.dtype), halves(k, cos, sin).to(k.dtype)


def norm_rope(x, weight, cos, sin, eps=1e-6):
    """One tensor."""
    return halves(rms(x, weight, eps), cos, sin)


def rotated_before(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    return rms(halves(q, cos, sin), q_weight, eps), rms(halves(k, cos, sin), k_weight, eps)


def queries_alone(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    return halves(rms(q, q_weight, eps), cos, sin), rms(k, k_weight, eps)


def not_rotated(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    return rms(q, q_weight, eps), rms(k, k_weight, eps)


def sign_reversed(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    return halves(rms(q, q_weight, eps), cos, -sin), halves(rms(k, k_weight, eps), cos, -sin)


def off_by_one(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    cos, sin = cos.roll(1, 0), sin.roll(1, 0)
    return halves(rms(q, q_weight, eps), cos, sin), halves(rms(k, k_weight, eps), cos, sin)


def tables_in_half(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    cos, sin = cos.half().to(q.dtype), sin.half().to(q.dtype)
    return halves(rms(q, q_weight, eps), cos, sin), halves(rms(k, k_weight, eps), cos, sin)


def halves_for_neighbors(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    return halves(rms(q, q_weight, eps), cos, sin), halves(rms(k, k_weight, eps), cos, sin)
