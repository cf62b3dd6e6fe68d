"""Faults of a module with a direction and a length for its weight: w = g v / |v| is right, its use is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT32
from normcheck.normalizers.faults.base import Fault
from normcheck.normalizers.faults.transformed import HeldParameters, ParametrizationHooks
from normcheck.normalizers.normalizer import Normalizer


def _weights(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "weight"


def _fault(name: str, story: str, source: str, **hooks: Any) -> Fault:
    def change(own: ParametrizationHooks) -> ParametrizationHooks:
        return replace(own, **hooks)

    return Fault(name=name, story=story, source=source, concerns=_weights, where="use", parametrization_hooks=change)


def _stale(before: HeldParameters, after: HeldParameters) -> HeldParameters:
    return replace(after, w=before.w)


def _raises(copy: HeldParameters, original: HeldParameters) -> HeldParameters:
    raise CallError("a deep copy raised RuntimeError", "raised RuntimeError")


FAULTS = (
    _fault(
        "g-initialized-to-one",
        "The length begins as one instead of the norm, so the transform alone changes what a network computes. Hides "
        "where g and v are set by the test.",
        "sony/nnabla#862", length=np.ones_like,
    ),
    _fault(
        "weight-stale-after-step",
        "Keeps the weight that it computed and does not notice that an optimizer wrote to v and g: the loss stays "
        "where it is, with the right gradients.",
        "ooples/AiDotNet#1488", stepped=_stale,
    ),
    _fault(
        "state-dict-ignored",
        "v and g of a state that is loaded do not reach the weight that is used: a checkpoint is read without an "
        "error, and the network computes as before.",
        "pytorch/pytorch#47588", loaded=lambda before, after: before,
    ),
    _fault(
        "removal-gives-v",
        "Removal leaves the direction in the place of the weight. Right at initialization, where they are equal, and "
        "wrong in every trained network.",
        "NVIDIA/waveglow#21", removed=lambda held: held.v,
    ),
    _fault(
        "weight-left-among-parameters",
        "The weight stays a parameter beside v and g: it is decayed, counted and saved, and trained for nothing.",
        "FluxML/Flux.jl#2550",
        trained=lambda held: {"direction": held.v, "length": held.g, "weight": held.w},
    ),
    _fault(
        "weight-stale-in-evaluation",
        "Computes the weight in training only. Hides while every evaluation follows a call in training with the same "
        "parameters.",
        "torch/nn#1205", evaluated=lambda used, held: replace(held, w=used.w),
    ),
    _fault(
        "transform-not-copied",
        "The weight that a call leaves in the module has a history, so the module cannot be deep-copied. Hides until "
        "a copy of the network is averaged or kept.",
        "pytorch/pytorch#28594", copied=_raises,
    ),
    _fault(
        "copy-computes-from-original",
        "The hook of a copy reads v and g of the module that was copied. Hides until one of the two is trained.",
        "pytorch/pytorch#102983", copied=lambda copy, original: replace(copy, w=original.w),
    ),
    _fault(
        "transform-dim-ignored",
        "dim is accepted, and the length is that of each row. Hides at dim 0.",
        "pytorch/pytorch#81195", dim=lambda dim: 0,
    ),
    _fault(
        "transform-name-ignored",
        "The weight is replaced, whichever parameter is named. Hides in layers with one weight.",
        "pytorch/pytorch#1945", named=False,
    ),
    _fault(
        "transform-returns-nothing",
        "The module is transformed and not returned, so that layer = transform(layer) loses it.",
        "PaddlePaddle/Paddle#26131", returned="None",
    ),
    _fault(
        "v-and-g-in-single",
        "v and g are float32, in whatever format the module is. Hides where every module is float32.",
        "pytorch/pytorch#80599", format=lambda format: FLOAT32,
    ),
)  # fmt: skip
