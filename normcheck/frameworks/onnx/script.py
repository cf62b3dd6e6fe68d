"""How the script of a finding is written for ONNX (`ScriptLanguage`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from normcheck.core.floats import FLOAT64, Array

RUN = """\
def run(model, **given):
    arrays = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
    if callable(model):
        own = inspect.signature(model).parameters
        options = {name: name in arrays or given[name] for name in own if name in given}
        options |= {name: False for name in {"weight", "scale", "bias"} & set(own) - set(given)}
        kind = onnx.helper.np_dtype_to_tensor_dtype(arrays[next(iter(arrays))].dtype)
        model = model(**options | ({"elem_type": kind} if "elem_type" in own else {}))
    if isinstance(model, onnx.ModelProto):
        model = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = getattr(model, "input_names", None) or [one.name for one in model.get_inputs()]
    return model.run(None, {name: arrays[name] for name in wanted})[0]"""
"""Makes the model where the target is a function, and runs it; some lines of the script."""


@dataclass(frozen=True, slots=True)
class OnnxScript:
    """Lines of plain numpy and onnxruntime; a model has no gradients that could be compared."""

    framework: str = "onnx"

    def opening(self, format: str) -> tuple[str, ...]:
        return ("import inspect, numpy as np, onnx, onnxruntime", *RUN.splitlines())

    def array(self, values: Array, format: str, *, leaf: bool) -> str:
        return f"np.array({values.tolist()}, dtype={format!r})"

    def reduced(self, kind: str, values: str, axes: tuple[int, ...]) -> str:
        return f"{values}.{kind}({axes}, keepdims=True)"

    def square(self, values: str) -> str:
        return f"np.square({values})"

    def root(self, values: str) -> str:
        return f"np.sqrt({values})"

    def moved(self, array: str, source: int, destination: int) -> str:
        return f"np.moveaxis({array}, {source}, {destination})"

    def compared(
        self, call: Sequence[str], names: Sequence[str], reference: tuple[str, str], leaf: str
    ) -> tuple[tuple[str, ...], str]:
        wide = lambda name: f"{name}.astype({FLOAT64.name!r})"
        copies = "; ".join(f"{name.upper()} = {wide(name)}" for name in names)
        run = re.sub(r"([A-Za-z_][\w.]*)\((?=\w+=)", r"run(\1, ", call[-1], count=1)
        return (
            *call[:-1],
            run,
            copies,
            f"c = {reference[0]}",
            f"exact = {reference[1]}",
        ), f"abs({wide('y')} - exact).max()"
