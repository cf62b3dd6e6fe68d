"""What a layer in refreshed coordinates claims: which statistics choose them, and what its steps then commute with."""

from __future__ import annotations

from dataclasses import dataclass

from normcheck.core.spec import OF_BATCH, REPARAMETRIZES, Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Reparametrized:
    """One reparametrization, who says so, and how its implementations are called."""

    name: str
    title: str
    paper: Paper
    formula: str
    geometry: str = ""  # name in reference.affine.GEOMETRIES; empty: a hidden layer of tanh, reference.perceptron
    commutes: frozenset[str] = frozenset()  # steps with these maps of the input: shift, rotation, linear
    damping: str = ""  # what the constructor takes beside the layer
    dampings: tuple[float, ...] = (0.0,)  # values with which it is asked, the usual one first
    keeps: bool = False  # the length of a gradient
    note: str = ""
    arguments: tuple[str, ...] = ("linear",)

    @property
    def extended(self) -> dict[str, bool]:
        """Of the columns beyond Table 1: other coordinates of the same net, chosen by constants."""
        return {REPARAMETRIZES: True, OF_BATCH: True}


_NOTE = (
    "The statistics are those of the batch that refresh is given; code that averages them over batches takes a "
    "momentum, the weight of the new batch, and is asked with 1. "
)

ENTRIES = (
    Reparametrized(
        name="mean_normalized_sgd",
        title="mean-normalized gradient descent",
        paper=Paper(
            "Wiesler, Richard, Schlueter, Ney", 2014, "Mean-normalized stochastic gradient for large-scale deep "
            "learning", "https://doi.org/10.1109/ICASSP.2014.6853582", "pages 180-184",
        ),
        formula="y = W (x - m) + d, m constant; a refresh sets m = mean(x) and d += W (m - m before)",
        geometry="mean",
        commutes=frozenset({"shift", "rotation"}),
        note=_NOTE + "The step on W and d is that on W and b with g_W - g_b m^T for g_W, and a bias that follows.",
    ),
    Reparametrized(
        name="linear_transformations",
        title="linear transformations in perceptrons",
        paper=Paper(
            "Raiko, Valpola, LeCun", 2012, "Deep Learning Made Easier by Linear Transformations in Perceptrons",
            "https://proceedings.mlr.press/v22/raiko12.html", "pages 924-932",
        ),
        formula="y = A f(B x + b) + C x + c, f(a) = tanh(a) + alpha a + beta; a refresh sets alpha = -mean(tanh'), "
        "beta = -mean(tanh + alpha a), and moves what that changes into C and c",
        note=_NOTE + "Later work also scales f; that is not asked.",
        arguments=("inner", "outer", "shortcut"),
    ),
    Reparametrized(
        name="natural_gradient_sgd",
        title="natural-gradient descent by smoothed scatters (NG-SGD)",
        paper=Paper(
            "Povey, Zhang, Khudanpur", 2014, "Parallel training of DNNs with Natural Gradient and Parameter Averaging",
            "https://arxiv.org/abs/1410.7455", "online NG-SGD, as Kaldi's natural-gradient-online.h",
        ),
        formula="[W b] -= lr (k_d G_d^-1 dy^T) (x~ G_x^-1 k_x), x~ = (x, 1), G = F + alpha tr(F) / size I, "
        "F = rows^T rows / cases of the batch of the refresh, k: lengths of dy and x~ stay as they were",
        geometry="scatter",
        commutes=frozenset({"rotation"}),
        damping="alpha",
        dampings=(4.0, 0.5),
        keeps=True,
        note=_NOTE + "F is asked in full: a form of low rank is asked with a rank that is no restriction.",
        arguments=("linear", "alpha"),
    ),
    Reparametrized(
        name="natural_neural_network",
        title="natural neural network (PRONG)",
        paper=Paper(
            "Desjardins, Simonyan, Pascanu, Kavukcuoglu", 2015, "Natural Neural Networks",
            "https://arxiv.org/abs/1507.00210", "Algorithm 1",
        ),
        formula="y = V U (x - m) + d, U and m constant; a refresh sets m = mean(x), U = (cov(x) + eps I)^(-1/2), and V "
        "and d such that y stays",
        geometry="covariance",
        commutes=frozenset({"shift", "rotation", "linear"}),
        damping="eps",
        dampings=(2.0**-6, 1.0),
        note=_NOTE + "Any root U with U^T U = (cov(x) + eps I)^-1 takes the same steps; cov(x) is divided by the count "
        "of cases. With eps 0 a step commutes with every invertible map of the input.",
        arguments=("linear", "eps"),
    ),
)  # fmt: skip
"""Every entry of this family."""
