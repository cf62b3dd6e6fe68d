"""What each convention of a contract means, and each of its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from normcheck.core.floats import FLOAT32
from normcheck.core.page import Section


@dataclass(frozen=True, slots=True)
class Meaning:
    """A convention in a sentence, and its values. Where these are no list: what it takes in words, and an example."""

    what: str
    values: Mapping[str, str] = field(default_factory=dict)
    other: str = ""
    example: str = ""


MEANINGS: dict[str, Meaning] = {
    "variance": Meaning(
        "The divisor of the variance that normalizes.",
        {"biased": "n, the number of values", "unbiased": "n - 1"},
    ),
    "running-variance": Meaning(
        "The divisor of the variance that a batch adds to the running one.",
        {"unbiased": "n - 1, as in torch", "biased": "n, as in the library Keras"},
    ),
    "momentum": Meaning(
        "Whose weight the momentum of running statistics is.",
        {"new": "of the new batch, as in torch", "old": "of the old value, as in Keras and flax"},
    ),
    "eps-place": Meaning(
        "Where epsilon acts. v is the variance, or the mean square of a normalizer that subtracts no mean.",
        {
            "inside": "sqrt(v + eps)", "outside": "sqrt(v) + eps",
            "floor": "max(|x|, eps), |x| the length of a set", "root-floor": "max(sqrt(v), eps)",
        },
    ),
    "eps-format": Meaning(
        "The format that holds epsilon.",
        {
            "default": "that of the statistics; one rounded to float32 is a warning in float64",
            "own": "that of the statistics; one rounded to float32 is a finding",
            FLOAT32.name: "that one in any case",
        },
    ),
    "weight": Meaning(
        "The factor of the normalized input.", {"w": "the weight", "1+w": "1 plus the weight, as in Gemma"},
    ),
    "cast": Meaning(
        "In a narrow format: what is rounded to it.",
        {
            "any": "either of both", "before-weight": "the normalized input, then its product with the weight",
            "after-weight": "the product with the weight alone",
        },
    ),
    "exact-to": Meaning(
        "What the output is compared with.",
        {
            "bound": "the exact value, within the bound of the case",
            "composition": "the framework's basic operators in the order of `normcheck explain KIND`, bit for bit",
        },
    ),
    "batch-invariant": Meaning(
        "Whether the bits of a case depend on its batch.",
        {
            "any": "that is only noted", "rows": "a case has the same bits in batches of 1 to 4,096, at any place",
            "yes": "so too in a second run, and its output on two threads",
        },
    ),
    "gradient": Meaning(
        "Through which statistics the claimed gradient passes. Ioffe and Szegedy 2015, section 2, say why not all do.",
        {
            "full": "mean and variance", "mean-constant": "the variance alone", "variance-constant": "the mean alone",
            "statistics-constant": "none",
        },
    ),
    "accuracy": Meaning(
        "How accurate a result must be, in all formats or as CLASS:FORMAT,FORMAT in some.",
        {
            "default": "as torch's function of the kind; what keeps statistics in half is a warning",
            "torch": "as torch's function of the kind, with a finding for less",
            "sound": "within the bound of statistics in float32 or wider",
            "half": "within the bound of statistics in the input's own narrow format",
            "one-pass": "within the bound of a variance from sums of x and of its squares",
        },
    ),
    "second-derivative": Meaning(
        "Whether the second derivative is checked.",
        {"default": "a wrong one is a warning", "right": "a wrong one is a finding", "any": "it is not checked"},
    ),
    "empty": Meaning(
        "What an input without sets gives.",
        {
            "default": "to refuse it is a warning", "accepted": "an empty output; to refuse it, or NaN from a case of "
            "padding alone, is a finding", "refused": "it may be refused",
        },
    ),
    "single-value": Meaning(
        "What a set of one value gives, where the statistics of a batch are meant.",
        {"default": "NaN is a warning", "right": "NaN is a finding", "any": "it is not checked"},
    ),
    "sizes": Meaning(
        "Which sizes it takes.",
        {"every": "to raise on some size is a warning", "some": "sizes on which it raises are left out"},
    ),
    "shapes": Meaning(
        "For which ranks of the input and numbers of normalized axes it is right.",
        {
            "every": "for all that it takes",
            "some": "those for which it computes something else at first sight are left out, and named in a note",
        },
    ),
    "wrong-sizes": Meaning(
        "What sizes that do not fit give, such as channels that the groups do not divide.",
        {
            "default": "to accept them in a plain meaning is a warning", "refused": "to accept them is a finding",
            "any": "neither",
        },
    ),
    "initial": Meaning(
        "How a new layer starts.",
        {"documented": "weight 1 and trained, bias 0, running variance 1", "any": "that is not checked"},
    ),
    "axis": Meaning(
        "The axis of the units, of a normalizer over the last axis.",
        {"last": "the last, or axis 1 if that is found", "1": "axis 1 in any case"},
    ),
    "form": Meaning(
        "What is around the normalizer, as names joined by +. A form is reduced to the plain normalizer by inputs that "
        "change no bit, and checked for what it adds.",
        {
            "plain": "nothing", "add": "x + residual is normalized, and returned beside the output",
            "gate": "the output times silu(gate)", "gate-first": "the input times silu(gate)",
            "mask": "entries that are masked take no part",
            "lengths": "entries from the length of a case on take no part",
            "modulated": "each case has a weight and a bias of its own",
            "channels-last": "maps (cases, height, width, channels)", "relu": "max(y, 0) of the output",
            "gelu": "y times the normal distribution function at y", "gelu-tanh": "its approximation by tanh",
            "silu": "y sigmoid(y)", "int8": "integers and a scale", "e4m3": "8-bit floating point numbers and a scale",
            "e5m2": "those with five bits of exponent", "groups": "each group of the last axis is a set",
            "qk": "queries and keys in one call, each with its weight",
            "branch-bias": "the bias of the layer before is added to the input first",
            "dropout": "it takes a probability of dropout, which is 0",
            "packed": "sequences one after the other, (tokens, units), with their cumulated lengths cu_seqlens",
            "rotary": "what is normalized is rotated by its position then: pairs of entries i and i + width / 2",
            "rotary-interleaved": "the same, with pairs of neighbors 2 i and 2 i + 1",
        },
    ),
    "eps": Meaning(
        "Epsilon of an implementation without an argument for it.",
        other="a number from 0 on",
        example="1e-6",
    ),
    "ranks": Meaning(
        "How many processes run an implementation that divides its input among processes.",
        {"3": "three", "2": "two", "4": "four"},
    ),
    "tensors": Meaning(
        "What each of several processes is given.",
        {"local": "its shard", "dtensor": "its part of a DTensor of torch, whose placement says how it is divided"},
    ),
    "translated": Meaning(
        "The programs that a tool makes of the code, and that must be right too, joined by commas.",
        other="compiled (torch.compile), exported (torch.export), onnx (run by onnxruntime); none by default",
        example="exported",
    ),
    "input-shapes": Meaning(
        "Shapes of a project's own inputs, which each check that can asks beside those of the suite.",
        other="sizes joined by x, with axes in the order of torch: (cases, channels, *space) or (*cases, width); "
        "several joined by commas; none by default",
        example="32x768,4x16x80",
    ),
    "formats": Meaning(
        "The formats that it claims to compute in; a lack of others is no warning.",
        other="names joined by commas; all where it is left out", example=FLOAT32.name,
    ),
    "slack": Meaning("A factor of every bound.", other="a positive number; 1 where it is left out", example="2"),
}  # fmt: skip
"""Every key of a contract."""


def sections(key: str) -> tuple[Section, ...]:
    """The sections of a convention's page."""
    meaning = MEANINGS[key]
    first, *others = meaning.values or [""]
    values = [f"{value}{' (default)' if value == first else ''}: {text}" for value, text in meaning.values.items()]
    example = meaning.example or others[0]
    return (
        ("what it is", (meaning.what,)),
        ("values", tuple(values) or (meaning.other,)),
        ("to declare it", (
            f"    pytest --norm KIND=f --norm-contract {key}={example}",
            f"    pytest --norm 'KIND[{key}={example}]=f'",
            f'    check(f, as_="KIND", contract={{"{key}": "{example}"}})',
        )),
    )  # fmt: skip
