"""Layer-normalized recurrent nets, as loops over steps."""

import torch
from torch import nn
from torch.nn import functional as F


class _LN(nn.Module):
    def __init__(self, n, eps):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(n))
        self.bias = nn.Parameter(torch.zeros(n))

    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class LayerNormLSTM(nn.Module):
    """The net of Ba, Kiros and Hinton, equation 20, as a loop over steps."""

    def __init__(self, input_size, hidden_size, eps=1e-5, batch_first=False):
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        bound = hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size, hidden_size).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.norm_ih = _LN(4 * hidden_size, eps)
        self.norm_hh = _LN(4 * hidden_size, eps)
        self.norm_c = _LN(hidden_size, eps)

    def first(self, x, hx):
        if hx is None:
            zero = x.new_zeros(x.shape[1], self.hidden_size)
            return zero, zero
        return hx[0][0], hx[1][0]

    def send(self, x):
        return self.norm_ih(F.linear(x, self.weight_ih_l0))

    def gates(self, sent, h):
        parts = (sent + self.norm_hh(F.linear(h, self.weight_hh_l0)) + self.bias_ih_l0).chunk(4, -1)
        return dict(zip("ifgo", parts))

    def step(self, sent, h, c, t):
        a = self.gates(sent, h)
        c = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * torch.tanh(a["g"])
        return torch.sigmoid(a["o"]) * torch.tanh(self.norm_c(c)), c

    def forward(self, input, hx=None):
        x = input.transpose(0, 1) if self.batch_first else input
        h, c = self.first(x, hx)
        sent, out = self.send(x), []
        for t in range(len(x)):
            h, c = self.step(sent[t], h, c, t)
            out.append(h)
        output = torch.stack(out)
        return self.ended(output.transpose(0, 1) if self.batch_first else output, h, c)

    def ended(self, output, h, c):
        return output, (h[None], c[None])


class LayerNormLSTMCarried(LayerNormLSTM):
    """The same net; what the input sends is computed step by step, and states may be a list."""

    def send(self, x):
        return torch.stack([super(LayerNormLSTMCarried, self).send(one) for one in x])

    def first(self, x, hx):
        if hx is None:
            return tuple(x.new_zeros(2, x.shape[1], self.hidden_size).unbind())
        return hx[0].squeeze(0), hx[1].squeeze(0)


class LayerNormGRU(nn.Module):
    """Written as torch writes it: n + z (h - n)."""

    def __init__(self, input_size, hidden_size, eps=1e-5, batch_first=False):
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        bound = hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(3 * hidden_size, hidden_size).uniform_(-bound, bound))
        self.norm_ih = _LN(3 * hidden_size, eps)
        self.norm_hh = _LN(3 * hidden_size, eps)

    def blocks(self, norm, a):
        k = 2 * self.hidden_size
        gates = F.layer_norm(a[..., :k], (k,), norm.weight[:k], norm.bias[:k], norm.eps)
        candidate = F.layer_norm(a[..., k:], (self.hidden_size,), norm.weight[k:], norm.bias[k:], norm.eps)
        return gates, candidate

    def mix(self, z, n, h):
        return n + z * (h - n)

    def step(self, x, h):
        ih, candidate = self.blocks(self.norm_ih, F.linear(x, self.weight_ih_l0))
        hh, recurrent = self.blocks(self.norm_hh, F.linear(h, self.weight_hh_l0))
        r, z = torch.sigmoid(ih + hh).chunk(2, -1)
        return self.mix(z, torch.tanh(candidate + r * recurrent), h)

    def forward(self, input, hx=None):
        x = input.transpose(0, 1) if self.batch_first else input
        h = x.new_zeros(x.shape[1], self.hidden_size) if hx is None else hx[0]
        out = []
        for one in x:
            h = self.step(one, h)
            out.append(h)
        output = torch.stack(out)
        return output.transpose(0, 1) if self.batch_first else output, h[None]


class LayerNormRNN(nn.Module):
    """The plain net: one norm of the sum."""

    def __init__(self, input_size, hidden_size, eps=1e-5, batch_first=False):
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        bound = hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(hidden_size, hidden_size).uniform_(-bound, bound))
        self.norm = _LN(hidden_size, eps)

    def forward(self, input, hx=None):
        x = input.transpose(0, 1) if self.batch_first else input
        h = x.new_zeros(x.shape[1], self.hidden_size) if hx is None else hx[0]
        out = []
        for one in x:
            h = torch.tanh(self.norm(F.linear(one, self.weight_ih_l0) + F.linear(h, self.weight_hh_l0)))
            out.append(h)
        output = torch.stack(out)
        return output.transpose(0, 1) if self.batch_first else output, h[None]
