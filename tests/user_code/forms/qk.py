"""Right and wrong code that normalizes queries and keys; wrong code is right but for what its name says."""

import torch


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
