"""What one normalized recurrent net computes: a cell, what is normalized in it, and which entries share a statistic.

Notation: x_t the input of step t, h its state, a_x = W_ih x_t and a_h = W_hh h_(t-1) the two summed inputs. Gates are
stacked as torch stacks them: i, f, g, o in an LSTM; r, z, n in a GRU.
"""

from __future__ import annotations

from dataclasses import dataclass

from normcheck.core.spec import OF_BATCH, OF_LENGTH, REPARAMETRIZES, Paper, Printed, Row, row

GATES = {"lstm": ("i", "f", "g", "o"), "gru": ("r", "z", "n"), "rnn": ("h",)}
"""The gates of a cell, in torch's order."""

BLOCKS = {"lstm": (4,), "gru": (2, 1), "rnn": (1,)}
"""Gates over which a layer norm takes its statistic together (Ba 2016, eq. 20, and of a GRU eq. 23 and 25)."""

PLACES = ("ih", "hh", "sum", "c")
"""What can be normalized: W_ih x, W_hh h, their sum, the cell of an LSTM on its way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """What one normalized recurrent net computes, who says so, and what its implementations are asked."""

    name: str
    title: str
    paper: Paper
    formula: str
    cell: str  # "lstm", "gru" or "rnn"
    norm: str  # "batch": entries of all cases share a statistic; "layer": units of a case
    places: tuple[str, ...]  # what is normalized, of `PLACES`
    statistics: str = "step"  # over which time: of each step, or of the whole "sequence"
    gain: float = 1.0  # the weight of a norm at start
    printed: tuple[Printed, ...] = ()
    note: str = ""
    arguments: tuple[str, ...] = ("input", "hx", "lengths")
    eps: float = 1e-5

    @property
    def gates(self) -> int:
        """Rows of the weights, in numbers of units."""
        return len(GATES[self.cell])

    @property
    def state(self) -> bool:
        """Whether it keeps running statistics for evaluation."""
        return self.norm == "batch"

    @property
    def blocks(self) -> tuple[int, ...]:
        """Gates whose units share the statistic of a layer norm, before the cell's own."""
        return BLOCKS[self.cell]

    def shifted(self, place: str) -> bool:
        """Whether a norm has a trained shift: a batch norm has one only where no bias follows (Cooijmans 2016)."""
        return self.norm == "layer" or place == "c"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The roles of all that is trained; a net may have a second bias, as torch's has."""
        norms = [f"gain_{place}" for place in self.places]
        norms += [f"shift_{place}" for place in self.places if self.shifted(place)]
        own = () if self.norm == "layer" and self.cell != "lstm" else ("bias_ih",)
        return ("weight_ih", "weight_hh", *own, *norms)

    def width(self, role: str, units: int) -> int:
        """Entries of a parameter that is a vector."""
        return units if role.endswith("_c") else self.gates * units

    @property
    def row(self) -> Row:
        """Table 1 with both weight matrices changed alike, and x of all steps (theory: a norm sees a_x and a_h)."""
        both = {"ih", "hh"} <= set(self.places)
        summed = "sum" in self.places
        if self.norm == "layer":
            return row("yes yes no  yes no  yes") if both else row("yes yes no  no  no  no")
        if both:
            return row("yes no  yes yes yes no")
        assert not summed, "a batch norm of the sum is nobody's"
        return row("no  no  no  yes yes no")

    @property
    def extended(self) -> dict[str, bool]:
        """The columns beyond Table 1. A plain net does not read other cases, whatever its weights."""
        other = {} if self.batch_independent else {REPARAMETRIZES: False}
        return other | {OF_BATCH: self.batch_independent, OF_LENGTH: self.length_independent}

    @property
    def batch_independent(self) -> bool:
        """Whether a case's output depends on that case alone."""
        return self.norm == "layer"

    @property
    def length_independent(self) -> bool:
        """Whether the output up to a step depends on the input up to that step alone."""
        return self.norm == "layer" or self.statistics == "step"


_BA = ("Ba, Kiros, Hinton", 2016, "Layer Normalization", "https://arxiv.org/abs/1607.06450")
_COOIJMANS = (
    "Cooijmans, Ballas, Laurent, Gulcehre, Courville", 2016, "Recurrent Batch Normalization",
    "https://arxiv.org/abs/1603.09025",
)  # fmt: skip
_LAURENT = (
    "Laurent, Pereyra, Brakel, Zhang, Bengio", 2015, "Batch Normalized Recurrent Neural Networks",
    "https://arxiv.org/abs/1510.01378",
)  # fmt: skip
_AMODEI = (
    "Amodei and others", 2015, "Deep Speech 2: End-to-End Speech Recognition in English and Mandarin",
    "https://arxiv.org/abs/1512.02595",
)  # fmt: skip

ENTRIES = (
    Recurrent(
        name="recurrent_batch_norm",
        title="batch-normalized LSTM (BN-LSTM)",
        paper=Paper(*_COOIJMANS, "eq. 6"),
        formula="i, f, g, o = BN(W_hh h) + BN(W_ih x) + b; c = sigmoid(f) c + sigmoid(i) tanh(g); "
        "h = sigmoid(o) tanh(BN(c)), statistics of each step over cases",
        cell="lstm",
        norm="batch",
        places=("ih", "hh", "c"),
        gain=0.1,
        note="The norms of the summed inputs have no shift, the cell's has one; every gain starts at 0.1. A step "
        "beyond those that have statistics takes the last ones.",
    ),
    Recurrent(
        name="recurrent_batch_norm_rnn",
        title="batch-normalized recurrent net (BN-RNN)",
        paper=Paper(*_COOIJMANS, "eq. 6, section 3"),
        formula="h = tanh(BN(W_hh h) + BN(W_ih x) + b), statistics of each step over cases",
        cell="rnn",
        norm="batch",
        places=("ih", "hh"),
        gain=0.1,
        note="What the paper says of gates, for one tanh: its section 4 measures the gain on such a net.",
    ),
    Recurrent(
        name="recurrent_layer_norm",
        title="layer-normalized LSTM (LN-LSTM)",
        paper=Paper(*_BA, "eq. 20"),
        formula="i, f, g, o = LN(W_hh h) + LN(W_ih x) + b; c = sigmoid(f) c + sigmoid(i) tanh(g); "
        "h = sigmoid(o) tanh(LN(c)), statistics over all gates of a case",
        cell="lstm",
        norm="layer",
        places=("ih", "hh", "c"),
        note="Public code calls other nets by this name: with a norm for each gate, of the sum, or none of the cell. "
        "A finding says which of them it looks like.",
    ),
    Recurrent(
        name="recurrent_layer_norm_rnn",
        title="layer-normalized recurrent net (LN-RNN)",
        paper=Paper(*_BA, "eq. 4"),
        formula="h = tanh(LN(W_hh h + W_ih x)), statistics over the units of a case",
        cell="rnn",
        norm="layer",
        places=("sum",),
        note="One norm of the sum: invariant to a scale of both weight matrices together, of neither alone.",
    ),
    Recurrent(
        name="recurrent_layer_norm_gru",
        title="layer-normalized gated recurrent unit (LN-GRU)",
        paper=Paper(*_BA, "eq. 23"),
        formula="r, z = LN(W_hh h) + LN(W_ih x); n = tanh(LN(W_in x) + sigmoid(r) LN(W_hn h)); "
        "h = (1 - sigmoid(z)) n + sigmoid(z) h, statistics over both gates of a case, and over the candidate",
        cell="gru",
        norm="layer",
        places=("ih", "hh"),
        note="The gate z keeps the state, as torch's does; in the paper it lets the candidate in, the same net with "
        "the other sign of z.",
    ),
    Recurrent(
        name="batch_norm_rnn",
        title="batch norm of the input, frame by frame",
        paper=Paper(*_LAURENT, "eq. 9, section 3.1"),
        formula="h = tanh(W_hh h + BN(W_ih x) + b), statistics of each step over cases",
        cell="rnn",
        norm="batch",
        places=("ih",),
        note="The path from hidden to hidden is left as it is. Each step has its own statistics, of one gain.",
    ),
    Recurrent(
        name="sequence_batch_norm_rnn",
        title="batch norm of the input over time (Deep Speech 2)",
        paper=Paper(*_AMODEI, "section 3.2, eq. 5"),
        formula="h = tanh(W_hh h + BN(W_ih x) + b), statistics over cases and steps",
        cell="rnn",
        norm="batch",
        places=("ih",),
        statistics="sequence",
        note="Laurent 2015, section 3.2, has the same statistics. In training an output depends on later inputs, so no "
        "such net runs online before its statistics are fixed. Deep Speech 2 clips a ReLU where this has tanh.",
    ),
)  # fmt: skip
"""Every normalized recurrent net; another cell is another entry."""
