"""The forms branch-bias and dropout: what fused code does to its input before the residual is added.

The input is the output of a linear layer whose bias is left to the fused code: y = norm(input + bias + residual), and
that sum is the new residual. In the further ways the bias holds half of the units of the first case and the input the
others, the same in all cases: any order of the sum is exact. A probability of dropout is 0.
Source: Aminabadi et al. 2022 (DeepSpeed Inference), section 3; Dao 2023 (FlashAttention-2, its fused layer norm).
"""

from __future__ import annotations

import numpy as np

from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import FormCall, FormQuestion, FormSpec, Given, as_returned, of_last_axis
from normcheck.normalizers.forms import BY_BRANCH_BIAS, PLAIN, WITH_BRANCH_BIAS, biased


def _zero(question: FormQuestion) -> Given:
    return {"input": question.x, "branch bias": question.like(np.zeros(question.shape[-1:]))}


def _by_bias(question: FormQuestion) -> Given:
    """The first case as the bias and the input of all cases, each with some of the units."""
    shape, arrays = question.shape, question.arrays
    units = np.arange(shape[-1])
    first = arrays.taken(question.x, [*(np.zeros_like(units) for _ in shape[1:]), units])
    zeros = [np.zeros(shape, dtype=int) for _ in shape[1:]]
    every = arrays.taken(arrays.constant(question.x), [*zeros, np.broadcast_to(units, shape)])
    part = biased(shape)
    return {"input": every * question.like(1.0 - part), "branch bias": first * question.like(biased(shape[-1:]))}


AROUND = of_last_axis("a branch bias is one for each entry of the last axis")

BIAS = FormSpec(
    {"branch bias": names.BRANCH_BIAS},
    {
        PLAIN: FormCall(_zero, as_returned, AROUND),
        BY_BRANCH_BIAS: FormCall(_by_bias, as_returned, AROUND),
        WITH_BRANCH_BIAS: FormCall(_by_bias, as_returned, AROUND),
    },
)


def _kept(question: FormQuestion) -> Given:
    return {"input": question.x, "dropout": 0.0}


DROPOUT = FormSpec({"dropout": names.DROPOUT}, {PLAIN: FormCall(_kept, as_returned)}, constructed=lambda width: 0.0)
