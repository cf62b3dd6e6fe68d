"""The entries of the family: which normalizer several processes compute together, and how its input is divided."""

from __future__ import annotations

from dataclasses import dataclass

from normcheck.core.spec import OF_BATCH, Paper
from normcheck.normalizers import catalog
from normcheck.normalizers.normalizer import Normalizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Synchronized:
    """One way to divide the input of a normalizer among processes, each of which has one shard.

    What one process computes on the joined input is the entry `normalizer` of the main catalog; the processes compute
    the same, each its own part.
    """

    name: str
    title: str
    paper: Paper
    formula: str
    normalizer: Normalizer
    axis: int  # of the input along which it is divided
    divides_sets: bool  # a shard has some members of every set; False: it has whole sets
    divides_parameters: bool = False  # weight and bias are divided too; False: every process has all of them
    reduces_parameters: bool = False  # gradients of weight and bias are summed over processes by the layer
    note: str = ""
    arguments: tuple[str, ...]

    @property
    def state(self) -> bool:
        """Whether it keeps running statistics."""
        return self.normalizer.state

    @property
    def extended(self) -> dict[str, bool]:
        """Columns beyond Table 1: whether the output of a case depends on that case only."""
        return {OF_BATCH: self.normalizer.independent}


_SUM = (
    "Gradients of weight and bias are local: their sum over the processes is the gradient of the joined input, as in "
    "torch.nn.SyncBatchNorm. DistributedDataParallel averages them later."
)

_MEGATRON = "Megatron-LM: Training Multi-Billion Parameter Language Models Using Model Parallelism"

_TENSOR = Paper("Shoeybi, Patwary, Puri", 2019, _MEGATRON, "https://arxiv.org/abs/1909.08053", "section 3")
_SEQUENCE = Paper(
    "Korthikanti, Casper, Lym", 2022, "Reducing Activation Recomputation in Large Transformer Models",
    "https://arxiv.org/abs/2205.05198", "section 4.2.2",
)  # fmt: skip

ENTRIES = (
    Synchronized(
        name="sync_batch_norm",
        title="synchronized batch normalization",
        paper=Paper(
            "Zhang, Dana, Shi", 2018, "Context Encoding for Semantic Segmentation", "https://arxiv.org/abs/1803.08904",
            "Synchronized Cross-GPU Batch Normalization",
        ),
        formula="y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over the cases of all processes",
        normalizer=catalog.batch_norm,
        axis=0,
        divides_sets=True,
        note=_SUM,
        arguments=(
            "input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps", "process_group",
        ),
    ),
    Synchronized(
        name="tensor_parallel_rms_norm",
        title="RMS norm of a divided width",
        paper=_TENSOR,
        formula="y = x / sqrt(mean(x^2) + eps) * weight, the mean over the widths of all processes",
        normalizer=catalog.rms_norm,
        axis=-1,
        divides_sets=True,
        divides_parameters=True,
        note="Each process has a part of the width, and that part of the weight. The gradient of its weight is local; "
        "the gradient of its input has a term that is summed over the processes.",
        arguments=("input", "weight", "eps", "process_group"),
    ),
    Synchronized(
        name="tensor_parallel_layer_norm",
        title="layer norm of a divided width",
        paper=_TENSOR,
        formula="y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over the widths of all processes",
        normalizer=catalog.layer_norm,
        axis=-1,
        divides_sets=True,
        divides_parameters=True,
        note="Each process has a part of the width, and that part of weight and bias, whose gradients are local.",
        arguments=("input", "weight", "bias", "eps", "process_group"),
    ),
    Synchronized(
        name="sequence_parallel_rms_norm",
        title="RMS norm of divided rows",
        paper=_SEQUENCE,
        formula="y = x / sqrt(mean(x^2) + eps) * weight; the gradient of weight is summed over all processes",
        normalizer=catalog.rms_norm,
        axis=0,
        divides_sets=False,
        reduces_parameters=True,
        note="Each process has whole rows and all of the weight. The layer sums the gradient of the weight over the "
        "processes: every process has the gradient of the joined input.",
        arguments=("input", "weight", "eps", "process_group"),
    ),
    Synchronized(
        name="sequence_parallel_layer_norm",
        title="layer norm of divided rows",
        paper=_SEQUENCE,
        formula="y = (x - mean) / sqrt(var + eps) * weight + bias; gradients of weight and bias are summed over all "
        "processes",
        normalizer=catalog.layer_norm,
        axis=0,
        divides_sets=False,
        reduces_parameters=True,
        note="Each process has whole rows and all of weight and bias, and after a backward pass the gradients of the "
        "joined input.",
        arguments=("input", "weight", "bias", "eps", "process_group"),
    ),
)  # fmt: skip
"""Every way to divide a normalizer among processes that is checked."""
