"""Bugs of torch itself that checks find, as data: target, reason, source, and a reproduction in plain torch.

The law stays as it is, and the same behavior in any other target is a finding. An entry whose bug is no longer found is
an error, so that it is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from normcheck.core.floats import NARROW_NAMES
from normcheck.core.target import split

GROUP_NORM_CHANNELS_LAST = """\
import torch
torch.manual_seed(0)
x = torch.randn(2, 4, 8, 8) + 1000.0
exact = torch.nn.functional.group_norm(x.double(), 2)
last = torch.nn.functional.group_norm(x.contiguous(memory_format=torch.channels_last), 2)
print((torch.nn.functional.group_norm(x, 2) - exact).abs().max())  # 5e-05
print((last - exact).abs().max())                                  # 4e-01
"""

GROUP_NORM_WITHOUT_WEIGHT = """\
import torch
x, b = torch.randn(2, 4, 8, requires_grad=True), torch.randn(4, requires_grad=True)
torch.nn.functional.group_norm(x, 2, None, b).square().sum().backward()  # RuntimeError: tensor does not have a device
"""


BATCH_NORM_WEIGHT_STRIDE = """\
import torch
x, dy = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4)
every_second = torch.arange(8.0)[::2]
for w in (every_second.contiguous(), every_second):  # the same numbers
    y = torch.nn.functional.batch_norm(x, None, None, w, training=True)
    print(torch.autograd.grad(y, x, dy)[0][0])  # not the same gradient: the second multiplies by 0, 1, 2, 3
"""


WEIGHT_NORM_COPIED = """\
import copy, torch
m = torch.nn.utils.weight_norm(torch.nn.Linear(2, 3))
copy.deepcopy(m)  # RuntimeError: Only Tensors created explicitly by the user support the deepcopy protocol
"""


WEIGHT_NORM_DECOMPOSED = """\
import torch
class Norm(torch.nn.Module):
    def forward(self, v, g):
        return torch._weight_norm(v, g, 0)
v, g = torch.randn(6), torch.ones(6)
program = torch.export.export(Norm(), (v, g))
print(program.module()(v, g))                       # the signs of v
print(program.run_decompositions().module()(v, g))  # v / |v|
"""


BATCH_NORM_HALF_PARAMETERS = """\
import torch
torch.manual_seed(0)
x, w = (torch.randn(64, 1) + 30.0).bfloat16(), torch.ones(1)
exact = torch.nn.functional.batch_norm(x.double(), None, None, training=True)
for weight in (w, w.bfloat16()):  # the same number
    y = torch.nn.functional.batch_norm(x, None, None, weight, torch.zeros_like(weight), training=True)
    print((y - exact).abs().max())  # 0.008, 0.06
"""


@dataclass(frozen=True, slots=True)
class KnownBug:
    """A finding that is expected of certain targets, on cases with certain layouts or parameters."""

    targets: tuple[str, ...]
    checks: tuple[str, ...]
    reason: str
    source: str
    reproduction: str
    layouts: tuple[str, ...] = ()  # of the input; empty: all
    affine: tuple[str, ...] = ()  # which parameters are passed; empty: all
    strided_parameters: bool = False  # only on cases whose parameters are not contiguous
    formats: tuple[str, ...] = ()  # of the input; empty: all
    ranks: tuple[int, ...] = ()  # of the input, beside the first, which suits every check; empty: all
    uses: tuple[str, ...] = ()  # only under these ways of calling it; empty: all
    device: str = ""  # only there; empty: on all

    def shows_on(self, device: str) -> bool:
        """Whether it is expected on a device, as torch spells that."""
        return device.startswith(self.device)


def _of_dimensions(name: str, module: str) -> tuple[str, ...]:
    """A layer of one to three axes of positions, by its public place and by its own."""
    return tuple(f"{place}:{name}{n}d" for place in ("torch.nn", f"torch.nn.modules.{module}") for n in (1, 2, 3))


ALL = (
    KnownBug(
        targets=(
            "torch.nn.functional:group_norm",
            "torch.nn:GroupNorm",
            "torch:group_norm",
            "torch.nn.modules.normalization:GroupNorm",
        ),
        checks=("input-layout", "input-layout-gradient", "layout-pairs"),
        layouts=("channels last", "channels last slice"),
        device="cpu",
        reason="on the CPU channels-last input takes a path with one-pass variance: 0.4 off at an offset of 1000 in "
        "float32, where contiguous input is 5e-5 off",
        source="pytorch/pytorch#49821 (the path), pytorch/pytorch#54293 (the same in the contiguous path, mended)",
        reproduction=GROUP_NORM_CHANNELS_LAST,
    ),
    KnownBug(
        targets=("torch.nn.functional:batch_norm", "torch:batch_norm"),
        checks=("layout-pairs",),
        strided_parameters=True,
        device="cpu",
        reason="on the CPU the backward reads a strided weight as if it were contiguous, where input and cotangent are "
        "channels last or have two axes: dx takes the numbers between its entries",
        source="pytorch/pytorch#64100 (the same kernel in sync batch norm, where it took the input for channels last)",
        reproduction=BATCH_NORM_WEIGHT_STRIDE,
    ),
    KnownBug(
        targets=(
            "torch.nn.functional:batch_norm",
            "torch:batch_norm",
            *_of_dimensions("BatchNorm", "batchnorm"),
            "torch.nn.functional:instance_norm",
            "torch:instance_norm",
            *_of_dimensions("InstanceNorm", "instancenorm"),
        ),
        checks=("wide-statistics",),
        formats=NARROW_NAMES,
        device="cpu",
        reason="on the CPU, with parameters in half precision or without, mean and root are rounded to half precision",
        source="pytorch/pytorch#61015 (where parameters in float32 beside half-precision input were left for later)",
        reproduction=BATCH_NORM_HALF_PARAMETERS,
    ),
    KnownBug(
        targets=("torch.nn.functional:group_norm", "torch:group_norm"),
        checks=("parameter-grid",),
        affine=("bias",),
        reason="with a bias and no weight the backward raises: it forms a gradient of the weight that is not there",
        source="pytorch/pytorch#79705 (the same combination in layer norm, second order)",
        reproduction=GROUP_NORM_WITHOUT_WEIGHT,
    ),
    KnownBug(
        targets=("torch.nn.utils:weight_norm",),
        checks=("transform-copies",),
        uses=("deep copy",),
        reason="the weight that its hook leaves in the module has a history, so the module cannot be deep-copied, "
        "before and after a call; torch.nn.utils.parametrizations:weight_norm can",
        source="pytorch/pytorch#28594, pytorch/pytorch#102981",
        reproduction=WEIGHT_NORM_COPIED,
    ),
    KnownBug(
        targets=("torch:_weight_norm",),
        checks=("onnx-model",),
        ranks=(1,),
        reason="its decomposition takes the length over no axes where a vector has only the axis of units, and no axes "
        "are all of them to the norm: each unit is divided by the length of the whole vector",
        source="observed in torch 2.13; reported nowhere that was found",
        reproduction=WEIGHT_NORM_DECOMPOSED,
    ),
)


def of(target: str, check: str, bugs: Iterable[KnownBug] = ALL) -> KnownBug | None:
    """The known bug that a check of a target finds, if any."""
    place, attribute, _ = split(target)
    return next((bug for bug in bugs if f"{place}:{attribute}" in bug.targets and check in bug.checks), None)


def only(subject: Any, bug: KnownBug) -> Any:
    """The subject, restricted to the cases on which the bug is expected."""
    return _restricted(subject, bug, lambda name, expected: name in expected)


def without(subject: Any, bug: KnownBug) -> Any:
    """The subject, restricted to all other cases."""
    rest = _restricted(subject, bug, lambda name, expected: name not in expected)
    if not bug.strided_parameters:
        return rest
    return replace(rest, domain=replace(rest.domain, own_parameters=False))  # then no case has strided parameters


def _restricted(subject: Any, bug: KnownBug, keeps: Callable[[Any, tuple[Any, ...]], bool]) -> Any:
    domain = subject.domain
    if bug.layouts:
        domain = replace(domain, layouts=tuple(name for name in domain.layouts if keeps(name, bug.layouts)))
    if bug.formats:
        domain = replace(domain, formats=tuple(name for name in domain.formats if keeps(name, bug.formats)))
    if bug.ranks:
        rest = tuple(one for one in domain.ranks[1:] if keeps(one, bug.ranks))
        domain = replace(domain, ranks=(domain.ranks[0], *rest))
    if bug.uses:
        domain = replace(domain, uses=tuple(name for name in domain.uses if keeps(name, bug.uses)))
    if bug.affine:
        domain = replace(domain, affine=tuple(name for name in domain.affine if keeps(name, bug.affine)))
    return replace(subject, domain=domain)
