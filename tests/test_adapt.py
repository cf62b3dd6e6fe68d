"""`normcheck adapt`: what cannot be called as it is says so in one sentence, and its wrapper is run and bound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import normcheck
from normcheck.cli import run
from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError
from normcheck.families import bind as subject
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, values

CODE = '''
import torch
import torch.nn.functional as F


class FromConfig(torch.nn.Module):
    """In the way of transformers."""

    def __init__(self, config):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(config.hidden_size))
        self.eps = config.rms_norm_eps

    def forward(self, hidden_states):
        return F.rms_norm(hidden_states, hidden_states.shape[-1:], self.weight, self.eps)


class ConfiguredBatchNorm(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.batchnorm = torch.nn.BatchNorm1d(config.d_model, eps=config.norm_eps)

    def forward(self, inputs):
        return self.batchnorm(inputs.transpose(1, 2)).transpose(1, 2)


class OpenConfig(torch.nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        assert config.norm_mode in ("pre", "post")
        self.weight = torch.nn.Parameter(torch.ones(config.hidden_size))

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, 1e-6)


class Residual(torch.nn.LayerNorm):
    def forward(self, x, residual):
        x = x + residual
        return super().forward(x), x


class ResidualFirst(torch.nn.LayerNorm):
    def forward(self, x, residual):
        x = x + residual
        return x, super().forward(x)


class GatedRMSNorm(torch.nn.RMSNorm):
    def forward(self, hidden_states, gate):
        return super().forward(hidden_states) * F.silu(gate)


class MaskedBatchNorm(torch.nn.BatchNorm1d):
    def forward(self, x, mask):
        return super().forward(x * mask[..., None])


class ScaleAndShift(torch.nn.LayerNorm):
    def forward(self, x, scale, shift):
        return super().forward(x) * (1 + scale) + shift


class FactorLayerNorm(torch.nn.LayerNorm):
    def forward(self, x, scale):
        return super().forward(x) * scale


class Conditioned(torch.nn.Module):
    """Adaptive layer norm: scale and shift follow from an embedding of each case."""

    def __init__(self, embedding_dim, conditioning_dim, eps=1e-5):
        super().__init__()
        self.linear = torch.nn.Linear(conditioning_dim, 2 * embedding_dim, bias=False)
        self.norm = torch.nn.LayerNorm(embedding_dim, eps, elementwise_affine=False)

    def forward(self, x, temb):
        scale, shift = self.linear(F.silu(temb))[:, None].chunk(2, -1)
        return self.norm(x) * (1 + scale) + shift


class WithStatistics(torch.nn.LayerNorm):
    def forward(self, x):
        return super().forward(x), None


class Named(torch.nn.LayerNorm):
    def forward(self, x):
        return {"output": super().forward(x)}


def fused_add_rms_norm(x, residual, weight, epsilon):
    h = x + residual
    return F.rms_norm(h, h.shape[-1:], weight, epsilon), h


def two_of_one_shape(x, weight=None, bias=None, eps=1e-5):
    """A layer norm that returns its input too."""
    return x, F.layer_norm(x, x.shape[-1:], weight, bias, eps)


layer = Residual(8)


def plain_layer_norm(x, weight=None, bias=None, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "odd_norms.py"
    place.write_text(CODE)
    return place


def adapted(text: str) -> Any:
    """The object that the source of a wrapper defines last, and without other names of the test."""
    namespace: dict[str, Any] = {"__name__": "mine"}
    exec(text, namespace)
    return namespace["adapted"] if "adapted" in namespace else list(namespace.values())[-1]


def agrees(kind: str, target: Any) -> bool:
    """Whether the outputs are those of the reference."""
    found = subject(Implementation(kind, target))
    domain = found.domain
    draw = fit(found.normalizer, Draw(rank=domain.ranks[0], affine=domain.affine[0]), domain.sizes)
    case = values(found.normalizer, draw)
    case = case if domain.eps is None else case.but(eps=domain.eps)
    y, truth = found.call(case, False).y, evaluate(found.normalizer, case, found.contract).y
    return bool(np.allclose(y, truth, rtol=1e-9, atol=1e-9))


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["adapt", *words]) == 0
    return capsys.readouterr().out


CASES = (
    ("FromConfig", "rms_norm", "is constructed from an object of options, 'config'"),
    ("Residual", "layer_norm", "requires 'residual' in each call beside its input"),
    ("ResidualFirst", "layer_norm", "requires 'residual' in each call beside its input"),
    ("MaskedBatchNorm", "batch_norm", "requires 'mask' in each call beside its input"),
    ("Conditioned", "layer_norm", "it gets no value for its parameter"),
    ("WithStatistics", "layer_norm", "returns a tuple of 2 values, not its output alone"),
    ("Named", "layer_norm", "returns a dict of 1 values, not its output alone"),
    ("fused_add_rms_norm", "rms_norm", "it gets no value for its parameter 'residual'"),
    ("two_of_one_shape", "layer_norm", "returns a tuple of 2 values, not its output alone"),
    ("layer", "layer_norm", "requires 'residual' in each call beside its input"),
)


@pytest.mark.parametrize(("name", "weight"), [("ScaleAndShift", "1+w"), ("FactorLayerNorm", "w")])
def test_weight_and_bias_may_be_given_in_each_call(file: Path, name: str, weight: str) -> None:
    found = normcheck.check(f"{file}:{name}", as_="layer_norm", effort="smoke", contract={"weight": weight})

    assert found.ok, str(found)


@pytest.mark.parametrize(("name", "kind", "why"), CASES, ids=[name for name, *_ in CASES])
def test_adapted(file: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str, why: str) -> None:
    """The sentence names the command, and the wrapper that it prints is bound and agrees with the normalizer."""
    target = f"{file}:{name}"
    with pytest.raises(UsageError) as raised:
        subject(Implementation(kind, target))
    said = str(raised.value)

    assert why in said
    assert said.endswith(f"`normcheck adapt {target}` prints a wrapper")
    assert "\n" not in said
    text = printed(capsys, target, "--as", kind)
    assert "FILL IN" not in text
    assert len(text.splitlines()) <= 20
    assert agrees(kind, adapted(text))


def test_what_cannot_be_known_is_marked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options without a role are places to fill in; once they are filled in, the wrapper works."""
    text = printed(capsys, f"{file}:OpenConfig", "--as", "rms_norm")

    assert "norm_mode=...,  # FILL IN" in text
    assert "# FILL IN: the value of layer_idx" in text
    assert agrees(
        "rms_norm", adapted(text.replace("norm_mode=...", "norm_mode='pre'").replace("layer_idx=...", "layer_idx=0"))
    )


def test_a_value_that_is_not_neutral_is_marked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No value of a gate behind an activation is known to change nothing: the wrapper is bound, and says so."""
    text = printed(capsys, f"{file}:GatedRMSNorm")

    assert "gate = torch.ones_like(x)  # FILL IN: a value that leaves the output as it is" in text
    assert subject(Implementation("rms_norm", adapted(text))).domain.formats
    assert not agrees("rms_norm", adapted(text))


def test_a_config_of_a_batch_norm(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the way of PatchTST: the options are the width and eps, and the layer takes (cases, length, units)."""
    text = printed(capsys, f"{file}:ConfiguredBatchNorm", "--as", "batch_norm")

    assert "config = SimpleNamespace(d_model=num_channels, norm_eps=eps)" in text
    assert "return self.inner(x.transpose(1, -1)).transpose(1, -1)" in text
    assert agrees("batch_norm", adapted(text))


@pytest.mark.parametrize(("name", "kind"), [
    ("ResidualFirst", "layer_norm"), ("MaskedBatchNorm", "batch_norm"), ("fused_add_rms_norm", "rms_norm"),
    ("GatedRMSNorm", "rms_norm"),
])  # fmt: skip
def test_the_kind_is_found(file: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str) -> None:
    """By the names of the target and of its bases, and by what agrees."""
    assert f"{name} as a {kind}" in printed(capsys, f"{file}:{name}")


def test_fixed_arguments_are_kept(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, f"{file}:Residual(bias=False)", "--as", "layer_norm")

    assert "Residual(bias=False, normalized_shape=normalized_shape, eps=eps)" in text
    assert agrees("layer_norm", adapted(text))


def test_what_needs_no_wrapper(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = f"{file}:plain_layer_norm"

    assert printed(capsys, target) == f"# {target} needs no wrapper: --norm layer_norm={target}\n"


def test_lazy_modules_need_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "needs no wrapper" in printed(capsys, "torch.nn:LazyBatchNorm1d", "--as", "batch_norm")


@pytest.mark.parametrize(("words", "said"), [
    (["torch:nn"], "torch:nn is neither a module nor a function"),
    (["torch.nn:LayerNorm", "--as", "leyer_norm"], "unknown kind 'leyer_norm'; did you mean 'layer_norm'?"),
    (["torch.nn:LayerNorm", "--as", "path_sgd"], "a path_sgd has no wrapper"),
    (["nc_nowhere:f"], "there is no module 'nc_nowhere'"),
])  # fmt: skip
def test_wrong_words(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        run(["adapt", *words])


def test_the_command(file: Path) -> None:
    """What it prints can be written to a file and checked there."""
    shown = subprocess.run(
        [sys.executable, "-m", "normcheck", "adapt", "odd_norms.py:Residual"],
        cwd=file.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (file.parent / "mine.py").write_text(shown.stdout)
    done = subprocess.run(
        [sys.executable, "-m", "normcheck", "layer_norm=mine.py:AdaptedResidual", "--norm-effort", "quick", "-q"],
        cwd=file.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
