"""Right and wrong code that normalizes queries and keys; wrong code is right but for what its name says."""

import torch
from torch import nn


def rms(x, weight, eps):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (wide * weight).to(x.dtype)


def qk_norm(q, k, q_weight, k_weight, eps=1e-6):
    return rms(q, q_weight, eps), rms(k, k_weight, eps)


def qk_norm_of_one_weight(query_states, key_states, weight, eps=1e-6):
    return rms(query_states, weight, eps), rms(key_states, weight, eps)


def keys_not_normalized(q, k, q_weight, k_weight, eps=1e-6):
    return rms(q, q_weight, eps), k


def keys_with_weight_of_queries(q, k, q_weight, k_weight, eps=1e-6):
    return rms(q, q_weight, eps), rms(k, q_weight, eps)


def keys_are_queries(q, k, q_weight, k_weight, eps=1e-6):
    q = rms(q, q_weight, eps)
    return q, q


class QKNorm(nn.Module):
    def __init__(self, head_dim, eps=1e-6):
        super().__init__()
        self.k_weight = nn.Parameter(torch.ones(head_dim))
        self.q_weight = nn.Parameter(torch.ones(head_dim))
        self.eps = eps

    def forward(self, q, k):
        return rms(q, self.q_weight, self.eps), rms(k, self.k_weight, self.eps)


class QKLayerNorm(nn.Module):
    def __init__(self, head_dim, eps=1e-5, bias=True):
        super().__init__()
        self.query_norm = nn.LayerNorm(head_dim, eps, bias=bias)
        self.key_norm = nn.LayerNorm(head_dim, eps, bias=bias)

    def forward(self, q, k):
        return self.query_norm(q), self.key_norm(k)


class KeysWithWeightOfQueries(QKNorm):
    def forward(self, q, k):
        return rms(q, self.q_weight, self.eps), rms(k, self.q_weight, self.eps)


class KeysWithBiasOfQueries(QKLayerNorm):
    def forward(self, q, k):
        norm = self.key_norm
        keys = nn.functional.layer_norm(k, norm.normalized_shape, norm.weight, self.query_norm.bias, norm.eps)
        return self.query_norm(q), keys
