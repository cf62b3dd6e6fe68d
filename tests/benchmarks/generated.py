"""Layer norms as code generators write them: one right source, and what edits of it make, one or two at a time.

Each edit is a known fault as a line of code: `EDITS` has the text that it replaces and what it puts there.
"""

from __future__ import annotations

from itertools import combinations

RIGHT = """\
import torch


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, dims, eps):
        wide = x if x.dtype == torch.float64 else x.float()
        mean = wide.mean(dims, keepdim=True)
        centered = wide - mean
        var = (centered * centered).mean(dims, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        xhat = centered * rstd
        y = xhat
        if weight is not None:
            y = y * weight.to(wide.dtype)
        if bias is not None:
            y = y + bias.to(wide.dtype)
        ctx.save_for_backward(xhat, rstd, weight, bias)
        ctx.dims = dims
        return y.to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        xhat, rstd, weight, bias = ctx.saved_tensors
        dy, xhat, rstd = dy[None], xhat[None], rstd[None]
        wide = dy.to(xhat.dtype)
        g = wide if weight is None else wide * weight.to(wide.dtype)
        lead = tuple(range(dy.dim() - len(ctx.dims)))
        mean_g = g.mean(ctx.dims, keepdim=True)
        mean_gx = (g * xhat).mean(ctx.dims, keepdim=True)
        dx = rstd * (g - mean_g - xhat * mean_gx)
        dweight = None if weight is None else (wide * xhat).sum(lead).to(weight.dtype)
        dbias = None if bias is None else wide.sum(lead).to(bias.dtype)
        return dx[0].to(dy.dtype), dweight, dbias, None, None


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    dims = tuple(range(-len(normalized_shape), 0))
    return _LayerNorm.apply(x, weight, bias, dims, eps)
"""

EDITS: dict[str, tuple[str, str]] = {
    "eps outside the root": ("torch.rsqrt(var + eps)", "1.0 / (torch.sqrt(var) + eps)"),
    "eps ignored": ("var + eps", "var"),
    "eps of its own": ("var + eps", "var + 1e-5"),
    "eps as a floor": ("var + eps", "var.clamp_min(eps)"),
    "eps twice": ("var + eps", "var + 2.0 * eps"),
    "one pass": ("var = (centered * centered)", "var = (wide * wide - mean * mean)"),
    "one pass, clamped": ("(centered * centered).mean(dims, keepdim=True)",
                          "((wide * wide).mean(dims, keepdim=True) - mean * mean).clamp_min(0.0)"),
    "unbiased": ("(centered * centered).mean(dims, keepdim=True)", "wide.var(dims, unbiased=True, keepdim=True)"),
    "uncentered variance": ("(centered * centered)", "(wide * wide)"),
    "mean not subtracted": ("centered = wide - mean", "centered = wide"),
    "mean of the last axis": ("wide.mean(dims,", "wide.mean(-1,"),
    "mean of the batch": ("wide.mean(dims,", "wide.mean(0,"),
    "statistics of the first half": ("wide.mean(dims, keepdim=True)",
                                     "wide[..., : wide.shape[-1] // 2 + 1].mean(dims, keepdim=True)"),
    "computed in half": ("else x.float()", "else x"),
    "computed in float32": ("x if x.dtype == torch.float64 else x.float()", "x.float()"),
    "median": ("wide.mean(dims, keepdim=True)", "wide.median(-1, keepdim=True).values"),
    "weight ignored": ("y = y * weight.to(wide.dtype)", "pass"),
    "weight squared": ("y * weight.to(wide.dtype)", "y * weight.to(wide.dtype) ** 2"),
    "weight absolute": ("y * weight.to(wide.dtype)", "y * weight.to(wide.dtype).abs()"),
    "one plus weight": ("y * weight.to(wide.dtype)", "y * (1.0 + weight.to(wide.dtype))"),
    "bias ignored": ("y = y + bias.to(wide.dtype)", "pass"),
    "bias subtracted": ("y + bias.to(wide.dtype)", "y - bias.to(wide.dtype)"),
    "bias only with weight": ("if bias is not None:", "if bias is not None and weight is not None:"),
    "bias before weight": (
        "y = xhat\n",
        "y = xhat if bias is None or weight is None else xhat + bias - bias * weight\n",
    ),
    "clipped": ("xhat = centered * rstd", "xhat = (centered * rstd).clamp(-2.0, 2.0)"),
    "NaN hidden": ("xhat = centered * rstd", "xhat = torch.nan_to_num(centered * rstd)"),
    "output in float32": ("return y.to(x.dtype)", "return y.float()"),
    "input overwritten": ("return y.to(x.dtype)", "x.detach().copy_(y.to(x.dtype))\n        return y.to(x.dtype)"),
    "gradient without the mean's term": ("(g - mean_g - xhat * mean_gx)", "(g - xhat * mean_gx)"),
    "gradient without the variance's term": ("(g - mean_g - xhat * mean_gx)", "(g - mean_g)"),
    "gradient of constant statistics": ("(g - mean_g - xhat * mean_gx)", "g"),
    "gradient with a wrong sign": ("- xhat * mean_gx", "+ xhat * mean_gx"),
    "gradient with half a term": ("xhat * mean_gx)", "0.5 * xhat * mean_gx)"),
    "gradient not divided": ("dx = rstd *", "dx ="),
    "gradient without the weight": ("wide if weight is None else wide * weight.to(wide.dtype)", "wide"),
    "means of the cotangent": ("mean_g = g.mean", "mean_g = wide.mean"),
    "sums for means": ("mean_gx = (g * xhat).mean(ctx.dims, keepdim=True)",
                       "mean_gx = (g * xhat).sum(ctx.dims, keepdim=True)"),
    "weight's gradient averaged": ("(wide * xhat).sum(lead)", "(wide * xhat).mean(lead)"),
    "weight's gradient without the input": ("(wide * xhat).sum(lead)", "wide.sum(lead)"),
    "weight's gradient of the first case": ("(wide * xhat).sum(lead)", "(wide * xhat).flatten(0, len(lead) - 1)[0]"),
    "bias's gradient averaged": ("wide.sum(lead)", "wide.mean(lead)"),
    "bias's gradient scaled": ("wide.sum(lead).to", "(2.0 * wide).sum(lead).to"),
    "bias's gradient from the weighted": ("else wide.sum(lead)", "else g.sum(lead)"),
    "gradient in half": ("wide = dy.to(xhat.dtype)", "wide = dy.to(torch.bfloat16).to(xhat.dtype)"),
    "cotangent assumed contiguous": ("wide = dy.to(xhat.dtype)",
                                     "wide = torch.as_strided(dy, dy.shape, xhat.stride()).to(xhat.dtype)"),
}  # fmt: skip
"""What is replaced in `RIGHT`, and by what, by the name of what that is."""


def edited(*names: str) -> str:
    """The source with some edits; empty if one does not apply after the others."""
    text = RIGHT
    for name in names:
        before, after = EDITS[name]
        if before not in text:
            return ""
        text = text.replace(before, after)
    return text


def sources(count: int) -> dict[str, str]:
    """The first `count` sources by name: the right one, all with one edit, then with two."""
    names = [(), *((name,) for name in EDITS), *sorted(combinations(EDITS, 2), key=hash_of)]
    found = {" + ".join(some) or "right": edited(*some) for some in names}
    return dict([(name, text) for name, text in found.items() if text][:count])


def hash_of(pair: tuple[str, ...]) -> int:
    """A number by which pairs are mixed, the same in every run."""
    return sum(i * ord(letter) for i, letter in enumerate("".join(pair), 1)) * 2654435761 % (1 << 32)
