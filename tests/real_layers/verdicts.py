"""What a fair maintainer would expect of a layer with given facts: the rules of the three degrees, in one place.

failure  another function than that of the kind under the declared contract
warning  right, but weaker than torch's counterpart; exit 0
note     the rest

`python verdicts.py` writes expected.toml; what is judged by hand is in JUDGED, with the reason.
"""

import json

from layers import HERE, layers

ONE_ROUNDING = 1.1  # units of rounding: the output is rounded once
TWO_ROUNDINGS = 2.2  # also rounded before the weight

JUDGED = {
    "timm.layers:EvoNorm2dS0(groups=4)": ("failed", ["no-known-normalizer"], "x sigmoid(v x) over the deviation of a group: the mean is not subtracted, and a swish is in the numerator"),
    "timm.layers.grn:GlobalResponseNorm": ("failed", ["no-known-normalizer"], "global response normalization: multiplies by a norm over positions divided by its mean over units, and adds the input"),
    "diffusers.models.normalization:GlobalResponseNorm": ("failed", ["no-known-normalizer"], "global response normalization: multiplies by a norm over positions divided by its mean over units, and adds the input"),
    "x_transformers.x_transformers:DynamicTanh": ("failed", ["no-known-normalizer"], "tanh(a x) w + b: no statistic"),
    "transformers.models.mobilebert.modeling_mobilebert:NoNorm": ("failed", ["no-known-normalizer"], "w x + b: no statistic"),
    "torch_geometric.nn:PairNorm": ("failed", ["no-known-normalizer"], "subtracts the mean of each unit over the cases, then divides by the root of the mean squared length of a case: two kinds of sets"),
    "torch_geometric.nn:GraphNorm": ("failed", ["mean-scaled"], "subtracts the mean of each unit times a parameter; keeps no running statistics"),
    "transformers.models.muse_spark.modeling_muse_spark:MuseSparkTextInputScaledRMSNorm": ("failed", ["weight-before-statistic", "weight-offset-one"], "multiplies by 1 + w before the statistic is taken"),
    "transformers.models.patchtst.modeling_patchtst:PatchTSTBatchNorm": ("not bound", [], "takes a configuration, and normalizes the last axis over cases and positions: normcheck adapt prints the wrapper"),
    "diffusers.models.autoencoders.autoencoder_kl_minimax_h3:MiniMaxH3VideoGroupNorm": ("failed", ["frames-apart"], "takes (N, C, T, H, W) only, and each frame has statistics of its own"),
    "torchvision.ops.misc:FrozenBatchNorm2d": ("passed", [], ""),
}
"""Target to verdict, causes and the reason, where no formula of the measurement fits or the rules do not decide."""

NOT_BATCH = {"torch_geometric.nn:InstanceNorm"}


def causes(layer, facts):
    """Names of what makes it another function: a fault of normcheck's catalog where there is one."""
    form = facts["formula"]
    centered = layer.kind != "rms_norm"
    divides = layer.kind != "mean_only_batch_norm"
    out = []
    if not facts["sets of the kind"]:
        out.append(
            {
                "whole tensor": "statistics-of-whole-tensor",
                "batch_norm": "cases-shared",
                "layer_norm": "positions-apart",
                "each group of units at each position": "groups-within-the-last-axis",
                "each unit over half of the cases": "split-batch",
                "units and positions of each case": "units-and-positions-shared",
            }.get(facts["sets"], f"sets of {facts['sets']}")
        )
    if centered and not form["subtracts"]:
        out.append("mean-not-subtracted" if form["about"] == "zero" else "mean-kept-in-numerator")
    if not centered and form["subtracts"]:
        out.append("mean-subtracted")
    if divides and form["about"] == "nothing":
        out.append("only-centers")
    if not centered and form["about"] == "mean":
        out.append("variance-about-the-mean")
    if form["divisor"] == "n-1" and layer.contract.get("variance") != "unbiased":
        out.append("variance-unbiased")
    if form["divisor"] == "1":
        out.append("divides-by-norm")
    if form["place"] == "outside" and layer.contract.get("eps-place") != "outside":
        out.append("eps-outside-root")
    if form["weight"] == "1+w" and layer.contract.get("weight") != "1+w":
        out.append("weight-offset-one")
    if form["activation"] != "none":
        out.append("activation-follows")
    if layer.kind == "batch_norm" and facts["training"]:
        text = " ".join(facts["buffers changed"].values())
        if not facts["buffers changed"] and not any(n.endswith("var") for n in facts["buffers"]):
            out.append("no-running-statistics")
        if "variance / n" in text and "variance / (n - 1)" not in text:
            out.append("running-variance-biased")
    return out


def remedies(found):
    """The declarations under which it would pass, of those causes that are conventions."""
    known = {
        "weight-offset-one": "weight=1+w",
        "eps-outside-root": "eps-place=outside",
        "variance-unbiased": "variance=unbiased",
        "running-variance-biased": "running-variance=biased",
    }
    return [known[one] for one in found if one in known]


def half(facts, format):
    """Worst error in units of rounding of the format."""
    rows = facts["errors"].get(format, {})
    values = [value for value in rows.values() if not isinstance(value, str)]
    return max(values) if values else None


def warnings(layer, facts):
    out = []
    if facts["float64 computed in float32"]:
        out.append("float64-in-float32")
    for format in ("bfloat16", "float16"):
        worst = half(facts, format)
        if (worst is not None and worst > TWO_ROUNDINGS) or (format == "float16" and facts["float16 of size 300"] is False):
            out.append(f"accuracy=half:{format}")
    if facts["one-pass variance"]:
        out.append("one-pass-variance")
    if not facts["accepts"]["empty"]:
        out.append("empty")
    if facts["gradients"].get("ddx", 0.0) > 1e-4:
        out.append("second-derivative")
    return out


def notes(layer, facts):
    out = []
    if facts["axis"] == "1" and layer.kind in ("layer_norm", "rms_norm"):
        out.append("axis=1")
    form = facts.get("formula") or {}
    if form.get("place") == "floor":
        out.append("eps-place=floor")
    if form.get("weight") == "none":
        out.append("no weight")
    if facts["frozen"]:
        out.append("no training mode; weights and statistics are buffers")
    if layer.kind == "group_norm" and facts.get("groups") == 1:
        out.append("one group")
    if any(TWO_ROUNDINGS >= (half(facts, f) or 0.0) > ONE_ROUNDING for f in ("bfloat16", "float16")) and form:
        out.append("rounded before the weight")
    named = [n for n in facts["buffers changed"] if n.rpartition(".")[2] not in ("running_mean", "running_var", "num_batches_tracked")]
    if named:
        out.append("buffers changed: " + ", ".join(sorted(named)))
    return out


def expectation(layer, facts):
    """Verdict, causes, remedies, warnings and notes."""
    if layer.target in JUDGED and (layer.target != "torchvision.ops.misc:FrozenBatchNorm2d"):
        verdict, found, why = JUDGED[layer.target]
        return {"verdict": verdict, "causes": found, "warnings": [], "notes": [], "why": why, "judged": True}
    if facts.get("frozen"):
        ok = str(facts["evaluation"]).startswith("stored statistics")
        return {
            "verdict": "passed" if ok else "failed",
            "causes": [],
            "warnings": [] if facts["accepts"]["empty"] else ["empty"],
            "notes": notes(layer, facts),
            "why": f"evaluation only: {facts['evaluation']}",
        }
    if not facts.get("formula"):
        return {"verdict": "unknown", "causes": [], "warnings": [], "notes": [], "why": f"not measured: {facts.get('error') or facts.get('nearest')}"}
    found = causes(layer, facts)
    made = {
        "verdict": "failed" if found else "passed",
        "causes": found,
        "warnings": warnings(layer, facts),
        "notes": notes(layer, facts),
        "why": sentence(facts),
    }
    if remedies(found) and len(remedies(found)) == len(found):
        made["declare"] = remedies(found)
    return made


def sentence(facts):
    """The formula in words."""
    form = facts["formula"]
    q = "x - mean" if form["subtracts"] else "x"
    inner = {"mean": "variance", "zero": "mean square", "nothing": ""}[form["about"]]
    inner += {"n": "", "n-1": " (n - 1)", "1": " (sum)"}[form["divisor"]] if inner else ""
    d = {"inside": f"sqrt({inner} + {form['eps']:g})", "outside": f"(sqrt({inner}) + {form['eps']:g})", "floor": f"max(sqrt({inner}), {form['eps']:g})"}[form["place"]]
    w = {"w": " w", "1+w": " (1 + w)", "none": ""}[form["weight"]]
    text = f"({q})" + (f" / {d}" if inner else "") + w
    return (f"{form['activation']} of " if form["activation"] != "none" else "") + text + f" over {facts['sets']}"


def quoted(value):
    return json.dumps(value, ensure_ascii=False)


def main():
    facts = json.loads((HERE / "facts.json").read_text())
    lines = ["# Written by verdicts.py from facts.json; verdict, causes (a fault or convention each), warnings and notes that a fair run shows.", ""]
    for layer in layers():
        made = expectation(layer, facts[layer.id])
        lines += [f"[{quoted(layer.id)}]", *(f"{key} = {quoted(value) if not isinstance(value, bool) else str(value).lower()}" for key, value in made.items()), ""]
    (HERE / "expected.toml").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
