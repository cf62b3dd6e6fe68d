"""What a fair maintainer would expect of a layer with given facts: the rules of the three degrees, in one place.

failure  another function than that of the kind under the declared contract
warning  right, but weaker than torch's counterpart; exit 0
note     the rest

`python verdicts.py` writes expected.toml; what is judged by hand is in judged.toml, with the reason.
"""

import json
import tomllib

from layers import HERE, layers

ONE_ROUNDING = 1.1  # units of rounding: the output is rounded once
TWO_ROUNDINGS = 2.2  # also rounded before the weight
FEW_ROUNDINGS = 4.0  # each step is rounded, the statistic too; more only where errors grow with the mean

COUNTERPARTS = {
    "layer_norm": "layer_norm=torch.nn:LayerNorm",
    "rms_norm": "rms_norm=torch.nn:RMSNorm",
    "group_norm": "group_norm=torch.nn:GroupNorm",
    "instance_norm": "instance_norm=torch.nn:InstanceNorm2d(affine=True, track_running_stats=True)",
    "batch_norm": "batch_norm=torch.nn:BatchNorm2d",
    "mean_only_batch_norm": "batch_norm=torch.nn:BatchNorm2d",
}
"""The layer of torch of each kind, by its id: an accuracy that it does not reach is asked of nobody."""

JUDGED = tomllib.loads((HERE / "judged.toml").read_text())

SETS = {
    "whole tensor": "cases-shared|statistics-of-whole-tensor",
    "batch_norm": "cases-shared",
    "layer_norm": "positions-apart",
    "each group of units at each position": "groups-within-the-last-axis",
    "each unit over half of the cases": "split-batch",
    "units and positions of each case": "units-and-positions-shared",
    "each group of units of each frame": "positions-apart",
}
"""What the sets of entries that share a statistic are called where they are not those of the kind."""

REMEDIES = {
    "weight-offset-one": ("weight", "1+w"),
    "eps-outside-root": ("eps-place", "outside"),
    "variance-unbiased": ("variance", "unbiased"),
    "running-variance-biased": ("running-variance", "biased"),
}
"""The convention of the contract under which a cause is none."""

STATE = ("running_mean", "running_var", "num_batches_tracked")


def causes(layer, facts):
    """What makes it another function: names of normcheck's faults where it has one; "a|b" where either may be said."""
    form, rms = facts["formula"], layer.kind == "rms_norm"
    text = " ".join(facts["buffers changed"].values())
    batch = layer.kind == "batch_norm"
    found = {
        SETS.get(facts["sets"], f"sets of {facts['sets']}"): not facts["sets of the kind"],
        "mean-not-subtracted": not rms and not form["subtracts"] and form["about"] == "zero",
        "mean-kept-in-numerator": not rms and not form["subtracts"] and form["about"] == "mean",
        "mean-subtracted": rms and form["subtracts"],
        "variance-about-the-mean": rms and not form["subtracts"] and form["about"] == "mean",
        "only-centers": layer.kind != "mean_only_batch_norm" and form["about"] == "nothing",
        "variance-unbiased": form["divisor"] == "n-1",
        "divides-by-norm": form["divisor"] == "1",
        "eps-outside-root": form["place"] == "outside",
        "weight-offset-one": form["weight"] == "1+w",
        "activated-too": form["activation"] != "none",
        "running-variance-biased": batch and "of variance / n" in text and "of variance / (n - 1)" not in text,
    }
    declared = set(layer.contract.items())
    return [name for name, holds in found.items() if holds and REMEDIES.get(name) not in declared]


def half(facts, format):
    """Worst error in units of rounding of the format."""
    rows = facts.get("errors", {}).get(format, {})
    values = [value for value in rows.values() if not isinstance(value, str)]
    return max(values) if values else None


def accuracy(facts, format):
    """The class in a half format: half (statistics are kept in it), maybe (a few roundings more than two), or sound."""
    worst = half(facts, format) or 0.0
    overflows = format == "float16" and facts.get("float16 of size 300") is False
    return "half" if overflows or worst > FEW_ROUNDINGS else "maybe" if worst > TWO_ROUNDINGS else "sound"


def classes(layer, facts, counterpart, wanted):
    """Formats in which the accuracy is of that class, where that of torch's counterpart is sound."""
    pairs = [(format, accuracy(facts, format)) for format in ("bfloat16", "float16")]
    return [f"accuracy=half:{f}" for f, reached in pairs if reached == wanted and accuracy(counterpart, f) == "sound"]


def warnings(layer, facts, counterpart):
    found = {
        "float64-in-float32": facts["float64 computed in float32"],
        "one-pass-variance": facts["one-pass variance"],
        "empty": counterpart["accepts"]["empty"] and not facts["accepts"]["empty"],
        "second-derivative": facts["gradients"].get("ddx", 0.0) > 1e-4,
    }
    return [name for name, holds in found.items() if holds] + classes(layer, facts, counterpart, "half")


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
    if facts.get("numbers of the weight") == 1:
        out.append("one weight for all units")
    if layer.kind.endswith("batch_norm") and not any("mean" in name for name in facts["buffers"]):
        out.append("no running statistics")
    named = [name for name in facts["buffers changed"] if name.rpartition(".")[2] not in STATE]
    if named:
        out.append("buffers changed: " + ", ".join(sorted(named)))
    return out


def expectation(layer, every):
    """Verdict, causes, remedies, warnings, those that may be shown beside them ("may"), and notes."""
    facts = every[layer.id]
    if layer.target in JUDGED:
        return {"warnings": [], "notes": [], **JUDGED[layer.target], "judged": True}
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
        why = f"not measured: {facts.get('error') or facts.get('nearest')}"
        return {"verdict": "unknown", "causes": [], "warnings": [], "notes": [], "why": why}
    found = causes(layer, facts)
    made = {
        "verdict": "failed" if found else "passed",
        "causes": found,
        "warnings": warnings(layer, facts, every[COUNTERPARTS[layer.kind]]),
        "notes": notes(layer, facts),
        "why": sentence(facts),
    }
    counterpart = every[COUNTERPARTS[layer.kind]]
    some = [format for wanted in ("maybe", "half") for format in classes(layer, facts, counterpart, wanted)]
    may = classes(layer, facts, counterpart, "maybe") or len(some) == 1
    if may:  # the same operations are in both formats: what one shows on these inputs, the other may on others
        made["may"] = [f"accuracy=half:{format}" for format in ("bfloat16", "float16")]
    if found:  # what computes another function is not compared with a class of accuracy in every format
        lower = [one for one in made["warnings"] if one.startswith("accuracy=")]
        made["warnings"] = [one for one in made["warnings"] if one not in lower]
        if lower or may:
            made["may"] = [f"accuracy=half:{format}" for format in ("bfloat16", "float16")]
    if facts["sets"] == "each group of units at each position":  # raises where groups do not divide the width
        made["may"] = [*made.get("may", ()), "sizes"]
    if found and set(found) <= set(REMEDIES):
        made["declare"] = ["=".join(REMEDIES[one]) for one in found]
    return made


def sentence(facts):
    """The formula in words."""
    form = facts["formula"]
    q = "x - mean" if form["subtracts"] else "x"
    inner = {"mean": "variance", "zero": "mean square", "nothing": ""}[form["about"]]
    inner += {"n": "", "n-1": " (n - 1)", "1": " (sum)"}[form["divisor"]] if inner else ""
    eps = f"{form['eps']:g}"
    d = {
        "inside": f"sqrt({inner} + {eps})",
        "outside": f"(sqrt({inner}) + {eps})",
        "floor": f"max(sqrt({inner}), {eps})",
    }
    w = {"w": " w", "1+w": " (1 + w)", "none": ""}[form["weight"]]
    text = f"({q})" + (f" / {d[form['place']]}" if inner else "") + w
    return (f"{form['activation']} of " if form["activation"] != "none" else "") + text + f" over {facts['sets']}"


def quoted(value):
    return json.dumps(value, ensure_ascii=False)


def main():
    facts = json.loads((HERE / "facts.json").read_text())
    lines = ["# Written by verdicts.py from facts.json and judged.toml: what a fair run of normcheck shows.", ""]
    for layer in layers():
        made = expectation(layer, facts)
        lines += [f"[{quoted(layer.id)}]", *(f"{key} = {quoted(value)}" for key, value in made.items()), ""]
    (HERE / "expected.toml").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
