"""What is known to be wrong in torch itself, by target: data with a reason and a reproduction, nobody's special case.

The law stays as it is, and the same behavior in any other target is a finding. Where an expected finding is gone,
the check says so: a stale entry is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from normcheck.normalizers.subject import Subject

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


@dataclass(frozen=True, slots=True)
class KnownBug:
    """A finding that is expected of certain targets, where arrays lie so or these parameters are given."""

    targets: tuple[str, ...]
    checks: tuple[str, ...]
    reason: str
    source: str
    reproduction: str
    layouts: tuple[str, ...] = ()  # of the input; empty: whatever it is
    affine: tuple[str, ...] = ()  # which parameters are given; empty: whichever
    strided_parameters: bool = False  # where parameters may be other than contiguous


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
        reason="on the CPU channels-last input takes a path with one-pass variance: 0.4 off at an offset of 1000 in "
        "float32, where contiguous input is 5e-5 off",
        source="pytorch/pytorch#49821 (the path), pytorch/pytorch#54293 (the same in the contiguous path, mended)",
        reproduction=GROUP_NORM_CHANNELS_LAST,
    ),
    KnownBug(
        targets=("torch.nn.functional:batch_norm", "torch:batch_norm"),
        checks=("layout-pairs",),
        strided_parameters=True,
        reason="on the CPU the backward reads a strided weight as if it were contiguous, where input and cotangent are "
        "channels last or have two axes: dx takes the numbers between its entries",
        source="pytorch/pytorch#64100 (the same kernel in sync batch norm, where it took the input for channels last)",
        reproduction=BATCH_NORM_WEIGHT_STRIDE,
    ),
    KnownBug(
        targets=("torch.nn.functional:group_norm", "torch:group_norm"),
        checks=("parameter-grid",),
        affine=("bias",),
        reason="with a bias and no weight the backward raises: it forms a gradient of the weight that is not there",
        source="pytorch/pytorch#79705 (the same combination in layer norm, second order)",
        reproduction=GROUP_NORM_WITHOUT_WEIGHT,
    ),
)


def of(target: str, check: str, entries: Iterable[KnownBug] = ALL) -> KnownBug | None:
    """The entry for a check of a target, if there is one."""
    return next((e for e in entries if target in e.targets and check in e.checks), None)


def only(subject: Subject, entry: KnownBug) -> Subject:
    """The subject as asked where the finding is expected."""
    return _narrowed(subject, entry, lambda name, expected: name in expected)


def without(subject: Subject, entry: KnownBug) -> Subject:
    """The subject as asked everywhere else."""
    rest = _narrowed(subject, entry, lambda name, expected: name not in expected)
    if not entry.strided_parameters:
        return rest
    return replace(rest, domain=replace(rest.domain, own_parameters=False))  # nobody else lays them out


def _narrowed(subject: Subject, entry: KnownBug, keeps: Callable[[str, tuple[str, ...]], bool]) -> Subject:
    domain = subject.domain
    if entry.layouts:
        domain = replace(domain, layouts=tuple(name for name in domain.layouts if keeps(name, entry.layouts)))
    if entry.affine:
        domain = replace(domain, affine=tuple(name for name in domain.affine if keeps(name, entry.affine)))
    return replace(subject, domain=domain)
