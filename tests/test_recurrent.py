"""Recurrent nets: the reference against finite differences, what is found in people's classes, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import sweep

from normcheck import Implementation
from normcheck.core.ask import run_case, run_check
from normcheck.core.contract import Contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.events import outcomes_of
from normcheck.core.replay import decode
from normcheck.core.result import FAILED, PASSED
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.families import bind as subject
from normcheck.families.recurrent import bounds, checks, faults
from normcheck.families.recurrent.case import RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.checks import CHECKS_BY_NAME
from normcheck.families.recurrent.diagnosis import diagnose
from normcheck.families.recurrent.entry import ENTRIES, Recurrent
from normcheck.families.recurrent.reference.nets import unroll
from normcheck.families.recurrent.space import RecurrentDraw, recurrent_case

BY_NAME = {entry.name: entry for entry in ENTRIES}
DRAWS = {
    "training": RecurrentDraw(),
    "evaluation beyond the statistics": RecurrentDraw(training=False, beyond=2),
    "padded": RecurrentDraw(padded=True, steps=5),
}


def loss(entry: Recurrent, case: RecurrentCase) -> float:
    found = unroll(entry, case.forward)
    pairs = [(found.y, case.dy), (found.last["h"], case.dh), (found.last.get("c"), case.dc)]
    return float(sum((y[0] * dy).sum() for y, dy in pairs if y is not None and dy is not None))


def moved(case: RecurrentCase, name: str, by: np.ndarray) -> RecurrentCase:
    if name in case.parameters:
        return case.having(**{name: case.parameters[name] + by})
    return case.but(**{name: getattr(case, name) + by})


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("kind", BY_NAME)
def test_the_backward_is_the_derivative_of_the_forward(kind: str, draw: str) -> None:
    """Along a random direction for each parameter, the input and the first state; error of order step^2."""
    entry = BY_NAME[kind]
    case = recurrent_case(entry, replace(DRAWS[draw], eps=1e-2))
    grads = unroll(entry, case).grads
    rng = np.random.default_rng(5)
    for name, gradient in grads.items():
        if getattr(case, name, 0) is None or (name == "c" and case.c is None):
            continue
        to = rng.standard_normal(gradient[0].shape)
        slopes = [
            (loss(entry, moved(case, name, step * to)) - loss(entry, moved(case, name, -step * to))) / (2 * step)
            for step in (2e-4, 1e-4)
        ]
        best = (4 * slopes[1] - slopes[0]) / 3  # Richardson: of order step^4
        assert best == pytest.approx(float((gradient[0] * to).sum()), rel=1e-7, abs=1e-7), name


@sweep("name", faults.ALL)
def test_a_fault_is_told_from_all_others(name: str) -> None:
    """Of all known faults the one that was made is named, alone."""
    fault = faults.ALL[name]
    entry = next(entry for entry in ENTRIES if fault.concerns(entry))

    assert diagnose(faults.faulty(entry, fault, Contract()), ()) == (name,)


@pytest.mark.parametrize("kind", BY_NAME)
def test_nothing_is_said_of_a_correct_net(kind: str) -> None:
    assert diagnose(faults.faulty(BY_NAME[kind], None, Contract()), ()) == ()


LAYER = """
import torch
from torch import nn

class Mine(nn.Module):
    def __init__(self, input_dim, units, epsilon=1e-5):
        super().__init__()
        self.units = units
        self.weight_ih = nn.Parameter(torch.randn(4 * units, input_dim))
        self.weight_hh = nn.Parameter(torch.randn(4 * units, units))
        self.bias = nn.Parameter(torch.zeros(4 * units))
        self.ln_x = nn.LayerNorm(4 * units, epsilon)
        self.ln_h = nn.LayerNorm(4 * units, epsilon)
        self.ln_cell = nn.LayerNorm(units, epsilon)

    def summed(self, x, h):
        return self.ln_x(x @ self.weight_ih.T) + self.ln_h(h @ self.weight_hh.T) + self.bias

    def out(self, c):
        return self.ln_cell(c)

    def forward(self, x, state=None):
        h, c = state if state is not None else (x.new_zeros(x.shape[1], self.units),) * 2
        out = []
        for step in x:
            i, f, g, o = self.summed(step, h).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * self.out(c).tanh()
            out.append(h)
        return torch.stack(out), (h, c)

def each(norm, a):
    parts = [nn.functional.layer_norm(p, p.shape[-1:], eps=norm.eps) for p in a.chunk(4, -1)]
    return torch.cat(parts, -1) * norm.weight + norm.bias

class EachGate(Mine):  # tensorflow#15861
    def summed(self, x, h):
        return each(self.ln_x, x @ self.weight_ih.T) + each(self.ln_h, h @ self.weight_hh.T) + self.bias

class NoBias(Mine):  # addons#210
    def summed(self, x, h):
        return super().summed(x, h) - self.bias

class NoCell(Mine):  # DI-engine#849
    def out(self, c):
        return c

class NoNorm(Mine):  # lstms.pth#3
    def summed(self, x, h):
        return x @ self.weight_ih.T + h @ self.weight_hh.T + self.bias
    def out(self, c):
        return c

class OneWidth(Mine):  # addons#323
    def __init__(self, input_dim, units):
        super().__init__(input_dim, units)
        self.ln_x = nn.LayerNorm(units)

class Unknown(Mine):
    def __init__(self, input_dim, units):
        super().__init__(input_dim, units)
        self.something = nn.Parameter(torch.zeros(units))

class Demanding(Mine):
    def __init__(self, input_dim, units, flavor):
        super().__init__(input_dim, units)

def no_module(input_size, hidden_size):
    return 3
"""

BATCH = """
import torch
from torch import nn

class Steps(nn.Module):
    def __init__(self, width, max_length, shift):
        super().__init__()
        self.last = max_length - 1
        self.weight = nn.Parameter(torch.full((width,), 0.1))
        self.bias = nn.Parameter(torch.zeros(width)) if shift else None
        for step in range(max_length):
            self.register_buffer(f"running_mean_{step}", torch.zeros(width))
            self.register_buffer(f"running_var_{step}", torch.ones(width))

    def kept(self, step):
        step = min(step, self.last)
        return getattr(self, f"running_mean_{step}"), getattr(self, f"running_var_{step}")

    def forward(self, x, step):
        return nn.functional.batch_norm(x, *self.kept(step), self.weight, self.bias, self.training)

class Mine(nn.Module):
    norm, noise = Steps, 0.1
    def __init__(self, input_size, hidden_size, max_length, batch_first=False):
        super().__init__()
        self.batch_first, self.hidden_size = batch_first, hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.randn(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.randn(4 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.bn_ih = self.norm(4 * hidden_size, max_length, False)
        self.bn_hh = self.norm(4 * hidden_size, max_length, False)
        self.bn_c = self.norm(hidden_size, max_length, True)

    def forward(self, x, hx=None):
        x = x.transpose(0, 1) if self.batch_first else x
        if hx is None:
            zero = x.new_zeros(1, x.shape[1], self.hidden_size)
            hx = (zero + self.noise * torch.randn_like(zero) * self.training, zero)
        (h, c), out = (hx[0][0], hx[1][0]), []
        for t, step in enumerate(x):
            a = self.bn_ih(step @ self.weight_ih_l0.T, t) + self.bn_hh(h @ self.weight_hh_l0.T, t) + self.bias_ih_l0
            i, f, g, o = a.chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * self.bn_c(c, t).tanh()
            out.append(h)
        return torch.stack(out, 1 if self.batch_first else 0), (h[None], c[None])

class Shared(Mine):  # jihunchoi#1
    class norm(Steps):
        def kept(self, step):
            return self.running_mean_0, self.running_var_0

class First(Mine):  # Element-Research/rnn#252
    class norm(Steps):
        def kept(self, step):
            return super().kept(step if self.training else 0)
"""


@pytest.fixture
def mine(tmp_path: Path) -> Any:
    """The name of a class in one of the two files above."""
    (tmp_path / "layer.py").write_text(LAYER)
    (tmp_path / "batch.py").write_text(BATCH)

    def name(file: str, attribute: str) -> str:
        return f"{tmp_path / file}.py:{attribute}"

    return name


def outcomes(kind: str, target: str) -> list[Any]:
    return outcomes_of(events(claims([f"{kind}={target}"], {}), Settings("quick")))


def broken(some: list[Any]) -> set[str]:
    return {o.check for o in some if o.status == FAILED}


@pytest.mark.parametrize(("kind", "file"), [("recurrent_layer_norm", "layer"), ("recurrent_batch_norm", "batch")])
def test_a_class_of_a_users_own_passes(mine: Any, kind: str, file: str) -> None:
    """With other names, states without an axis of layers, buffers numbered by step, noise where no state is given."""
    found = outcomes(kind, mine(file, "Mine"))

    assert not [(o.check, o.finding) for o in found if o.status not in (PASSED, "skipped")]
    assert sum(o.status == PASSED for o in found) >= 20


@pytest.mark.parametrize(("file", "name", "fault", "check"), [
    ("layer", "EachGate", "layer-norm-of-each-gate", "recurrent-gate-rescaling"),
    ("layer", "NoBias", "recurrent-bias-ignored", "gates-in-order"),
    ("layer", "NoCell", "cell-not-normalized", "recurrent-output"),
    ("layer", "NoNorm", "no-norm-at-all", "recurrent-weight-matrix-rescaling"),
    ("batch", "Shared", "statistics-shared-by-steps", "own-step-statistics"),
    ("batch", "First", "first-statistics-in-evaluation", "recurrent-evaluation"),
])  # fmt: skip
def test_what_public_code_calls_by_this_name_is_told_apart(
    mine: Any, file: str, name: str, fault: str, check: str
) -> None:
    """Each variant fails, by the check that sees it, and is called what it is."""
    found = outcomes(f"recurrent_{file}_norm", mine(file, name))

    assert check in broken(found)
    assert {names for o in found if o.finding is not None for names in o.diagnosis} == {fault}


@pytest.mark.parametrize(("name", "error", "said"), [
    ("no_module", UsageError, "builds a int, no torch.nn.Module"),
    ("Unknown", UsageError, "what its parameter 'something' is cannot be told; name them as weight_ih_l0, "),
    ("Demanding", UsageError, "its constructor gets no value for 'flavor'; give it a default, or name it as one of"),
    ("OneWidth", CallError, "has norm_ih.weight of shape (4,), not (16,)"),
])  # fmt: skip
def test_what_cannot_be_bound_is_said_in_one_sentence(mine: Any, name: str, error: type, said: str) -> None:
    with pytest.raises(error) as raised:
        subject(Implementation("recurrent_layer_norm", mine("layer", name)))

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_plain_lstm_is_none_of_them() -> None:
    """torch's own, whose constructor has no signature, has no invariance but those of what it has not."""
    found = outcomes("recurrent_layer_norm", "torch.nn:LSTM")

    assert {"recurrent-weight-matrix-rescaling", "recurrent-dataset-rescaling"} <= broken(found)
    assert not {"causal", "recurrent-batch-independence", "gates-in-order"} & broken(found)


def test_a_net_that_starts_from_noise_is_asked_with_a_state_in_training(mine: Any) -> None:
    net = subject(Implementation("recurrent_batch_norm", mine("batch", "Mine")))

    assert net.domain.noise
    space = CHECKS_BY_NAME["recurrent-output"].space
    assert all(draw.states for draw in space.explicit_examples(net))


def test_the_gain_decides_how_steep_tanh_is() -> None:
    """Normal inputs times a gain: E tanh' = 0.990, 0.827, 0.606 for 0.1, 0.5, 1 (Cooijmans 2016, section 4)."""
    entry = replace(BY_NAME["recurrent_batch_norm_rnn"], places=("hh",))
    case = recurrent_case(entry, RecurrentDraw(steps=2, cases=4000, units=4, eps=1e-12))
    h = np.random.default_rng(0).standard_normal(case.h.shape)
    means = {}
    for gain in (0.1, 0.5, 1.0):
        made = case.but(x=0.0 * case.x, h=h, dy=None).having(
            gain_hh=np.full(4, gain), bias_ih=np.zeros(4), weight_hh=np.eye(4)
        )
        means[gain] = float((1.0 - np.square(unroll(entry, made).y[0, 0])).mean())
    assert means == pytest.approx({0.1: 0.990, 0.5: 0.827, 1.0: 0.606}, abs=0.01)


STRANGERS = Path(__file__).parent / "user_code" / "strangers"


def test_a_gru_that_is_written_as_torch_writes_it_keeps_its_state_but_for_rounding() -> None:
    """n + z (h - n) with z = 1 is h but for a rounding of |h| + |n|; an error of a ten-thousandth is found."""
    right = subject(Implementation("recurrent_layer_norm_gru", f"{STRANGERS}/right/recurrent_layer.py:LayerNormGRU"))
    check = CHECKS_BY_NAME["gates-in-order"]
    for draw in check.space.explicit_examples(right):
        case = recurrent_case(right.entry, draw)
        off = replace(right, call=lambda c, g: _state_times(right.call(c, g), 1.0 + 1e-4))
        assert check.ask(right, case).bound_ratio <= 0.5
        assert check.ask(off, case).bound_ratio > 1.0


def _state_times(answer: RecurrentAnswer, factor: float) -> RecurrentAnswer:
    return replace(answer, last={name: factor * value for name, value in answer.last.items()})


def test_a_gradient_that_vanishes_has_a_bound() -> None:
    """Of 1e-200 after 40 steps: squares of what its samples are off underflow."""
    check, draw = decode("gradient-through-time/seed=9321/steps=40/cases=3/inputs=2/units=2", RecurrentDraw())
    mine = subject(Implementation("recurrent_layer_norm_rnn", "normcheck.implementations.recurrent:LNRNN"))
    case, found = run_case(mine, CHECKS_BY_NAME[check], draw)

    last = case.but(dy=None)
    assert np.abs(bounds.truth(mine.entry, last, mine.contract).exact.grads["x"][0]).max() < 1e-170
    assert found.holds


@pytest.mark.parametrize("gradient", ["mean-constant", "variance-constant", "statistics-constant"])
@pytest.mark.parametrize("kind", ["recurrent_layer_norm", "batch_norm_rnn"])
def test_a_net_passes_under_the_gradient_that_it_declares(kind: str, gradient: str) -> None:
    """No check but that of the whole gradient is left out, and none contradicts the contract."""
    net = faults.faulty(BY_NAME[kind], None, Contract(gradient=gradient))
    asked = [c for c in checks.CHECKS if c.concerns(net.entry)]
    lacking = {c.name: c.lacks(net) for c in asked if c.lacks(net)}
    found = [run_check(net, c, list(c.space.explicit_examples(net))[:3]) for c in asked if not c.lacks(net)]

    assert list(lacking) == ["gradient-along-weights"]
    assert f"gradient={gradient}" in lacking["gradient-along-weights"]
    assert not [(o.check, o.finding) for o in found if o.status != PASSED]


def test_detached_statistics_pass_if_they_are_declared() -> None:
    net = Implementation(
        "batch_norm_rnn", f"{STRANGERS}/wrong/recurrent_batch.py:FrameNorm", {"gradient": "statistics-constant"}
    )
    bound = subject(net)
    for check in (c for c in checks.CHECKS if c.concerns(bound.entry) and not c.lacks(bound)):
        assert run_check(bound, check, list(check.space.explicit_examples(bound))[:3]).status == PASSED, check.name
