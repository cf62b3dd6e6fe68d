"""The names of parameters that forms add, by form and role; the most common first."""

from __future__ import annotations

import re
from collections.abc import Collection

from normcheck.normalizers import forms

RESIDUAL = (
    "residual", "res", "residuals", "skip", "shortcut", "identity", "resid", "residual_in", "prev_residual", "x2",
    "add", "addend", "other", "hidden_residual", "residual_states",
)  # fmt: skip
GATE = ("gate", "z", "gates", "gating", "g_proj", "gate_states", "hidden_gate", "g")
MASK = ("mask", "attention_mask", "input_mask", "valid", "valid_mask", "masks", "padding_mask", "pad_mask",
        "key_padding_mask")  # fmt: skip
PADDING_IS_TRUE = ("padding_mask", "pad_mask", "key_padding_mask")
"""Names of masks that are true where an entry is padding, as in torch's attention; others are true elsewhere."""

LENGTHS = ("lengths", "length", "lens", "seq_lens", "seq_lengths", "input_lengths", "x_len", "x_lengths", "valid_lens")

OUTPUT_SCALE = ("quant_scale", "output_scale", "out_scale", "y_scale", "scale_out", "static_scale", "q_scale",
                "input_scale", "scales", "scale")  # fmt: skip
"""Names of the scale of a quantized output; the next layer takes it for that of its input."""

GROUP_SIZE = ("group_size", "head_dim", "head_size", "dim_head", "d_head", "headdim", "group_width")
GROUP_COUNT = ("num_groups", "n_groups", "ngroups", "groups", "num_heads", "n_heads", "nheads", "heads", "n_head")

BRANCH_BIAS = (
    "branch_bias", "linear_bias", "proj_bias", "dense_bias", "fc_bias", "out_bias", "out_proj_bias", "x_bias",
    "input_bias", "add_bias", "bias0", "bias",
)  # fmt: skip
"""Names of the bias of the layer before; the last is that of the normalizer where another one fits."""

DROPOUT = (
    "dropout_p", "p_dropout", "dropout_prob", "dropout_probability", "dropout_rate", "dropout_ratio", "drop_rate",
    "drop_prob", "hidden_dropout_prob", "hidden_dropout", "dropout", "prob", "p",
)  # fmt: skip

CU_SEQLENS = (
    "cu_seqlens", "cu_seqlen", "cu_seq_lens", "cu_seqlens_q", "cu_lens", "cu_lengths", "cum_seqlens", "cum_lengths",
    "cumulative_lengths", "seqlen_offsets", "seq_offsets", "row_splits", "offsets", "indptr", "ptr",
)  # fmt: skip
LONGEST = ("max_seqlen", "max_seq_len", "max_seqlen_q", "max_length", "max_len", "maxlen")

COS = ("cos", "cosine", "cos_table", "freqs_cos", "cos_cached", "rope_cos", "cos_emb")
SIN = ("sin", "sine", "sin_table", "freqs_sin", "sin_cached", "rope_sin", "sin_emb")

KEY = ("k", "key", "keys", "key_states", "k_states", "xk")
KEY_WEIGHT = ("k_weight", "weight_k", "k_norm_weight", "key_weight", "k_gamma", "k_scale", "wk")
QUERY_WEIGHT = ("q_weight", "weight_q", "q_norm_weight", "query_weight", "q_gamma", "q_scale", "wq")

KEY_AND_QUERY = (("keys", "queries"), ("key", "query"), ("k", "q"))
"""How the name of a parameter of keys differs from that of queries, as in key_norm.weight and query_norm.weight."""


def of_keys(parameters: Collection[str]) -> dict[str, str]:
    """The parameters of keys among those of a layer, each with that of queries: their names differ in one place.

    >>> of_keys(["q_norm.weight", "k_norm.weight", "kernel"])
    {'k_norm.weight': 'q_norm.weight'}
    """
    out = {}
    for name in parameters:
        for key, query in KEY_AND_QUERY:
            places = (found.start() for found in re.finditer(key, name))
            others = (name[:at] + query + name[at + len(key) :] for at in places)
            partner = next((other for other in others if other in parameters), None)
            if partner is not None:
                out[name] = partner
                break
    return out


FORMS = {forms.ADD: RESIDUAL, forms.GATE: GATE, forms.MASK: MASK, forms.LENGTHS: LENGTHS,
         forms.GROUPED: GROUP_SIZE, forms.QK: KEY[1:], forms.BRANCH_BIAS: BRANCH_BIAS[:-1],
         forms.DROPOUT: DROPOUT[:-2], forms.PACKED: CU_SEQLENS,
         forms.ROTARY: (*COS, *SIN)}  # fmt: skip


def form_of(parameter: str) -> str:
    """The form that adds a parameter of that name, lower case; empty if none does.

    >>> form_of("residual"), form_of("eps")
    ('add', '')
    """
    return next((form for form, names in FORMS.items() if parameter in names), "")
