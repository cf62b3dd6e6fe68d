"""The layers of the survey: read from layers.toml, found, and constructed for a number of units."""

import ast
import importlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Layer:
    """A layer of a library, the kind that it is checked as, and how it is constructed and called."""

    target: str  # package.module:Name, with literal keywords where the constructor needs them
    kind: str
    input: str  # where the normalized axis is
    args: tuple = ("C",)  # positional arguments of the constructor; "C" is the number of units
    config: str = ""  # the class of the configuration that the constructor takes in their place
    contract: dict = field(default_factory=dict)

    @property
    def id(self):
        declared = ",".join(f"{key}={value}" for key, value in self.contract.items())
        return f"{self.kind}={self.target}" + (f" [{declared}]" if declared else "")

    @property
    def literals(self):
        """The keywords of the target."""
        _, _, call = self.target.partition("(")
        if not call:
            return {}
        return {word.arg: ast.literal_eval(word.value) for word in ast.parse("f(" + call, mode="eval").body.keywords}

    def build(self, units):
        """The layer for that many units, as its library constructs it."""
        made = found(self.target.partition("(")[0])
        if self.config:
            return made(found(self.config)(d_model=units, num_attention_heads=1))
        return made(*[units if one == "C" else one for one in self.args], **self.literals)


def found(name):
    place, _, attribute = name.partition(":")
    return getattr(importlib.import_module(place), attribute)


def layers():
    with (HERE / "layers.toml").open("rb") as file:
        rows = tomllib.load(file)["layer"]
    return [Layer(**{**row, "args": tuple(row.get("args", ("C",)))}) for row in rows]
