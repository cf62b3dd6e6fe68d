"""The recurrent nets of the catalog: a cell, what is normalized in it, and which entries share a statistic.

Notation: x_t the input of step t, h its state, a_x = W_ih x_t and a_h = W_hh h_(t-1) the two summed inputs. Gates are
stacked as torch stacks them: i, f, g, o in an LSTM; r, z, n in a GRU.
"""

from __future__ import annotations

from dataclasses import dataclass

from normcheck.core.spec import OF_BATCH, OF_LENGTH, REPARAMETRIZES, Paper, Printed, Row, row
from normcheck.families.recurrent.reference.cells import GRU, LSTM, RNN, Cell

INPUT, STATE, SUM, CELL = "ih", "hh", "sum", "c"
"""What can be normalized: W_ih x, W_hh h, their sum, the cell of an LSTM on its way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """One normalized recurrent net: its paper, its formula, its cell and its norms."""

    name: str
    title: str
    paper: Paper
    formula: str
    cell: Cell
    over_cases: bool  # a batch norm: a unit's entries of all cases share a statistic; else a case's units: a layer norm
    places: tuple[str, ...]  # what is normalized: INPUT, STATE, SUM, CELL
    over_time: bool = False  # all steps share a statistic; else each step has its own
    bias: bool = True  # the gates have a bias beside the shifts of norms
    gain: float = 1.0  # the weight of a norm in a new net
    printed: tuple[Printed, ...] = ()
    note: str = ""
    arguments: tuple[str, ...] = ("input", "hx", "lengths")
    eps: float = 1e-5

    @property
    def gates(self) -> int:
        """How many gates there are: the weights have this number of rows for each unit."""
        return len(self.cell.gates)

    @property
    def state(self) -> bool:
        """Whether it keeps running statistics for evaluation."""
        return self.over_cases

    @property
    def slotted(self) -> bool:
        """Whether it keeps running statistics of each step."""
        return self.over_cases and not self.over_time

    @property
    def both(self) -> bool:
        """Whether what the input sends and what the state sends are normalized apart."""
        return {INPUT, STATE} <= set(self.places)

    def shifted(self, place: str) -> bool:
        """Whether a norm has a trained shift: a batch norm has one only where no bias follows (Cooijmans 2016)."""
        return not self.over_cases or place == CELL

    @property
    def parameters(self) -> tuple[str, ...]:
        """The roles of all trained parameters; a net may have a second bias, as torch's has."""
        norms = [f"gain_{place}" for place in self.places]
        norms += [f"shift_{place}" for place in self.places if self.shifted(place)]
        own = ("bias_ih",) if self.bias else ()
        return ("weight_ih", "weight_hh", *own, *norms)

    def width(self, role: str, units: int) -> int:
        """The length of a parameter that is a vector."""
        return units if role.endswith(f"_{CELL}") else self.gates * units

    @property
    def row(self) -> Row:
        """Table 1 with both weight matrices changed alike, and x of all steps (theory: a norm sees a_x and a_h)."""
        if not self.over_cases:
            return row("yes yes no  yes no  yes") if self.both else row("yes yes no  no  no  no")
        if self.both:
            return row("yes no  yes yes yes no")
        assert SUM not in self.places, "no paper has a batch norm of the sum"
        return row("no  no  no  yes yes no")

    @property
    def extended(self) -> dict[str, bool]:
        """Columns beyond Table 1. A plain net does not read other cases, with any weights."""
        other = {} if self.batch_independent else {REPARAMETRIZES: False}
        return other | {OF_BATCH: self.batch_independent, OF_LENGTH: self.length_independent}

    @property
    def batch_independent(self) -> bool:
        """Whether the output of a case depends on that case only."""
        return not self.over_cases

    @property
    def length_independent(self) -> bool:
        """Whether the output up to a step depends only on the input up to that step."""
        return not (self.over_cases and self.over_time)

    @property
    def norms_before_output(self) -> int:
        """How many normalized terms are summed in the tanh that gives the output."""
        return 1 if CELL in self.places else len(self.places)


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
        cell=LSTM,
        over_cases=True,
        places=(INPUT, STATE, CELL),
        gain=0.1,
        note="The norms of the summed inputs have no shift, the cell's has one; every gain starts at 0.1. A step "
        "beyond those that have statistics takes the last ones.",
    ),
    Recurrent(
        name="recurrent_batch_norm_rnn",
        title="batch-normalized recurrent net (BN-RNN)",
        paper=Paper(*_COOIJMANS, "eq. 6, section 3"),
        formula="h = tanh(BN(W_hh h) + BN(W_ih x) + b), statistics of each step over cases",
        cell=RNN,
        over_cases=True,
        places=(INPUT, STATE),
        gain=0.1,
        note="What the paper says of gates, for one tanh: its section 4 measures the gain on such a net.",
    ),
    Recurrent(
        name="recurrent_layer_norm",
        title="layer-normalized LSTM (LN-LSTM)",
        paper=Paper(*_BA, "eq. 20"),
        formula="i, f, g, o = LN(W_hh h) + LN(W_ih x) + b; c = sigmoid(f) c + sigmoid(i) tanh(g); "
        "h = sigmoid(o) tanh(LN(c)), statistics over all gates of a case",
        cell=LSTM,
        over_cases=False,
        places=(INPUT, STATE, CELL),
        note="Public code calls other nets by this name: with a norm for each gate, of the sum, or none of the cell. "
        "A finding says which of them it looks like.",
    ),
    Recurrent(
        name="recurrent_layer_norm_rnn",
        title="layer-normalized recurrent net (LN-RNN)",
        paper=Paper(*_BA, "eq. 4"),
        formula="h = tanh(LN(W_hh h + W_ih x)), statistics over the units of a case",
        cell=RNN,
        over_cases=False,
        bias=False,
        places=(SUM,),
        note="One norm of the sum: invariant to a scale of both weight matrices together, of neither alone.",
    ),
    Recurrent(
        name="recurrent_layer_norm_gru",
        title="layer-normalized gated recurrent unit (LN-GRU)",
        paper=Paper(*_BA, "eq. 23"),
        formula="r, z = LN(W_hh h) + LN(W_ih x); n = tanh(LN(W_in x) + sigmoid(r) LN(W_hn h)); "
        "h = (1 - sigmoid(z)) n + sigmoid(z) h, statistics over both gates of a case, and over the candidate",
        cell=GRU,
        over_cases=False,
        bias=False,
        places=(INPUT, STATE),
        note="The gate z keeps the state, as torch's does; in the paper it lets the candidate in, the same net with "
        "the other sign of z.",
    ),
    Recurrent(
        name="batch_norm_rnn",
        title="batch norm of the input, frame by frame",
        paper=Paper(*_LAURENT, "eq. 9, section 3.1"),
        formula="h = tanh(W_hh h + BN(W_ih x) + b), statistics of each step over cases",
        cell=RNN,
        over_cases=True,
        places=(INPUT,),
        note="The path from hidden to hidden is left as it is. Each step has its own statistics, of one gain.",
    ),
    Recurrent(
        name="sequence_batch_norm_rnn",
        title="batch norm of the input over time (Deep Speech 2)",
        paper=Paper(*_AMODEI, "section 3.2, eq. 5"),
        formula="h = tanh(W_hh h + BN(W_ih x) + b), statistics over cases and steps",
        cell=RNN,
        over_cases=True,
        places=(INPUT,),
        over_time=True,
        note="Laurent 2015, section 3.2, has the same statistics. In training an output depends on later inputs, so no "
        "such net runs online before its statistics are fixed. Deep Speech 2 clips a ReLU where this has tanh.",
    ),
)  # fmt: skip
"""Every normalized recurrent net; another cell is another entry."""
