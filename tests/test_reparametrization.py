"""The life of a transformed module: torch's two transforms live it, and code that forgets a part of it is found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.claim import Implementation
from normcheck.core.result import FAILED, PASSED, SKIPPED
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME
from normcheck.families import bind as subject
from normcheck.frameworks import known_bugs
from normcheck.normalizers import faults
from normcheck.normalizers.checks import reparametrization
from normcheck.normalizers.sampling.space import edges

TORCH = ("torch.nn.utils:weight_norm", "torch.nn.utils.parametrizations:weight_norm")


class Hook:
    """Before each forward: weight = g v / |v|."""

    def __init__(self, dim):
        self.dim = dim

    def norm(self, v):
        if self.dim is None:
            return v.norm()
        axes = [a for a in range(v.dim()) if a != self.dim]
        return v.norm(dim=axes, keepdim=True) if axes else v.abs()

    def weight(self, module):
        return module.weight_v * (module.weight_g / self.norm(module.weight_v))

    def __call__(self, module, inputs):
        module.weight = self.weight(module)


def split(module, hook, *, one=False):
    """The weight becomes v and g."""
    v = module.weight.data
    del module._parameters["weight"]
    module.weight_v = torch.nn.Parameter(v.clone())
    g = hook.norm(v)
    module.weight_g = torch.nn.Parameter(torch.ones_like(g) if one else g)
    module.weight = hook.weight(module)
    return module


def right(module, dim=0):
    hook = Hook(dim)
    split(module, hook).register_forward_pre_hook(hook)
    module.register_forward_hook(leaves_no_history)
    leaves_no_history(module)
    return module


def leaves_no_history(module, *_):
    """A weight with a history cannot be deep-copied."""
    module.weight = module.weight.detach()


def begins_with_one(module, name="weight", dim=0):
    hook = Hook(dim)
    split(module, hook, one=True).register_forward_pre_hook(hook)
    return module


class Versioned(Hook):
    """Computes the weight anew where v and g are other tensors or a forward writes to them; a step by hand does not."""

    kept = None

    def __call__(self, module, inputs):
        now = (module.weight_v.data_ptr(), float(module.weight_v.detach().abs().max()))
        if self.kept != now:
            module.weight = self.weight(module)
        self.kept = now


def keeps_by_largest(module, name="weight", dim=0):
    hook = Versioned(dim)
    split(module, hook).register_forward_pre_hook(hook)
    return module


def ignores_a_state(module, name="weight", dim=0):
    hook = Hook(dim)
    split(module, hook).register_forward_pre_hook(hook)
    module._load_from_state_dict = lambda *args: None
    return module


def leaves_the_weight(module, name="weight", dim=0):
    """The hook goes where a parameter cannot be assigned a tensor: the weight is written in place."""
    w = module.weight
    hook = Hook(dim)
    split(module, hook)
    del module.weight
    module.weight = w

    class Reads(type(module)):
        def forward(self):
            return hook.weight(self)

    module.__class__ = Reads
    return module


def outcome_of(target, check):
    (claim,) = claims([("weight_norm", target)], {})
    return Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME[check])


@pytest.mark.parametrize("check", [check.name for check in reparametrization.CHECKS])
@pytest.mark.parametrize("target", TORCH)
def test_torchs_transforms_live_it(target: str, check: str) -> None:
    """Both transforms, over many seeds, along every dim and at every rank that they take."""
    found = subject(Implementation("weight_norm", target))
    bug = known_bugs.of(target, check)
    if bug is not None:
        assert CHECKS_BY_NAME[check].lacks(known_bugs.without(found, bug)), "nothing of the check is without the bug"
        found = known_bugs.only(found, bug)
    some = (
        *edges(CHECKS_BY_NAME[check].space, found.normalizer, found.domain),
        *draws(found, CHECKS_BY_NAME[check], 60, 3),
    )
    outcome = run_check(found, CHECKS_BY_NAME[check], some)

    assert outcome.status == (PASSED if bug is None else FAILED), outcome.finding
    assert outcome.absent == {}


@pytest.mark.parametrize("target", TORCH)
def test_what_torchs_transforms_refuse(target: str) -> None:
    """A copy by pickle or deepcopy is refused, as torch documents or its issues report, and nothing else fails."""
    outcome = outcome_of(target, "copies")

    assert outcome.status == PASSED, outcome.finding
    assert set(outcome.absent) == {"pickle" if "parametrizations" in target else "deep copy"}


def test_the_known_bug_is_in_plain_torch() -> None:
    (bug,) = (one for one in known_bugs.ALL if "transform-copies" in one.checks)
    with pytest.warns(FutureWarning), pytest.raises(RuntimeError, match="deepcopy protocol"):
        exec(bug.reproduction, {})


@pytest.mark.parametrize(
    ("transform", "check"),
    [
        (begins_with_one, "transform-keeps-weight"),
        (keeps_by_largest, "transform-after-step"),
        (ignores_a_state, "transform-after-loading"),
        (leaves_the_weight, "transform-parameters"),
    ],
)
def test_a_wrong_life_is_found(transform, check: str) -> None:
    """Each passes as a formula, or nearly, and fails in the part of its life that it forgets."""
    assert outcome_of(transform, check).status == FAILED


STRANGERS = Path(__file__).parent / "user_code" / "strangers" / "wrong" / "hooks.py"


@pytest.mark.parametrize(
    ("name", "check", "detail"),
    [
        ("hook_in_training", "transform-evaluation", ""),
        ("hook_leaves_graph", "transform-copies", "raised RuntimeError"),
        ("dim_ignored", "transform-options", "for a weight of shape"),
        ("name_ignored", "transform-options", "an optimizer lacks the weight and is also given 'weight_hh_l0'"),
        ("returns_nothing", "transform-parameters", "it returned None"),
        ("swapped_parameters", "transform-parameters", "the length is float32"),
    ],
)
def test_strangers_transforms(name: str, check: str, detail: str) -> None:
    """Each is right where a test sets v and g and calls the module once."""
    finding = outcome_of(f"{STRANGERS}:{name}", check).finding

    assert finding is not None
    assert detail in finding.detail


def closed_over(module, dim=0):
    """The hook reads v and g of the module that was transformed, also in a copy."""
    hook = Hook(dim)
    split(module, hook)

    def compute(copied, inputs):
        copied.weight = hook.weight(module)

    module.register_forward_pre_hook(compute)
    module.register_forward_hook(leaves_no_history)
    leaves_no_history(module)
    return module


def test_a_copy_that_computes_from_its_original_is_found() -> None:
    finding = outcome_of(closed_over, "transform-copies").finding

    assert finding is not None
    assert "of a deep copy" in finding.law


def rows_alone(module, name="weight", dim=0):
    """Refuses what it does not do."""
    if dim != 0 or name != "weight":
        raise NotImplementedError("rows of the weight alone")
    return right(module)


def test_options_that_are_refused_are_no_finding() -> None:
    outcome = outcome_of(rows_alone, "transform-options")

    assert outcome.status == PASSED, outcome.finding
    assert set(outcome.absent) == {"dim=1", "dim=None", "name='weight_hh_l0'"}


def test_what_an_optimizer_should_not_see_is_named() -> None:
    finding = outcome_of(leaves_the_weight, "transform-parameters").finding

    assert finding is not None
    assert finding.detail == "an optimizer is also given 'weight'"


def test_a_right_transform_without_removal() -> None:
    """Nothing here removes the transform, so its removal is reported as not offered."""
    for check in reparametrization.CHECKS:
        wanted = SKIPPED if check.name == "transform-removal" else PASSED
        outcome = outcome_of(right, check.name)
        assert outcome.status == wanted, (check.name, outcome.finding)
    assert outcome_of(right, "transform-removal").absent == {
        "removal of the transform": "its module has no function named remove_*"
    }


REMOVES = """
import torch

class Hook:
    def __call__(self, module, inputs):
        v = module.weight_v
        module.weight = v * (module.weight_g / v.norm(dim=1, keepdim=True))

def normed(module, name="weight"):
    v = module.weight.data
    del module._parameters["weight"]
    module.weight_v = torch.nn.Parameter(v)
    module.weight_g = torch.nn.Parameter(v.norm(dim=1, keepdim=True))
    module.hook = module.register_forward_pre_hook(Hook())
    Hook()(module, ())
    return module

def remove_normed(module):
    w = module.{kept}.data
    module.hook.remove()
    del module.weight, module.weight_v, module.weight_g
    module.weight = torch.nn.Parameter(w)
"""


@pytest.mark.parametrize(("kept", "status"), [("weight", PASSED), ("weight_v", FAILED)])
def test_removal_by_a_function_beside_it(kept: str, status: str, tmp_path) -> None:
    """A function remove_* in the same module is the transform's own; one that leaves v is found."""
    path = tmp_path / "mine.py"
    path.write_text(REMOVES.replace("{kept}", kept))

    assert outcome_of(f"{path}:normed", "transform-removal").status == status


def test_functions_are_not_asked() -> None:
    """A function of v and g has no module's life."""
    outcome = outcome_of(lambda v, g, dim=0: torch._weight_norm(v, g, dim), "transform-removal")

    assert (outcome.status, outcome.reason) == (SKIPPED, "no transform of a module")


@pytest.mark.parametrize("name", [fault.name for fault in faults.reparametrization.FAULTS])
def test_one_check_finds_each_fault(name: str) -> None:
    """Each part of the life has its own check."""
    normalizer = families.get("weight_norm")
    wrong = faults.subject(normalizer, faults.get(name))
    found = [c.name for c in reparametrization.CHECKS
             if run_check(wrong, c, edges(c.space, normalizer, wrong.domain)).status == FAILED]  # fmt: skip

    assert len(found) == 1


@pytest.mark.parametrize("check", [check.name for check in reparametrization.CHECKS])
def test_the_reference_lives_it(check: str) -> None:
    right_one = faults.subject(families.get("weight_norm"))

    assert run_check(right_one, CHECKS_BY_NAME[check], draws(right_one, CHECKS_BY_NAME[check], 60, 5)).status == PASSED
