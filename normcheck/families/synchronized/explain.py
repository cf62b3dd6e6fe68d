"""The page of a divided normalizer, as sections."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.floats import FLOAT32
from normcheck.core.page import Section, paper
from normcheck.families.synchronized.entry import Synchronized


def sections(entry: Synchronized) -> Iterator[Section]:
    """All sections but those that every page has: the note, and how to check one."""
    yield "formula", (entry.formula,)
    yield "paper", paper(entry)
    state = ", running statistics equal on all ranks and moved once, evaluation" if entry.state else ""
    yield (
        "what is asked",
        (
            (
                f"k processes compute what one process computes on the joined input, as {entry.normalizer.name} is "
                f"defined: output, gradients of input and parameters{state}; shards of equal and unequal sizes, of one "
                "case and of none; process groups; calls in turn. Bounds are those of the joined input."
            ),
        ),
    )
    yield (
        "how it runs",
        (
            (
                "In 2 to 4 processes with torch.distributed and gloo on the loopback address, started once: "
                "--norm-ranks N (default 3), or --norm-contract ranks=N; with --norm-device cuda each has a GPU, and "
                "they call each other by NCCL. A rank that raises, ends, does not respond or leaves out a collective "
                "call is named; the others are ended. A function of JAX, or a class of flax, is mapped over devices of "
                "the CPU in one process, with shards of one size."
            ),
        ),
    )
    names = [name for name in entry.arguments if name != "input"]
    yield (
        "arguments",
        (
            (
                f"A function f(input, {', '.join(names)}), or a module class C(num_features or normalized_shape, eps, "
                "..., process_group) with parameters weight and bias, or one layer, called in every process with its "
                "own shard. In JAX axis_name stands for process_group. "
                "process_group is given where the code has that parameter and a group is not all processes, or where "
                "it is required."
            ),
        ),
    )
    yield (
        "conventions",
        (
            (
                f"--norm-contract eps=E: the eps of code that takes none; formats={FLOAT32.name}; accuracy=one-pass; "
                "momentum=old; running-variance=biased; slack=S multiplies every bound; tensors=dtensor: each process "
                "has its part of a DTensor."
            ),
        ),
    )
