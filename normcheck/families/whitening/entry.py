"""The whitening layers of the catalog: each names the matrix by which it multiplies centered channels."""

from __future__ import annotations

from dataclasses import dataclass

from normcheck.core.spec import OF_BATCH, REPARAMETRIZES, Paper, Row, row
from normcheck.families.whitening.reference import CHOLESKY, NEWTON, ZCA, Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Whitening:
    """One way to whiten: its paper, its formula, the matrix, and the arguments of its implementations."""

    name: str
    title: str
    paper: Paper
    formula: str
    root: Root  # the matrix that whitens, as a function of the covariance
    rotates: bool  # y(Q x) = Q y(x) for orthogonal Q within a group
    triangular: bool = False  # a channel does not read those after it
    note: str = ""
    arguments: tuple[str, ...] = (
        "input", "running_mean", "running_cov", "weight", "bias", "training", "momentum", "eps", "groups",
    )  # fmt: skip

    @property
    def row(self) -> Row:
        """Table 1: as batch norm, but for a unit's scale, which mixes with other units unless the root is triangular.

        cov(D x) = D S D for a diagonal D: its triangular factor is D L, and (D L)^(-1) D x = L^(-1) x.
        """
        return row("yes no  yes yes yes no" if self.triangular else "yes no  no  yes yes no")

    @property
    def extended(self) -> dict[str, bool]:
        """Columns beyond Table 1: cases share the covariance, so it is no plain layer with other weights."""
        return {REPARAMETRIZES: False, OF_BATCH: False}


_KEPT = (
    "running_cov is the averaged covariance of each group without eps, its divisor the count of members; "
    "papers' code that averages the whitening matrix instead is not asked about running statistics."
)

ENTRIES = (
    Whitening(
        name="zca_whitening",
        title="decorrelated batch norm (ZCA whitening)",
        paper=Paper(
            "Huang, Yang, Lang, Deng", 2018, "Decorrelated Batch Normalization", "https://arxiv.org/abs/1804.08450",
            "Algorithm 1",
        ),
        formula="y = S^(-1/2) (x - mean(x)), S = cov(x) + eps I over the batch, in each group of channels",
        root=ZCA,
        rotates=True,
        note="Equal eigenvalues leave eigenvectors undetermined, and the derivative of eigh infinite; that of S^(-1/2) "
        "is finite there. " + _KEPT,
    ),
    Whitening(
        name="cholesky_whitening",
        title="whitening by the Cholesky factor",
        paper=Paper(
            "Siarohin, Sangineto, Sebe", 2019, "Whitening and Coloring Batch Transform for GANs",
            "https://arxiv.org/abs/1806.00420", "section 3",
        ),
        formula="y = L^(-1) (x - mean(x)), L L^T = cov(x) + eps I over the batch, L lower triangular",
        root=CHOLESKY,
        rotates=False,
        triangular=True,
        note=_KEPT,
    ),
    Whitening(
        name="iter_norm",
        title="iterative whitening (IterNorm)",
        paper=Paper(
            "Huang, Zhou, Zhu, Liu, Shao", 2019, "Iterative Normalization: Beyond Standardization towards Efficient "
            "Whitening", "https://arxiv.org/abs/1904.03441", "Algorithm 1",
        ),
        formula="y = P_5 (x - mean(x)) / sqrt(t), P_k = (3 P - P^3 S / t) / 2, P_0 = I, t = tr S, S = cov(x) + eps I",
        root=NEWTON,
        rotates=True,
        note="Five iterations, as in the paper's experiments: directions of small variance are not fully whitened. "
        + _KEPT,
    ),
)  # fmt: skip
"""Every whitening of this family."""
