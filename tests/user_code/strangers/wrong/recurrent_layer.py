"""Layer-normalized recurrent nets with one habit each that is wrong."""

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


class _LSTM(nn.Module):
    """The net of Ba, Kiros and Hinton, equation 20, as a loop over steps."""

    order = "ifgo"

    def __init__(self, input_size, hidden_size, eps=1e-5, batch_first=False):
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        bound = hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size, hidden_size).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.norm_ih = _LN(4 * hidden_size, eps)
        self.norm_hh = _LN(4 * hidden_size, eps)
        self.norm_c = _LN(hidden_size, self.cell_eps(eps))

    def cell_eps(self, eps):
        return eps

    def first(self, x, hx):
        if hx is None:
            zero = x.new_zeros(x.shape[1], self.hidden_size)
            return zero, zero
        return hx[0][0], hx[1][0]

    def send(self, x):
        return self.norm_ih(F.linear(x, self.weight_ih_l0))

    def gates(self, sent, h):
        parts = (sent + self.norm_hh(F.linear(h, self.weight_hh_l0)) + self.bias_ih_l0).chunk(4, -1)
        return dict(zip(self.order, parts))

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


class FirstStateDetached(_LSTM):
    """An initial state is a number, not something that learns."""

    def first(self, x, hx):
        h, c = super().first(x, hx)
        return h.detach(), c.detach()


class KeepsItsState(_LSTM):
    """Without an initial state it goes on where the last sequence of as many cases ended."""

    _last = None

    def first(self, x, hx):
        if hx is None and self._last is not None and self._last[0].shape[0] == x.shape[1]:
            return tuple(s.to(x.dtype) for s in self._last)
        return super().first(x, hx)

    def ended(self, output, h, c):
        self._last = h.detach(), c.detach()
        return super().ended(output, h, c)


class AnotherOrder(_LSTM):
    """Gates are stacked as in Keras' older code: input, candidate, forget, output."""

    order = "igfo"


class CellEpsFixed(_LSTM):
    """eps reaches the norms of the summed inputs, not that of the cell."""

    def cell_eps(self, eps):
        return 1e-5


class SentByAddress(_LSTM):
    """What the input sends is kept for the same tensor."""

    def __init__(self, input_size, hidden_size, eps=1e-5, batch_first=False):
        super().__init__(input_size, hidden_size, eps, batch_first)
        self._sent = {}

    def send(self, x):
        key = (x.data_ptr(), x.shape, x.dtype)
        if key not in self._sent:
            self._sent = {key: super().send(x)}
        return self._sent[key] if torch.is_grad_enabled() is False else super().send(x)


class LastStateDetached(_LSTM):
    """The last state is returned for the next sequence, without its history."""

    def ended(self, output, h, c):
        return super().ended(output, h.detach(), c.detach())


class TruncatedAtTen(_LSTM):
    """Backpropagation through time is cut every ten steps."""

    def step(self, sent, h, c, t):
        if t and t % 10 == 0:
            h, c = h.detach(), c.detach()
        return super().step(sent, h, c, t)


class EvalInOneNorm(_LSTM):
    """In evaluation the two sums are normalized together, which saves a kernel."""

    def gates(self, sent, h):
        if self.training:
            return super().gates(sent, h)
        both = sent + self.norm_hh(F.linear(h, self.weight_hh_l0))
        both = F.layer_norm(both, both.shape[-1:], eps=self.norm_hh.eps)
        return dict(zip(self.order, (both + self.bias_ih_l0).chunk(4, -1)))


class ForgetsMore(_LSTM):
    """The forget gate has one added to it, as TensorFlow's basic cell does."""

    def gates(self, sent, h):
        a = super().gates(sent, h)
        a["f"] = a["f"] + 1.0
        return a


class _GRU(nn.Module):
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
        return (1 - z) * n + z * h

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


class UpdateTheOtherWay(_GRU):
    """The gate lets the candidate in, as the paper writes it."""

    def mix(self, z, n, h):
        return z * n + (1 - z) * h


class ResetBeforeMatrix(_GRU):
    """The reset gate multiplies the state before the matrix, as in the first paper on the GRU."""

    def step(self, x, h):
        k = 2 * self.hidden_size
        ih, candidate = self.blocks(self.norm_ih, F.linear(x, self.weight_ih_l0))
        hh, _ = self.blocks(self.norm_hh, F.linear(h, self.weight_hh_l0))
        r, z = torch.sigmoid(ih + hh).chunk(2, -1)
        a = F.linear(r * h, self.weight_hh_l0[k:])
        recurrent = F.layer_norm(
            a, (self.hidden_size,), self.norm_hh.weight[k:], self.norm_hh.bias[k:], self.norm_hh.eps
        )
        return self.mix(z, torch.tanh(candidate + recurrent), h)


class LayerNormRNN(nn.Module):
    """The plain net; the state it returns is that before the last step."""

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
        previous, out = h, []
        for one in x:
            previous, h = h, torch.tanh(self.norm(F.linear(one, self.weight_ih_l0) + F.linear(h, self.weight_hh_l0)))
            out.append(h)
        output = torch.stack(out)
        return output.transpose(0, 1) if self.batch_first else output, previous[None]
