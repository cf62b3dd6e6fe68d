"""Processor time of checks of other frameworks' normalizers, beside those of torch measured in the same minute.

    python tests/benchmarks/framework_times.py [--effort quick] [--only WORD] [PYTHON ...]

PYTHON: interpreters of environments with frameworks; this one without any. Each target is checked in a process of its
own, beyond the import of its framework and of normcheck; processes that it starts count too. Right before, torch's
normalizer of the same kind and style is checked by an interpreter that has torch. Prints a row for each target:
seconds, seconds of torch, and their ratio. Frameworks that no interpreter has are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TESTS = ROOT / "tests"

TORCH = {
    False: {kind: f"torch.nn.functional:{kind}"
            for kind in ("layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm")},
    True: {"layer_norm": "torch.nn:LayerNorm", "rms_norm": "torch.nn:RMSNorm", "group_norm": "torch.nn:GroupNorm",
           "instance_norm": "torch.nn:InstanceNorm1d", "batch_norm": "torch.nn:BatchNorm1d"},
}  # fmt: skip
"""What a target is compared with, by whether it is a layer, which is constructed and keeps its parameters."""

TARGETS: dict[str, tuple[str, bool, dict[str, str]]] = {
    "numpy": ("numpy", False, {
        kind: f"{TESTS}/user_code/correct/{kind}_numpy.py:numpy_{kind}" for kind in ("layer_norm", "rms_norm")}),
    "jax": ("jax", False, {
        kind: f"{TESTS}/jax/code/right.py:{kind}" for kind in ("layer_norm", "rms_norm", "batch_norm")}),
    "flax": ("flax.nnx", True, {
        kind: f"flax.nnx:{name}(use_fast_variance=False)"
        for kind, name in (("layer_norm", "LayerNorm"), ("group_norm", "GroupNorm"), ("instance_norm", "InstanceNorm"),
                           ("batch_norm", "BatchNorm"))} | {"rms_norm": "flax.nnx:RMSNorm"}),
    "equinox": ("equinox", True, {
        "layer_norm": "equinox.nn:LayerNorm", "rms_norm": "equinox.nn:RMSNorm", "group_norm": "equinox.nn:GroupNorm",
        "batch_norm": 'equinox.nn:BatchNorm(mode="batch")'}),
    "haiku": ("haiku", True, {
        "layer_norm": "haiku:LayerNorm", "rms_norm": "haiku:RMSNorm", "group_norm": "haiku:GroupNorm",
        "instance_norm": "haiku:InstanceNorm", "batch_norm": "haiku:BatchNorm"}),
    "keras": ("keras", True, {
        "layer_norm": "keras.layers:LayerNormalization", "rms_norm": "keras.layers:RMSNormalization",
        "group_norm": "keras.layers:GroupNormalization", "batch_norm": "keras.layers:BatchNormalization"}),
    "tensorflow": ("tensorflow", False, {
        kind: f"{TESTS}/tensorflow/code/right.py:{kind}"
        for kind in ("layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm")}),
    "mlx": ("mlx.nn", True, {
        "layer_norm": "mlx.nn:LayerNorm", "rms_norm": "mlx.nn:RMSNorm",
        "group_norm": "mlx.nn:GroupNorm(pytorch_compatible=True)", "instance_norm": "mlx.nn:InstanceNorm",
        "batch_norm": "mlx.nn:BatchNorm"}),
    "tinygrad": ("tinygrad", True, {
        "layer_norm": "tinygrad.nn:LayerNorm", "rms_norm": "tinygrad.nn:RMSNorm", "group_norm": "tinygrad.nn:GroupNorm",
        "instance_norm": "tinygrad.nn:InstanceNorm", "batch_norm": "tinygrad.nn:BatchNorm"}),
    "paddle": ("paddle", True, {
        "layer_norm": "paddle.nn:LayerNorm", "group_norm": "paddle.nn:GroupNorm",
        "instance_norm": "paddle.nn:InstanceNorm1D", "batch_norm": "paddle.nn:BatchNorm1D"}),
    "onnx": ("onnxruntime", False, {
        kind: f"{TESTS}/onnx/code/right.py:{kind}"
        for kind in ("layer_norm", "rms_norm", "instance_norm", "batch_norm")}),
}  # fmt: skip
"""For each framework: the module that it needs, whether its targets are layers, and its targets by kind."""

BACKENDS = {"keras": ("tensorflow", "jax")}
"""The backends on which a framework is measured, by the variable NAME_BACKEND."""


def measured(target: str, kind: str, module: str, effort: str) -> tuple[float, int]:
    """Processor time of a check in this process and those that it starts, beyond imports; and how many laws fail."""
    import_module(module)
    from normcheck.core.result import PASSED, SKIPPED
    from normcheck.engine import claims, run
    from normcheck.engine.settings import Settings
    from normcheck.frameworks import registry

    claim = claims.claim((kind, target), {})
    from normcheck.frameworks.load import load

    registry.get(registry.candidates(load(target))[0])
    if module.partition(".")[0] == "torch":
        from forked import torch_imports

        torch_imports()
    start = _spent()
    outcomes = [event.outcome for event in run.events([claim], Settings(effort)) if hasattr(event, "outcome")]
    return _spent() - start, sum(one.status not in (PASSED, SKIPPED) for one in outcomes)


def _spent() -> float:
    times = os.times()
    return times.children_user + times.children_system + time.process_time()


def _asked(python: str, arguments: Sequence[str], **variables: str) -> str:
    """What this script prints in another process. Raises `RuntimeError` where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [python, __file__, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout.splitlines()[-1]


def _measured(python: str, target: str, kind: str, module: str, effort: str, **variables: str) -> tuple[float, int]:
    taken, failed = json.loads(_asked(python, ["--measure", target, kind, module, "--effort", effort], **variables))
    return taken, failed


def _installed() -> list[str]:
    """The modules of all targets that can be imported here, and torch."""
    modules = ["torch", *(module for module, _, _ in TARGETS.values())]
    return [one for one in modules if find_spec(one.partition(".")[0]) is not None]


def rows(pythons: Sequence[str], effort: str, only: Sequence[str]) -> Iterator[tuple[str, str, float, float, int]]:
    """Framework, kind, seconds, seconds of torch, and laws that fail, for targets that an interpreter can import."""
    have = {python: json.loads(_asked(python, ["--installed"])) for python in pythons}
    with_torch = next((python for python, modules in have.items() if "torch" in modules), None)
    if with_torch is None:
        raise SystemExit("no interpreter has torch, with which others are compared: name one that has")
    for framework, (module, is_layer, targets) in TARGETS.items():
        python = next((one for one, modules in have.items() if module in modules), None)
        for backend in BACKENDS.get(framework, ("",)) if python else ():
            name = f"{framework} {backend}".strip()
            variables = {f"{framework.upper()}_BACKEND": backend} if backend else {}
            for kind, target in targets.items():
                if only and not any(word in f"{name} {kind}" for word in only):
                    continue
                torch, _ = _measured(with_torch, TORCH[is_layer][kind], kind, "torch", effort)
                taken, failed = _measured(str(python), target, kind, module, effort, **variables)
                yield name, kind, taken, torch, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--effort", default="quick")
    parser.add_argument("--only", action="append", metavar="WORD", help="rows of which a word is a part (repeatable)")
    parser.add_argument("--measure", nargs=3, metavar=("TARGET", "KIND", "MODULE"), help=argparse.SUPPRESS)
    parser.add_argument("--installed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.installed:
        print(json.dumps(_installed()))
    elif options.measure:
        print(json.dumps(measured(*options.measure, options.effort)))
    else:
        print(f"{'framework':18} {'kind':14} {'seconds':>8} {'torch':>7} {'ratio':>6} {'failed':>6}, {options.effort}")
        for name, kind, taken, torch, failed in rows(options.pythons, options.effort, options.only or ()):
            print(f"{name:18} {kind:14} {taken:8.2f} {torch:7.2f} {taken / torch:6.2f} {failed:6}", flush=True)


if __name__ == "__main__":
    main()
