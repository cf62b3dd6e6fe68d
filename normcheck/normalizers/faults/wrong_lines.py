"""Faults as one wrong line of a plain layer norm: a page shows the line, a test runs the function."""

from __future__ import annotations

from dataclasses import dataclass

from normcheck.core.family import WrongLines

TEMPLATE = {
    "input": "h = x.to(torch.promote_types(x.dtype, torch.float32))",
    "mean": "mean = h.mean(-1, keepdim=True)",
    "center": "c = h - mean",
    "variance": "var = (c * c).mean(-1, keepdim=True)",
    "scale": "xh = c / torch.sqrt(var + eps)",
    "weight": "y = xh if weight is None else xh * weight",
    "bias": "y = y if bias is None else y + bias",
    "output": "return y.to(x.dtype)",
}
"""A right layer norm over the last axis, line by line."""


@dataclass(frozen=True, slots=True)
class Example:
    """The line of the template that is replaced, and the wrong lines."""

    line: str
    wrong: tuple[str, ...]


EXAMPLES = {
    "eps-outside-root": Example("scale", ("xh = c / (torch.sqrt(var) + eps)",)),
    "eps-ignored": Example("scale", ("xh = c / torch.sqrt(var)",)),
    "eps-hard-coded": Example("scale", ("xh = c / torch.sqrt(var + 1e-5)",)),
    "eps-as-floor": Example("scale", ("xh = c / torch.sqrt(var.clamp(min=eps))",)),
    "eps-squared": Example("scale", ("xh = c / torch.sqrt(var + eps**2)",)),
    "prescaled-by-maximum": Example(
        "mean", ("h = h / h.abs().amax(-1, keepdim=True)", "mean = h.mean(-1, keepdim=True)")
    ),
    "variance-unbiased": Example("variance", ("var = h.var(-1, keepdim=True)",)),
    "one-pass-variance": Example("variance", ("var = (h * h).mean(-1, keepdim=True) - mean * mean",)),
    "one-pass-variance-clamped": Example(
        "variance", ("var = ((h * h).mean(-1, keepdim=True) - mean * mean).clamp(min=0)",)
    ),
    "constants-instead-of-statistics": Example("scale", ("xh = (h - 0.5) * 12**0.5",)),
    "mean-not-subtracted": Example("center", ("c = h",)),
    "mean-kept-in-numerator": Example("scale", ("xh = h / torch.sqrt(var + eps)",)),
    "variance-instead-of-root": Example("scale", ("xh = c / (var + eps)",)),
    "scale-multiplied": Example("scale", ("xh = c * torch.sqrt(var + eps)",)),
    "absolute-deviation": Example("variance", ("var = c.abs().mean(-1, keepdim=True) ** 2",)),
    "affine-ignored": Example("bias", ("y = xh",)),
    "weight-ignored": Example("weight", ("y = xh",)),
    "bias-ignored": Example("bias", ("y = y",)),
    "bias-before-weight": Example(
        "bias", ("y = y if bias is None else (xh + bias) * (1 if weight is None else weight)",)
    ),
    "weight-offset-one": Example("weight", ("y = xh if weight is None else xh * (1 + weight)",)),
    "weight-absolute": Example("weight", ("y = xh if weight is None else xh * weight.abs()",)),
    "output-clipped": Example("output", ("return y.clamp(-3, 3).to(x.dtype)",)),
    "small-outputs-zeroed": Example("output", ("return torch.where(y.abs() < 0.01, 0 * y, y).to(x.dtype)",)),
    "output-rounded-to-half": Example("output", ("return y.to(torch.bfloat16).to(x.dtype)",)),
    "wrong-format-output": Example("output", ("return y",)),
    "tail-dropped": Example("mean", ("mean = h[..., : h.shape[-1] // 4 * 4].sum(-1, keepdim=True) / h.shape[-1]",)),
    "statistics-of-a-sample": Example("variance", ("var = (c * c)[..., :64].mean(-1, keepdim=True)",)),
    "statistics-from-row-0": Example("mean", ("mean = h.mean(-1, keepdim=True)[:1]",)),
    "statistics-of-whole-tensor": Example("variance", ("mean = h.mean(); c = h - mean", "var = (c * c).mean()")),
    "half-accumulator": Example("input", ("h = x",)),
    "float64-in-float32": Example("input", ("h = x.float()",)),
    "mean-term-missing": Example("mean", ("mean = h.mean(-1, keepdim=True).detach()",)),
    "variance-term-missing": Example("variance", ("var = (c * c).mean(-1, keepdim=True).detach()",)),
    "statistics-constant": Example(
        "scale", ("mean, var = mean.detach(), var.detach()", "xh = (h - mean) / torch.sqrt(var + eps)")
    ),
    "dx-missing": Example("input", ("h = x.detach().to(torch.promote_types(x.dtype, torch.float32))",)),
    "dweight-missing": Example("weight", ("y = xh if weight is None else xh * weight.detach()",)),
    "dbias-missing": Example("bias", ("y = y if bias is None else y + bias.detach()",)),
    "random-state-changed": Example(
        "input", ("torch.manual_seed(0)", "h = x.to(torch.promote_types(x.dtype, torch.float32))")
    ),
    "nan-hidden": Example("input", ("h = x.nan_to_num().to(torch.promote_types(x.dtype, torch.float32))",)),
    "strides-ignored": Example(
        "input",
        (
            "x = x.as_strided(x.shape, torch.empty(x.shape).stride())",
            "h = x.to(torch.promote_types(x.dtype, torch.float32))",
        ),
    ),
}  # fmt: skip


def lines(name: str) -> WrongLines | None:
    """The wrong lines of a fault, if they are known."""
    example = EXAMPLES.get(name)
    return None if example is None else WrongLines(example.wrong, TEMPLATE[example.line])


def code(name: str) -> str:
    """A function `f(x, width, weight=None, bias=None, eps=1e-5)` in torch that has the fault."""
    example = EXAMPLES[name]
    body = [line for key, right in TEMPLATE.items() for line in (example.wrong if key == example.line else (right,))]
    head = "def f(x, width, weight=None, bias=None, eps=1e-5):"
    return "\n".join(["import torch", "", "", head, *(f"    {line}" for line in body)]) + "\n"
