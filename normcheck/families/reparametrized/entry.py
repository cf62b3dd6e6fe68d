"""The layers in refreshed coordinates of the catalog: by which statistics coordinates are chosen, what steps keep."""

from __future__ import annotations

from dataclasses import dataclass

from normcheck.core.spec import OF_BATCH, REPARAMETRIZES, Paper
from normcheck.families.reparametrized.reference.affine import Estimate, by_covariance, by_mean, by_scatter

SHIFT, ROTATION, LINEAR = "shift", "rotation", "linear"
"""Maps of the input: a constant added, a rotation, any invertible matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reparametrized:
    """One reparametrization: its paper, its formula, its statistics, and the arguments of its implementations."""

    name: str
    title: str
    paper: Paper
    formula: str
    geometry: Estimate | None = None  # that an affine layer takes from a batch; None: a hidden layer of tanh
    commutes: frozenset[str] = frozenset()  # maps of the input with which steps commute
    damping: str = ""  # the argument of the constructor beside the layer
    dampings: tuple[float, ...] = (0.0,)  # its values in test cases, the usual one first
    keeps: bool = False  # a gradient keeps its length
    note: str = ""
    arguments: tuple[str, ...] = ("linear",)

    @property
    def affine(self) -> bool:
        """Whether it is one affine layer in another geometry, and not a hidden layer of tanh with a linear part."""
        return self.geometry is not None

    @property
    def extended(self) -> dict[str, bool]:
        """Columns beyond Table 1: other coordinates of the same net, which are constant between refreshes."""
        return {REPARAMETRIZES: True, OF_BATCH: True}


_NOTE = (
    "The statistics are those of the batch that refresh is given; code that averages them over batches takes a "
    "momentum, the weight of the new batch, and is asked with 1, and with 0, where a second refresh changes nothing. "
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
        geometry=by_mean,
        commutes=frozenset({SHIFT, ROTATION}),
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
        geometry=by_scatter,
        commutes=frozenset({ROTATION}),
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
        geometry=by_covariance,
        commutes=frozenset({SHIFT, ROTATION, LINEAR}),
        damping="eps",
        dampings=(2.0**-6, 1.0),
        note=_NOTE + "Any root U with U^T U = (cov(x) + eps I)^-1 takes the same steps; cov(x) is divided by the count "
        "of cases. With eps 0 a step commutes with every invertible map of the input.",
        arguments=("linear", "eps"),
    ),
)  # fmt: skip
"""Every entry of this family."""
