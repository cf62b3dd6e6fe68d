"""Batch-normalized recurrent nets: statistics of each step over the cases that are alive at it."""

import torch
from torch import nn
from torch.nn import functional as F


class _BN(nn.Module):
    """Statistics of each step over the cases that are alive at it."""

    gain = 0.1

    def __init__(self, n, max_length, eps, momentum, shift=False):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.full((n,), self.gain))
        self.bias = nn.Parameter(torch.zeros(n)) if shift else None
        self.register_buffer("running_mean", torch.zeros(max_length, n))
        self.register_buffer("running_var", torch.ones(max_length, n))

    def slot(self, t):
        return min(t, len(self.running_mean) - 1)

    def read(self, x, alive):
        return x[alive]

    def variance(self, read, mean):
        return (read - mean).square().mean(0)

    def share(self):
        return self.momentum

    @torch.no_grad()
    def keep(self, s, mean, var, n):
        self.running_mean[s] += self.share() * (mean - self.running_mean[s])
        self.running_var[s] += self.share() * (var * (n / max(n - 1, 1)) - self.running_var[s])

    def forward(self, x, t, alive):
        s = self.slot(t)
        if self.training:
            read = self.read(x, alive)
            mean = read.mean(0)
            var = self.variance(read, mean)
            self.keep(s, mean.detach(), var.detach(), len(read))
        else:
            mean, var = self.running_mean[s], self.running_var[s]
        y = (x - mean) * torch.rsqrt(var + self.eps) * self.weight
        return y if self.bias is None else y + self.bias


class BatchNormRNN(nn.Module):
    norm, gates, whole = _BN, 1, False

    def __init__(self, input_size, hidden_size, max_length, eps=1e-5, momentum=0.1, batch_first=False):
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        rows, bound = self.gates * hidden_size, hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(rows, input_size).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(rows, hidden_size).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(rows))
        self.make_norms(rows, max_length, eps, momentum)

    def make_norms(self, rows, max_length, eps, momentum):
        self.norm_ih = self.norm(rows, max_length, eps, momentum)
        self.norm_hh = self.norm(rows, max_length, eps, momentum)

    def sum(self, x, h, t, alive):
        sent = self.norm_ih(F.linear(x, self.weight_ih_l0), t, alive)
        return sent + self.norm_hh(F.linear(h, self.weight_hh_l0), t, alive) + self.bias_ih_l0

    def step(self, x, state, t, alive):
        return (torch.tanh(self.sum(x, state[0], t, alive)),)

    def zero(self, x):
        return (x.new_zeros(x.shape[1], self.hidden_size),)

    def forward(self, input, hx=None, lengths=None):
        x = input.transpose(0, 1) if self.batch_first else input
        state = self.zero(x) if hx is None else tuple(s[0] for s in (hx if isinstance(hx, tuple) else (hx,)))
        lengths = torch.full((x.shape[1],), len(x)) if lengths is None else lengths
        out = []
        for t, one in enumerate(x):
            alive = lengths > t
            new = self.step(one, state, t, alive)
            state = tuple(torch.where(alive[:, None], n, s) for n, s in zip(new, state))
            out.append(torch.where(alive[:, None], new[0], torch.zeros_like(new[0])))
        output = torch.stack(out)
        last = tuple(s[None] for s in state)
        return output.transpose(0, 1) if self.batch_first else output, last if len(last) > 1 else last[0]


class BatchNormLSTM(BatchNormRNN):
    gates = 4

    def make_norms(self, rows, max_length, eps, momentum):
        super().make_norms(rows, max_length, eps, momentum)
        self.norm_c = self.norm(self.hidden_size, max_length, eps, momentum, shift=True)

    def zero(self, x):
        return super().zero(x) * 2

    def step(self, x, state, t, alive):
        h, c = state
        i, f, g, o = self.sum(x, h, t, alive).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.norm_c(c, t, alive)), c


class _GainOne(_BN):
    gain = 1.0


class FrameNorm(BatchNormRNN):
    """Laurent's net, frame by frame."""

    norm = _GainOne

    def make_norms(self, rows, max_length, eps, momentum):
        self.norm_ih = self.norm(rows, max_length, eps, momentum)

    def sum(self, x, h, t, alive):
        return F.linear(h, self.weight_hh_l0) + self.norm_ih(F.linear(x, self.weight_ih_l0), t, alive) + self.bias_ih_l0


class SequenceNorm(nn.Module):
    """Deep Speech 2's net: statistics over cases and steps."""

    def __init__(self, input_size, hidden_size, eps=1e-5, momentum=0.1, batch_first=False):
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        bound = hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(hidden_size, hidden_size).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(hidden_size))
        self.norm_ih = nn.BatchNorm1d(hidden_size, eps, momentum)
        self.norm_ih.bias = None

    def forward(self, input, hx=None):
        x = input.transpose(0, 1) if self.batch_first else input
        a = F.linear(x, self.weight_ih_l0)
        flat = a.reshape(-1, self.hidden_size)
        bn = self.norm_ih
        sent = F.batch_norm(flat, bn.running_mean, bn.running_var, bn.weight, None, self.training, bn.momentum, bn.eps)
        sent = sent.reshape(a.shape)
        h = x.new_zeros(x.shape[1], self.hidden_size) if hx is None else hx[0]
        out = []
        for one in sent:
            h = torch.tanh(F.linear(h, self.weight_hh_l0) + one + self.bias_ih_l0)
            out.append(h)
        output = torch.stack(out)
        return output.transpose(0, 1) if self.batch_first else output, h[None]
