"""Normalized recurrent nets, which torch does not ship; built, called and named as its own, one layer, one direction.

Ba, Kiros, Hinton 2016 (layer norm, eq. 4 and 20-26); Cooijmans and others 2016 (batch norm with statistics of each
step); Laurent and others 2015 and Amodei and others 2015 (batch norm from input to hidden).
"""

from __future__ import annotations

import torch
from torch import nn

State = tuple[torch.Tensor, torch.Tensor]


class StepBatchNorm(nn.Module):
    """Batch norm with statistics of its own for each step: running ones in `max_length` slots, the last for all beyond.

    x: (cases, width) with the step's number, and which cases have an input at that step, (cases,). max_length=1 makes
    it an ordinary batch norm. A shift is left out where a bias follows.
    """

    def __init__(self, width: int, max_length: int, eps: float, momentum: float, *, gain: float, shift: bool) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.full((width,), gain))
        self.bias = nn.Parameter(torch.zeros(width)) if shift else None
        self.running_mean: torch.Tensor
        self.running_var: torch.Tensor
        self.register_buffer("running_mean", torch.zeros(max_length, width))
        self.register_buffer("running_var", torch.ones(max_length, width))

    def forward(self, x: torch.Tensor, step: int, live: torch.Tensor) -> torch.Tensor:
        """Normalize with the statistics of the live cases, or in evaluation with those stored for this step."""
        slot = min(step, len(self.running_mean) - 1)
        if self.training:
            read = x[live]
            mean, var = read.mean(0), read.var(0, unbiased=False)
            self._store(slot, mean, var, len(read))
        else:
            mean, var = self.running_mean[slot], self.running_var[slot]
        y = (x - mean) / torch.sqrt(var + self.eps) * self.weight
        return y if self.bias is None else y + self.bias

    @torch.no_grad()
    def _store(self, slot: int, mean: torch.Tensor, var: torch.Tensor, count: int) -> None:
        self.running_mean[slot].lerp_(mean, self.momentum)
        self.running_var[slot].lerp_(var * (count / max(count - 1, 1)), self.momentum)


class StepLayerNorm(nn.Module):
    """Layer norm of a step over blocks of its units, each block with a statistic of its own."""

    def __init__(self, blocks: tuple[int, ...], eps: float) -> None:
        super().__init__()
        self.eps, self.blocks = eps, blocks
        self.weight = nn.Parameter(torch.ones(sum(blocks)))
        self.bias = nn.Parameter(torch.zeros(sum(blocks)))

    def forward(self, x: torch.Tensor, step: int, live: torch.Tensor) -> torch.Tensor:
        """Normalize each case; step and live are what a batch norm needs."""
        parts = [nn.functional.layer_norm(part, part.shape[-1:], eps=self.eps) for part in x.split(self.blocks, -1)]
        return torch.cat(parts, -1) * self.weight + self.bias


class Plain(nn.Module):
    """Stands for a norm where there is none."""

    def forward(self, x: torch.Tensor, step: int, live: torch.Tensor) -> torch.Tensor:
        """The input itself."""
        return x


class _Net(nn.Module):
    """A recurrent net over sequences; a subclass defines one step.

    input: (steps, cases, input_size), or (cases, steps, input_size) with batch_first. lengths: (cases,), the steps of
    each case: beyond them its state stays and its output is 0. Returns the outputs and the last state, as torch does.
    """

    gates = 1
    cell = False

    def __init__(self, input_size: int, hidden_size: int, *, batch_first: bool) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.batch_first = input_size, hidden_size, batch_first
        self.weight_ih_l0 = nn.Parameter(torch.empty(self.gates * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(self.gates * hidden_size, hidden_size))
        bound = hidden_size**-0.5
        for weight in (self.weight_ih_l0, self.weight_hh_l0):
            nn.init.uniform_(weight, -bound, bound)
        self.initial_noise = 0.0

    def _first(self, cases: int, like: torch.Tensor) -> torch.Tensor:
        """The state before the first step; in training with noise, so that it differs from case to case."""
        h = like.new_zeros(cases, self.hidden_size)
        return h + self.initial_noise * torch.randn_like(h) if self.training and self.initial_noise else h

    def project(self, x: torch.Tensor, live: torch.Tensor) -> torch.Tensor:  # a norm over time reads it
        """What the input sends to the gates of all steps, not normalized."""
        return x @ self.weight_ih_l0.T

    def step(
        self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, t: int, live: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The next state and cell."""
        raise NotImplementedError

    def forward(
        self, input: torch.Tensor, hx: torch.Tensor | State | None = None, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | State]:
        """All steps; hx: the first state, (1, cases, hidden_size), of an LSTM a pair."""
        x = input.transpose(0, 1) if self.batch_first else input
        steps, cases = x.shape[:2]
        h = c = self._first(cases, x)
        if isinstance(hx, tuple):
            h, c = hx[0][0], hx[1][0]
        elif hx is not None:
            h = hx[0]
        elif self.cell:
            c = torch.zeros_like(h)
        ends = torch.full((cases,), steps) if lengths is None else lengths
        live = torch.arange(steps)[:, None] < ends[None, :]
        sent, outputs = self.project(x, live), []
        for t in range(steps):
            alive = live[t][:, None]
            new_h, new_c = self.step(sent[t], h, c, t, live[t])
            outputs.append(torch.where(alive, new_h, torch.zeros_like(h)))
            h, c = torch.where(alive, new_h, h), torch.where(alive, new_c, c)
        y = torch.stack(outputs, 1 if self.batch_first else 0)
        return (y, (h[None], c[None])) if self.cell else (y, h[None])


class _Lstm(_Net):
    """The cell of an LSTM with a norm of each summed input and one of the cell on its way out."""

    gates, cell = 4, True
    norm_ih: nn.Module
    norm_hh: nn.Module
    norm_c: nn.Module
    bias_ih_l0: torch.Tensor

    def step(
        self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, t: int, live: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The next state and cell."""
        a = self.norm_hh(h @ self.weight_hh_l0.T, t, live) + self.norm_ih(x, t, live) + self.bias_ih_l0
        i, f, g, o = a.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.norm_c(c, t, live)), c


class BNLSTM(_Lstm):
    """BN-LSTM (Cooijmans and others 2016, eq. 6): gains start at 0.1, running statistics of each of max_length steps.

    initial_noise: standard deviation of the first state in training, where none is given. Without it all cases start
    alike, the variance of W h is 0 at the first step, and its gradient is multiplied by 1 / sqrt(eps).
    """

    def __init__(
        self, input_size: int, hidden_size: int, max_length: int, eps: float = 1e-5, momentum: float = 0.1,
        *, batch_first: bool = False, initial_noise: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, batch_first=batch_first)
        self.initial_noise = initial_noise
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.norm_ih = StepBatchNorm(4 * hidden_size, max_length, eps, momentum, gain=0.1, shift=False)
        self.norm_hh = StepBatchNorm(4 * hidden_size, max_length, eps, momentum, gain=0.1, shift=False)
        self.norm_c = StepBatchNorm(hidden_size, max_length, eps, momentum, gain=0.1, shift=True)


class LNLSTM(_Lstm):
    """LN-LSTM (Ba, Kiros, Hinton 2016, eq. 20-22): one statistic over all four gates."""

    def __init__(self, input_size: int, hidden_size: int, eps: float = 1e-5, *, batch_first: bool = False) -> None:
        super().__init__(input_size, hidden_size, batch_first=batch_first)
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.norm_ih = StepLayerNorm((4 * hidden_size,), eps)
        self.norm_hh = StepLayerNorm((4 * hidden_size,), eps)
        self.norm_c = StepLayerNorm((hidden_size,), eps)


class LNGRU(_Net):
    """LN-GRU (Ba, Kiros, Hinton 2016, eq. 23-26): one statistic over both gates, one over the candidate."""

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, eps: float = 1e-5, *, batch_first: bool = False) -> None:
        super().__init__(input_size, hidden_size, batch_first=batch_first)
        self.norm_ih = StepLayerNorm((2 * hidden_size, hidden_size), eps)
        self.norm_hh = StepLayerNorm((2 * hidden_size, hidden_size), eps)

    def step(
        self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, t: int, live: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The next state."""
        r_x, z_x, n_x = self.norm_ih(x, t, live).chunk(3, -1)
        r_h, z_h, n_h = self.norm_hh(h @ self.weight_hh_l0.T, t, live).chunk(3, -1)
        z = torch.sigmoid(z_x + z_h)
        n = torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h)
        return (1 - z) * n + z * h, c


class LNRNN(_Net):
    """LN-RNN (Ba, Kiros, Hinton 2016, eq. 4): one norm of the sum of what input and state send."""

    def __init__(self, input_size: int, hidden_size: int, eps: float = 1e-5, *, batch_first: bool = False) -> None:
        super().__init__(input_size, hidden_size, batch_first=batch_first)
        self.norm = StepLayerNorm((hidden_size,), eps)

    def step(
        self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, t: int, live: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The next state."""
        return torch.tanh(self.norm(x + h @ self.weight_hh_l0.T, t, live)), c


class _BatchRnn(_Net):
    """A tanh net with batch norm of what the input sends, and perhaps of what the state sends."""

    norm_ih: nn.Module
    norm_hh: nn.Module
    bias_ih_l0: torch.Tensor

    def step(
        self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, t: int, live: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The next state."""
        return torch.tanh(
            self.norm_ih(x, t, live) + self.norm_hh(h @ self.weight_hh_l0.T, t, live) + self.bias_ih_l0
        ), c


class BNRNN(_BatchRnn):
    """BN-RNN (Cooijmans and others 2016): both summed inputs normalized, statistics of each step, gains from 0.1."""

    def __init__(
        self, input_size: int, hidden_size: int, max_length: int, eps: float = 1e-5, momentum: float = 0.1,
        *, batch_first: bool = False, initial_noise: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, batch_first=batch_first)
        self.initial_noise = initial_noise
        self.bias_ih_l0 = nn.Parameter(torch.zeros(hidden_size))
        self.norm_ih = StepBatchNorm(hidden_size, max_length, eps, momentum, gain=0.1, shift=False)
        self.norm_hh = StepBatchNorm(hidden_size, max_length, eps, momentum, gain=0.1, shift=False)


class FrameBatchNormRNN(_BatchRnn):
    """Batch norm from input to hidden, frame by frame (Laurent and others 2015, section 3.1)."""

    def __init__(
        self, input_size: int, hidden_size: int, max_length: int, eps: float = 1e-5, momentum: float = 0.1,
        *, batch_first: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, batch_first=batch_first)
        self.bias_ih_l0 = nn.Parameter(torch.zeros(hidden_size))
        self.norm_ih = StepBatchNorm(hidden_size, max_length, eps, momentum, gain=1.0, shift=False)
        self.norm_hh = Plain()


class SequenceBatchNormRNN(_BatchRnn):
    """Batch norm from input to hidden over cases and steps (Amodei 2015, eq. 5; Laurent 2015, section 3.2)."""

    def __init__(
        self, input_size: int, hidden_size: int, eps: float = 1e-5, momentum: float = 0.1, *, batch_first: bool = False
    ) -> None:
        super().__init__(input_size, hidden_size, batch_first=batch_first)
        self.bias_ih_l0 = nn.Parameter(torch.zeros(hidden_size))
        self.norm_ih = Plain()
        self.norm_hh = Plain()
        self.norm = StepBatchNorm(hidden_size, 1, eps, momentum, gain=1.0, shift=False)

    def project(self, x: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
        """What the input sends, normalized over the cases of all steps."""
        a = super().project(x, live)
        normalized: torch.Tensor = self.norm(a.flatten(0, 1), 0, live.flatten())
        return normalized.view_as(a)
