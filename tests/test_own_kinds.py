"""A kind that a project defines in its conftest: its row, its gradient, its page, and the faults that are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import normcheck
from normcheck import families
from normcheck.explain import pages
from normcheck.explain.topics import OWN_KIND, TOPICS

LAYERS = """
import torch


def right(x, weight, bias, eps=1e-5):
    c = x - x.mean(-1, keepdim=True)
    return c / (c.abs().mean(-1, keepdim=True) + eps) * weight + bias


class MeanSizeNorm(torch.nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.gamma, self.beta = torch.nn.Parameter(torch.ones(dim)), torch.nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x):
        return right(x, self.gamma, self.beta, self.eps)


def no_eps(x, weight, bias, eps=1e-5):
    return right(x, weight, bias, 0.0)


def detached(x, weight, bias, eps=1e-5):
    c = x - x.mean(-1, keepdim=True).detach()
    return c / (c.abs().mean(-1, keepdim=True).detach() + eps) * weight + bias


def of_all(x, weight, bias, eps=1e-5):
    c = x - x.mean()
    return c / (c.abs().mean() + eps) * weight + bias


def weight_ignored(x, weight, bias, eps=1e-5):
    return right(x, torch.ones_like(weight), bias, eps)
"""

NAMED = {
    "no_eps": "defined-eps-dropped",
    "detached": "defined-statistics-detached",
    "of_all": "defined-statistics-of-all",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(OWN_KIND)
    (tmp_path / "layers.py").write_text(LAYERS)
    return tmp_path


def run(project: Path, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=project, capture_output=True, text=True, env=environment, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_fifteen_lines() -> None:
    assert len([line for line in OWN_KIND.splitlines() if line.strip()]) <= 15


def test_right_code_passes_and_wrong_code_is_named(project: Path) -> None:
    """The whole suite by `--norm`: two right implementations, and three faults that are found."""
    options = ("pytest", "-q", "-p", "no:cacheprovider", "--norm-effort", "quick")
    names = ("right", "MeanSizeNorm")
    status, said = run(project, *options, *(w for n in names for w in ("--norm", f"mean_size_norm=layers.py:{n}")))
    assert status == 0, said
    status, said = run(project, *options, *(w for n in NAMED for w in ("--norm", f"mean_size_norm=layers.py:{n}")))
    assert status == 1, said
    assert all(fault in said for fault in NAMED.values())
    assert f"{len(NAMED)} of {len(NAMED)}" in said or all(f"layers.py:{name}: failed" in said for name in NAMED), said


def test_the_page_of_the_kind(project: Path) -> None:
    """Outside of pytest the conftest is read too."""
    status, said = run(project, "normcheck", "explain", "mean_size_norm")

    assert status == 0, said
    assert "invariant to weight matrix re-scaling, weight matrix re-centering, data set re-scaling" in " ".join(
        said.replace("dataset", "data set").split()
    )
    assert "agrees with the central differences of order eight" in " ".join(said.split())
    assert "agrees with the complex step" in " ".join(said.split())


def test_the_page_of_how_to_add_one() -> None:
    page = pages.page("adding-a-normalizer")

    assert [line[4:] for line in page.sections[0][1]] == [line for line in OWN_KIND.splitlines() if line]
    assert "adding-a-normalizer" in pages.words()["topics"]
    assert set(TOPICS) == set(pages.words()["topics"])


@pytest.fixture
def no_kinds_left() -> Any:
    before = dict(families.ENTRIES)
    yield
    for name in set(families.ENTRIES) - set(before):
        del families.ENTRIES[name]
        families.OWN.discard(name)


def squared(x: Any, weight: Any) -> Any:
    return weight * x / (1.0 + (x * x).mean(axis=-1, keepdims=True))


def backward(x: Any, dy: Any, weight: Any) -> dict[str, Any]:
    m = 1.0 + (x * x).mean(axis=-1, keepdims=True)
    g = dy * weight
    return {
        "x": g / m - 2.0 * x * (g * x).mean(axis=-1, keepdims=True) / m**2,
        "weight": (dy * x / m).sum(axis=0),
    }


def unsteady(x: Any) -> Any:
    return x * np.random.default_rng().random()


def test_a_value_is_a_kind_too(no_kinds_left: None) -> None:
    """`as_` takes the definition itself; its closed form was proved."""
    import torch

    def mine(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return weight * x / (1 + x.square().mean(-1, keepdim=True))

    entry = normcheck.DefinedNormalizer(name="squared_norm", forward=squared, backward=backward, ranks=(2,))
    found = normcheck.check(mine, as_=entry, effort="quick")

    assert found.ok, str(found)
    assert set(found.row.values()) == {"not invariant"}
    assert found.extended["independence_of_batch"] == "invariant"


def test_a_wrong_closed_form_is_refused(no_kinds_left: None) -> None:
    def wrong(x: Any, dy: Any, weight: Any) -> dict[str, Any]:
        return {**backward(x, dy, weight), "x": dy * weight / (1.0 + (x * x).mean(axis=-1, keepdims=True))}

    entry = normcheck.DefinedNormalizer(name="squared_norm", forward=squared, backward=wrong, ranks=(2,))
    with pytest.raises(normcheck.UsageError, match="backward is not the gradient of forward: dx is off by"):
        families.add(entry)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (normcheck.DefinedNormalizer(name="layer_norm", forward=squared), "there is a kind layer_norm in the catalog"),
        (normcheck.DefinedNormalizer(name="short", forward=lambda x: x[:, :1]), "returned the shape"),
        (normcheck.DefinedNormalizer(name="raising", forward=lambda x: x @ x[1:]), "forward raised ValueError"),
        (normcheck.DefinedNormalizer(name="random", forward=unsteady), "agrees neither"),
        (len, "is no normcheck.DefinedNormalizer"),
    ],
)
def test_what_cannot_be_added(entry: Any, said: str, no_kinds_left: None) -> None:
    with pytest.raises(normcheck.UsageError, match=said):
        families.add(entry)


def test_a_conftest_that_is_wrong_is_a_usage_error(project: Path) -> None:
    (project / "conftest.py").write_text(OWN_KIND.replace("mean_size_norm", "layer_norm"))
    status, said = run(project, "pytest", "--norm", "layer_norm=torch.nn.functional:layer_norm")

    assert status == 4
    assert "there is a kind layer_norm in the catalog" in said
