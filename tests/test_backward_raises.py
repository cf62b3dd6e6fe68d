"""A backward pass that raises is a finding in every family: the output says that it has a gradient."""

from __future__ import annotations

from pathlib import Path

import pytest

import normcheck

STOP = """
import torch
from normcheck.implementations import recurrent, synchronized, whitening


class Stop(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        return y.clone()

    @staticmethod
    def backward(ctx, dy):
        raise RuntimeError("this kernel has no backward pass")


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return Stop.apply(torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps))


def pixel_norm(x, eps=1e-8):
    return Stop.apply(x * torch.rsqrt(x.square().mean(1, keepdim=True) + eps))


def zca_whitening(input, weight=None, bias=None, eps=1e-5):
    return Stop.apply(whitening.zca_whitening(input, None, None, weight, bias, True, 0.1, eps))


class SyncBatchNorm(synchronized.SyncBatchNorm):
    def forward(self, x):
        return Stop.apply(super().forward(x))


class LNRNN(recurrent.LNRNN):
    def forward(self, *args, **options):
        out, *rest = super().forward(*args, **options)
        return Stop.apply(out), *rest
"""

TARGETS = {
    "layer_norm": "layer_norm",
    "pixel_norm": "pixel_norm",
    "zca_whitening": "zca_whitening",
    "sync_batch_norm": "SyncBatchNorm",
    "recurrent_layer_norm_rnn": "LNRNN",
}


@pytest.mark.parametrize("kind", TARGETS)
def test_a_backward_that_raises_is_a_finding(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STOP)

    verdict = normcheck.check(f"{tmp_path / 'mine.py'}:{TARGETS[kind]}", as_=kind, effort="quick")

    assert not verdict.ok, str(verdict)
    assert "raises RuntimeError" in [cause["name"] for cause in verdict.causes], str(verdict)
    assert "this kernel has no backward pass" in " ".join(str(verdict).split())
