"""What each layer of the survey computes, measured here in float64 without normcheck.

`python measure.py [WORD ...]` writes facts.json: of all layers, or of those with a word in their name.
"""

import itertools
import json
import math
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from layers import HERE, layers

UNITS = 8
SHAPES = {
    "last": ((4, 5, UNITS), -1),
    "nodes": ((8, UNITS), -1),
    "channels": ((4, UNITS, 3, 5), 1),
    "channels_last": ((4, 3, 5, UNITS), -1),
    "length": ((4, UNITS, 5), 1),
    "video": ((2, UNITS, 2, 2, 3), 1),
}
FORMATS = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
WEIGHTS = ("weight", "gamma", "scale", "g")
PLACES = ("inside", "outside", "floor")
BIASES = ("bias", "beta", "shift", "b")


# a measured layer: its parameters by role, and a call


class Probe:
    """A layer with random parameters, in one format; built anew, so that no measurement sees another's state."""

    def __init__(self, layer, format="float64", training=True, seed=0, units=UNITS, groups=None):
        generator = torch.Generator().manual_seed(seed)
        self.layer, self.axis, self.dtype = layer, SHAPES[layer.input][1], FORMATS[format]
        module = layer.build(units)
        shape = tuple(units if size == UNITS else size for size in SHAPES[layer.input][0])
        if type(module).__name__.startswith("Lazy"):
            module(torch.randn(shape, generator=generator))
        self.module = module.to(self.dtype).train(training)
        self.shape = shape
        values = {**dict(self.module.named_buffers()), **dict(self.module.named_parameters())}
        self.weight, self.bias, self.mean, self.var, self.others = None, None, None, None, {}
        with torch.no_grad():
            for name, value in values.items():
                word = name.rpartition(".")[2]
                if not value.is_floating_point() or word == "eps":
                    continue
                draw = torch.rand(value.shape, generator=generator, dtype=torch.float64)
                if word in WEIGHTS:
                    self.weight = value.copy_(0.5 + draw)
                elif word in BIASES:
                    self.bias = value.copy_(draw - 0.5)
                elif word.endswith("mean") or word == "global_mean":
                    self.mean = value.copy_(draw - 0.5)
                elif word.endswith("var"):
                    self.var = value.copy_(0.5 + draw)
                else:
                    self.others[name] = value.copy_(0.5 + draw)

    def __call__(self, x):
        out = self.module(x.to(self.dtype))
        return out[0] if isinstance(out, tuple) else out

    def affine(self, value):
        """A parameter in float64, laid along the axis of the units."""
        if value is None:
            return None
        value = value.detach().double().reshape(-1)
        if value.numel() == 1:
            return value.reshape(())
        return value if self.axis == -1 else value.reshape(-1, *[1] * (len(self.shape) - 2))


def draw(shape, seed, offset=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator, dtype=torch.float64) + offset) * scale


# which entries share a statistic


def partition(probe, training=True):
    """A label for each entry: entries that influence each other have the same. And whether all of a set do."""
    size = math.prod(probe.shape)
    linked = np.zeros((size, size), bool)
    for seed in range(3):
        x = draw(probe.shape, seed)
        y = call_afresh(probe, x, training)
        for i in range(size):
            moved = x.clone().reshape(-1)
            moved[i] += 1.5
            changed = call_afresh(probe, moved.reshape(probe.shape), training) - y
            linked[i] |= (changed.abs() > 1e-6 * y.abs().max()).reshape(-1).numpy()
    linked |= linked.T | np.eye(size, dtype=bool)
    labels = -np.ones(size, int)
    for i in range(size):
        if labels[i] < 0:
            front = {i}
            while front:
                labels[list(front)] = i
                front = {int(j) for k in front for j in np.flatnonzero(linked[k]) if labels[j] < 0}
    whole = all(linked[np.ix_(labels == one, labels == one)].all() for one in np.unique(labels))
    return np.unique(labels, return_inverse=True)[1].reshape(probe.shape), bool(whole)


def call_afresh(probe, x, training):
    """A call that leaves the buffers as they were."""
    kept = {name: value.clone() for name, value in probe.module.named_buffers()}
    with torch.no_grad():
        y = probe(x).double()
        for name, value in probe.module.named_buffers():
            value.copy_(kept[name])
    return y.reshape(probe.shape) if y.numel() == math.prod(probe.shape) else y


def expected_labels(kind, shape, axis, groups):
    """The sets of the kinds, for comparison."""
    at = np.indices(shape)
    case, unit = at[0], at[axis]
    rest = np.zeros(shape, int)
    for number in range(1, len(shape)):
        if number != axis % len(shape):
            rest = rest * shape[number] + at[number]
    group = unit // (shape[axis] // groups)
    key = {
        "layer_norm": (case, rest),
        "rms_norm": (case, rest),
        "group_norm": (case, group),
        "instance_norm": (case, unit),
        "batch_norm": (unit,),
        "mean_only_batch_norm": (unit,),
        "whole tensor": (),
        "each group of units at each position": (case, rest, group),
        "each group of units of each frame": (case, group, at[2] if len(shape) == 5 else at[0]),
        "nothing": (np.arange(math.prod(shape)).reshape(shape),),
        "units and positions of each case": (case,),
        "each unit over half of the cases": (unit, case * 2 // shape[0]),
    }[kind]
    labels = np.zeros(shape, int)
    for part in key:
        labels = labels * (int(part.max()) + 1) + part
    return np.unique(labels, return_inverse=True)[1].reshape(shape)


SETS = (
    "layer_norm",
    "batch_norm",
    "instance_norm",
    "whole tensor",
    "nothing",
    "group_norm",
    "units and positions of each case",
    "each group of units at each position",
    "each unit over half of the cases",
    "each group of units of each frame",
)


def same(a, b):
    return len(np.unique(a * (b.max() + 1) + b)) == a.max() + 1 == b.max() + 1


# the formula


@dataclass(frozen=True)
class Form:
    """y = activation(q / D * w + b); q and D as the words say."""

    subtracts: bool
    about: str  # what the denominator is of: "mean", "zero", or "nothing"
    divisor: str  # n, n-1, 1
    place: str  # of eps: inside, outside, floor
    weight: str  # w, 1+w, none
    activation: str = "none"
    eps: float = 0.0

    def __call__(self, x, w, b, labels):
        mu, count = mean_of(x, labels)
        q = x - mu if self.subtracts else x
        if self.about != "nothing":
            square = (x - mu if self.about == "mean" else x) ** 2
            total = mean_of(square, labels)[0] * count
            v = total / {"n": count, "n-1": count - 1.0, "1": 1.0}[self.divisor]
            root = (v + self.eps if self.place == "inside" else v).clamp_min(1e-300).sqrt()
            q = q / {"inside": root, "outside": root + self.eps, "floor": root.clamp_min(self.eps)}[self.place]
        if self.weight != "none" and w is not None:
            q = q * (w + 1.0 if self.weight == "1+w" else w)
        q = q if b is None else q + b
        return q.relu() if self.activation == "relu" else q


def mean_of(x, labels):
    index = torch.from_numpy(labels).reshape(-1)
    size = int(index.max()) + 1
    sums = torch.zeros(size, dtype=x.dtype).index_add(0, index, x.reshape(-1))
    count = torch.zeros(size, dtype=x.dtype).index_add(0, index, torch.ones_like(x.reshape(-1)))
    return (sums / count)[index].reshape(x.shape), count[index].reshape(x.shape)


def forms(probe):
    weights = ("w", "1+w", "none") if probe.weight is not None else ("none",)
    for subtracts, weight, activation in itertools.product((False, True), weights, ("none", "relu")):
        yield Form(subtracts, "nothing", "n", "inside", weight, activation)
        for about, divisor, place in itertools.product(("mean", "zero"), ("n", "n-1", "1"), PLACES):
            yield Form(subtracts, about, divisor, place, weight, activation)


def with_eps(form, probe, labels):
    """The form with the eps at which it gives what the layer gives where the variance vanishes."""
    if form.about == "nothing":
        return form
    bias = probe.bias.clone() if probe.bias is not None else None
    if bias is not None:
        with torch.no_grad():
            probe.bias.zero_()
    x = draw(probe.shape, 7, scale=1e-15)
    y = call_afresh(probe, x, True)
    if bias is not None:
        with torch.no_grad():
            probe.bias.copy_(bias)
    bare = Form(form.subtracts, "nothing", "n", "inside", form.weight)
    ratio = bare(x, probe.affine(probe.weight), None, labels) / y
    ratio = ratio[torch.isfinite(ratio) & (y != 0)]
    if not ratio.numel():
        return form
    d = abs(float(ratio.median()))
    without = Form(form.subtracts, form.about, form.divisor, "inside", "none")
    plain = abs(float((bare(x, None, None, labels) / without(x, None, None, labels)).median()))
    if abs(d - plain) < 0.3 * plain or not math.isfinite(d):  # nothing was added
        return form
    return Form(**{**vars_of(form), "eps": d * d if form.place == "inside" else d})


def vars_of(form):
    return {name: getattr(form, name) for name in Form.__dataclass_fields__}


def fit(probe, labels):
    """The form that is nearest to the layer, and how far it is from it, relatively."""
    best, least = None, math.inf
    w, b = probe.affine(probe.weight), probe.affine(probe.bias)
    for form in forms(probe):
        made = with_eps(form, probe, labels)
        size = made.eps if made.place != "inside" else math.sqrt(made.eps)
        worst = 0.0
        inputs = ((11, 0.0, 1.0), (12, 3.0, 1.0), (13, 0.0, size or 1e-3), (14, 0.5, 3.0 * size or 1.0))
        for seed, offset, scale in inputs:
            x = draw(probe.shape, seed, offset, scale)
            y = call_afresh(probe, x, True)
            f = made(x, w, b, labels)
            if not torch.isfinite(y).all() or y.shape != f.shape:
                worst = math.inf
                break
            worst = max(worst, float((y - f).abs().max() / f.abs().max()))
        if worst < 0.5 * least:
            best, least = made, worst
    return best, least


def nice(eps):
    """1e-05 for 9.99999e-06."""
    return float(f"{eps:.3g}")


# accuracy, gradient, state


def errors(layer, form, labels_of, format):
    """The largest error in units of rounding of the format, by ratio of mean to deviation; inf where it overflows."""
    out = {}
    for ratio in (0.0, 8.0, 64.0) if format in ("bfloat16", "float16") else (0.0, 30.0, 3000.0):
        worst = 0.0
        for units, seed in ((UNITS, 3), (UNITS, 4), (64, 5)):
            try:
                probe = Probe(layer, format, seed=seed, units=units)
                labels = labels_of(probe.shape)
                x = draw(probe.shape, seed + 20, ratio).to(probe.dtype).double()
                y = call_afresh(probe, x, True)
            except (RuntimeError, ValueError, NotImplementedError) as error:
                return {"raises": f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"}
            w, b = probe.affine(probe.weight), probe.affine(probe.bias)
            f = form(x, w, b, labels)
            normalized = Form(**{**vars_of(form), "activation": "none", "weight": "none"})(x, None, None, labels).abs()
            gain = 1.0 if form.weight == "none" or w is None else w + 1.0 if form.weight == "1+w" else w
            scale = normalized.clamp_min(0.1) * gain + (0.0 if b is None else b.abs())
            worst = max(worst, float(torch.nan_to_num((y - f).abs() / scale, nan=math.inf).max()) / ROUNDING[format])
        out[f"{ratio:g}"] = round(worst, 2)
    return out


def overflow(layer, form, labels_of):
    """Whether a float16 input of size 300, whose square float16 cannot hold, is normalized."""
    probe = Probe(layer, "float16", seed=3)
    x = draw(probe.shape, 31, scale=300.0).to(torch.float16).double()
    y = call_afresh(probe, x, True)
    f = form(x, probe.affine(probe.weight), probe.affine(probe.bias), labels_of(probe.shape))
    return bool(torch.isfinite(y).all() and float((y - f).abs().max() / f.abs().max()) < 0.05)


def gradients(probe, form, labels):
    """Relative distance of dx, dweight, dbias and the second derivative from those of the formula."""
    x = draw(probe.shape, 41).requires_grad_()
    dy = draw(probe.shape, 42)
    y = probe(x).double().reshape(probe.shape)
    roles = [("dweight", probe.weight), ("dbias", probe.bias)]
    named = [(name, value) for name, value in roles if value is not None and value.requires_grad]
    got = torch.autograd.grad((y * dy).sum(), [x, *[value for _, value in named]], create_graph=True)
    w, b = (None if value is None else value.detach().double().clone().requires_grad_() for _, value in roles)
    twin = x.detach().clone().requires_grad_()

    def laid(value):
        if value is None or value.numel() == 1:
            return None if value is None else value.reshape(())
        flat = value.reshape(-1)
        return flat if probe.axis == -1 else flat.reshape(-1, *[1] * (len(probe.shape) - 2))

    f = form(twin, laid(w), laid(b), labels)
    leaves = {"dweight": w, "dbias": b}
    asked = [twin, *[leaves[name] for name, _ in named]]
    want = torch.autograd.grad((f * dy).sum(), asked, create_graph=True, allow_unused=True)
    out = {}
    for name, a, e in zip(["dx", *[name for name, _ in named]], got, want, strict=True):
        if e is None:
            continue
        out[name] = float((a.double() - e).abs().max() / e.abs().max().clamp_min(1e-30))
    v = draw(probe.shape, 43)
    if got[0].requires_grad and want[0].requires_grad:
        a = torch.autograd.grad((got[0] * v).sum(), x, allow_unused=True)[0]
        e = torch.autograd.grad((want[0] * v).sum(), twin, allow_unused=True)[0]
        if a is not None and e is not None:
            out["ddx"] = float((a - e).abs().max() / e.abs().max().clamp_min(1e-30))
    return {name: float(f"{value:.1e}") for name, value in out.items()}


def running(layer, labels):
    """What a training call does to each buffer."""
    probe = Probe(layer)
    before = {name: value.detach().clone() for name, value in probe.module.named_buffers()}
    x = draw(probe.shape, 51, offset=1.0)
    with torch.no_grad():
        probe(x)
    mu, count = mean_of(x, labels)
    square = mean_of((x - mu) ** 2, labels)[0]
    along = [a for a in range(x.ndim) if a != probe.axis % x.ndim]
    statistics = {
        "mean": mu.mean(along),
        "variance / n": square.mean(along),
        "variance / (n - 1)": (square * count / (count - 1)).mean(along) if (count > 1).all() else square.mean(along),
    }
    out = {}
    for name, value in probe.module.named_buffers():
        if torch.equal(value, before[name]):
            continue
        out[name] = "changed"
        if value.numel() == UNITS:
            old, new = before[name].reshape(-1).double(), value.reshape(-1).double()
            for word, statistic in statistics.items():
                share = float(((new - old) * (statistic - old)).sum() / ((statistic - old) ** 2).sum())
                if float((old + share * (statistic - old) - new).abs().max()) < 1e-6:
                    out[name] = f"{1 - share:.3g} of the old and {share:.3g} of {word}"
    return out


def evaluation(layer, form, labels):
    """What evaluation does: the same as training, the stored statistics, or else."""
    try:
        training, probe = Probe(layer), Probe(layer, training=False)
        x = draw(probe.shape, 61, offset=1.0)
        y = call_afresh(probe, x, False)
    except Exception as error:
        return f"raises {type(error).__name__}"
    if torch.equal(y, call_afresh(training, x, True)):
        same_as = "as training"
        if probe.mean is None:
            return same_as
    if probe.mean is not None and probe.var is not None:
        w, b = probe.affine(probe.weight), probe.affine(probe.bias)
        m, v = probe.affine(probe.mean), probe.affine(probe.var)
        for eps in (getattr(probe.module, "eps", None), getattr(probe.module, "epsilon", None), 1e-5, 1e-3):
            if isinstance(eps, float):
                f = (x - m) / (v + eps).sqrt()
                f = f if w is None else f * w
                f = f if b is None else f + b
                for act, g in (("", f), (" then relu", f.relu())):
                    if float((y - g).abs().max()) < 1e-6:
                        return f"stored statistics, eps {eps:g}{act}"
    return "as training" if torch.equal(y, call_afresh(training, x, True)) else "another"


def accepts(layer):
    """Ranks of input that it takes, and whether it takes an empty batch."""
    probe, out = Probe(layer, training=False), {"ranks": []}
    shapes = {2: (4, UNITS), 3: (4, 5, UNITS), 4: (4, 3, 5, UNITS), 5: (2, 3, 2, 5, UNITS)}
    for rank, last in shapes.items():
        shape = last if probe.axis == -1 else (last[0], UNITS, *last[1:-1])
        try:
            call = probe(draw(shape, 1))
            if call.numel() == math.prod(shape):
                out["ranks"].append(rank)
        except Exception:
            continue
    try:
        out["empty"] = probe(torch.zeros((0, *probe.shape[1:]), dtype=torch.float64)).numel() == 0
    except Exception:
        out["empty"] = False
    return out


# the facts of a layer


def eps_of(module):
    values = (getattr(module, name, None) for name in ("eps", "epsilon", "variance_epsilon", "init_eps"))
    return next((value for value in values if isinstance(value, float)), None)


def facts(layer):
    probe = Probe(layer)
    frozen = probe.mean is not None and not any(True for _ in probe.module.parameters())
    labels, whole = partition(probe)
    groups = next((v for k, v in layer.literals.items() if "group" in k), 1)
    if layer.kind == "group_norm" and layer.args[0] == 4:
        groups = 4
    kind = layer.kind
    sets = [kind, *SETS]
    counts = (groups, 1, 2, 4)
    pairs = itertools.product(sets, counts)
    fits = ((s, g) for s, g in pairs if same(labels, expected_labels(s, probe.shape, probe.axis, g)))
    name, count = next(fits, ("unknown", 1))
    form, distance = fit(probe, labels) if name not in ("nothing", "unknown") else (None, math.inf)
    out = {
        "parameters": sorted(n for n, _ in probe.module.named_parameters()),
        "buffers": sorted(n for n, _ in probe.module.named_buffers()),
        "sets": name,
        "sets of the kind": name == kind and (count == groups or kind != "group_norm"),
        "groups": count if name in ("group_norm", "each group of units at each position") else None,
        "each entry depends on its whole set": whole,
        "numbers of the weight": None if probe.weight is None else probe.weight.numel(),
        "axis": {-1: "last", 1: "1"}[probe.axis],
        "frozen": frozen,
        "training": not frozen,
        "eps attribute": eps_of(probe.module),
        "accepts": accepts(layer),
        "evaluation": evaluation(layer, form, labels),
        "buffers changed": running(layer, labels),
    }
    if form is None or not distance < 1e-3:
        nearest = None if form is None else {**vars_of(form), "eps": nice(form.eps)}
        far = float(f"{distance:.1e}") if math.isfinite(distance) else None
        return out | {"formula": None, "nearest": nearest, "distance": far}

    def labels_of(shape):
        # a fixed size of the groups makes more of them where there are more units
        fixed = name == "each group of units at each position"
        return expected_labels(name, shape, probe.axis, count * shape[probe.axis] // UNITS if fixed else count)

    out |= {"formula": {**vars_of(form), "eps": nice(form.eps)}, "distance": float(f"{distance:.1e}")}
    out["float64 computed in float32"] = distance > 1e-9
    out["errors"] = {format: errors(layer, form, labels_of, format) for format in ("float32", "bfloat16", "float16")}
    try:
        out["float16 of size 300"] = overflow(layer, form, labels_of)
    except Exception as error:
        out["float16 of size 300"] = f"raises {type(error).__name__}"
    out["one-pass variance"] = form.about == "mean" and out["errors"]["float32"].get("3000", 0.0) > 100 * 3000
    try:
        out["gradients"] = gradients(Probe(layer), form, labels)
    except RuntimeError as error:
        out["gradients"] = {"raises": str(error).splitlines()[0][:90]}
    return out


def main(words):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    path = HERE / "facts.json"
    found = json.loads(path.read_text()) if words and path.exists() else {}
    wanted = [layer for layer in layers() if not words or any(word in layer.id for word in words)]
    for layer in wanted:
        try:
            found[layer.id] = facts(layer)
        except Exception as error:
            found[layer.id] = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        print(layer.id, found[layer.id].get("formula") or found[layer.id], flush=True)
    known = {layer.id for layer in layers()}
    path.write_text(json.dumps({k: v for k, v in found.items() if k in known}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
