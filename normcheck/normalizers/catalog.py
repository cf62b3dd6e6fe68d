"""The catalog of normalizers. An entry chooses sets, centering and divisor, and names its paper and arguments.

`printed` holds the rows of Table 1 as the papers print them; `transforms.derived_row` derives the row from the choice,
and a test compares the two. `arguments` are the parameters of torch's function, in its order, as roles.
"""

from __future__ import annotations

from normcheck.core.spec import Paper, Printed, row
from normcheck.normalizers.normalizer import Normalizer, Sets

_LN = Paper("Ba, Kiros, Hinton", 2016, "Layer Normalization", "https://arxiv.org/abs/1607.06450", "Table 1")
_RMS = Paper(
    "Zhang, Sennrich", 2019, "Root Mean Square Layer Normalization", "https://arxiv.org/abs/1910.07467", "Table 1"
)

batch_norm = Normalizer(
    name="batch_norm",
    title="batch normalization",
    paper=Paper("Ioffe, Szegedy", 2015, "Batch Normalization", "https://arxiv.org/abs/1502.03167", "Algorithm 1"),
    formula="y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over cases and positions of each channel",
    sets=Sets("channels", frozenset({"case", "space"})),
    centered=True,
    state=True,
    printed=(
        Printed(row("yes no  yes yes yes no"), _LN),
        Printed(row("yes no  yes yes yes no"), _RMS),
    ),
    narrow_accuracy=("half", "half"),
    arguments=("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    note="Normalizes with the biased variance and stores the unbiased one, as torch does. The row holds for "
    "statistics that move with the network: of a training batch, or expected ones estimated anew.",
)

layer_norm = Normalizer(
    name="layer_norm",
    title="layer normalization",
    paper=Paper("Ba, Kiros, Hinton", 2016, "Layer Normalization", "https://arxiv.org/abs/1607.06450", "eq. 3"),
    formula="y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over the units of each case",
    sets=Sets("trailing", frozenset({"group", "unit"})),
    centered=True,
    printed=(
        Printed(row("yes yes no  yes no  yes"), _LN),
        Printed(row("yes yes no  yes no  yes"), _RMS),
    ),
    narrow_accuracy=("sound", "half"),
    arguments=("input", "normalized_shape", "weight", "bias", "eps"),
    note="The variance divides by n; torch, JAX and Keras agree.",
)

rms_norm = Normalizer(
    name="rms_norm",
    title="root mean square layer normalization",
    paper=Paper(
        "Zhang, Sennrich", 2019, "Root Mean Square Layer Normalization", "https://arxiv.org/abs/1910.07467", "eq. 4"
    ),
    formula="y = x / sqrt(mean(x^2) + eps) * weight",
    sets=Sets("trailing", frozenset({"group", "unit"})),
    centered=False,
    bias=False,
    printed=(Printed(row("yes no  no  yes no  yes"), _RMS),),
    arguments=("input", "normalized_shape", "weight", "eps"),
    note="The paper has no eps; torch puts it inside the root, and takes machine epsilon if it is None.",
)

partial_rms_norm = Normalizer(
    name="partial_rms_norm",
    title="partial root mean square layer normalization (pRMSNorm)",
    paper=Paper(
        "Zhang, Sennrich", 2019, "Root Mean Square Layer Normalization", "https://arxiv.org/abs/1910.07467", "sec. 4"
    ),
    formula="y = x / sqrt(mean(first k of x, squared) + eps) * weight, k = floor(n p), at least 1",
    sets=Sets("trailing", frozenset({"group", "unit"})),
    centered=False,
    partial=True,
    bias=False,
    printed=(Printed(row("yes no  no  yes no  yes"), _RMS),),
    arguments=("input", "normalized_shape", "p", "weight", "eps"),
    note="The authors' code adds eps outside the root: declare eps-place=outside for it.",
)

group_norm = Normalizer(
    name="group_norm",
    title="group normalization",
    paper=Paper("Wu, He", 2018, "Group Normalization", "https://arxiv.org/abs/1803.08494", "eq. 7"),
    formula="y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over each case's group of channels",
    sets=Sets("channels", frozenset({"unit", "space"})),
    centered=True,
    spatial=True,
    narrow_accuracy=("sound", "half"),
    arguments=("input", "num_groups", "weight", "bias", "eps"),
    note="On vectors it also has layer norm's invariance to re-centering of the weight matrix; on maps it has not.",
)

instance_norm = Normalizer(
    name="instance_norm",
    title="instance normalization",
    paper=Paper(
        "Ulyanov, Vedaldi, Lempitsky", 2016, "Instance Normalization", "https://arxiv.org/abs/1607.08022", "eq. 3"
    ),
    formula="y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over the positions of a channel in a case",
    sets=Sets("channels", frozenset({"space"})),
    centered=True,
    state=True,
    spatial=True,
    accepts_empty=False,
    narrow_accuracy=("half", "half"),
    arguments=("input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps"),
    note="Five of the six invariances, the most of any row.",
)

weight_norm = Normalizer(
    name="weight_norm",
    title="weight normalization",
    paper=Paper("Salimans, Kingma", 2016, "Weight Normalization", "https://arxiv.org/abs/1602.07868", "eq. 2"),
    formula="w = g v / |v|, one norm for each index of dim",
    sets=Sets("rows", frozenset({"space"})),
    centered=False,
    acts_on="weight",
    mean_square=False,
    bias=False,
    eps=None,
    printed=(
        Printed(row("yes no  yes no  no  no"), _LN),
        Printed(row("yes no  yes no  no  no"), _RMS),
    ),
    narrow_accuracy=("sound", "half"),
    arguments=("input", "weight", "dim"),
    note="The input is v, the weight is g. normcheck.implementations.data_dependent chooses g and a bias from a "
    "batch, as section 3 of the paper does.",
)

mean_only_batch_norm = Normalizer(
    name="mean_only_batch_norm",
    title="mean-only batch normalization",
    paper=Paper("Salimans, Kingma", 2016, "Weight Normalization", "https://arxiv.org/abs/1602.07868", "section 4"),
    formula="y = x - mean + bias, the mean over cases and positions of each channel",
    sets=Sets("channels", frozenset({"case", "space"})),
    centered=True,
    mean_square=False,
    scaled=False,
    weight=False,
    state=True,
    eps=None,
    narrow_accuracy=("half", "half"),
    arguments=("input", "running_mean", "bias", "training", "momentum"),
    note="Meant for a layer with weight norm below: t = w x, w = g v / |v|. Its gradient is dy less the mean of dy.",
)

ALL: dict[str, Normalizer] = {
    n.name: n
    for n in (
        batch_norm, layer_norm, weight_norm, rms_norm, partial_rms_norm, group_norm, instance_norm,
        mean_only_batch_norm,
    )
}  # fmt: skip
"""The normalizers by name."""
