"""Residual and branch around a layer norm: right in two styles, and wrong."""

import torch
import torch.nn.functional as F
from torch import nn


def post_sublayer(x, residual, weight, bias, eps=1e-5):
    return residual + F.layer_norm(x, x.shape[-1:], weight, bias, eps)


class ThirdLayerNorm(nn.Module):
    """Its norm is written out."""

    def __init__(self, hidden_size, layernorm_epsilon=1e-5, eps=1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(hidden_size))
        self.beta = nn.Parameter(torch.zeros(hidden_size))
        self.eps = eps

    def forward(self, hidden_states, residual):
        v, m = torch.var_mean(hidden_states, -1, correction=0, keepdim=True)
        return torch.addcmul(self.beta, self.gamma, (hidden_states - m) / (v + self.eps).sqrt()) + residual


class PostNorm(ThirdLayerNorm):
    def forward(self, hidden_states, residual):
        return F.layer_norm(hidden_states + residual, self.gamma.shape, self.gamma, self.beta, self.eps)


class StreamNormalized(ThirdLayerNorm):
    def forward(self, hidden_states, residual):
        stream = F.layer_norm(residual, self.gamma.shape, eps=self.eps)
        return stream + F.layer_norm(hidden_states, self.gamma.shape, self.gamma, self.beta, self.eps)


class StreamDetached(ThirdLayerNorm):
    def forward(self, hidden_states, residual):
        y = F.layer_norm(hidden_states, self.gamma.shape, self.gamma, self.beta, self.eps)
        return y + residual.detach()
