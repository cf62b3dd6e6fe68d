"""Families other than the main one in processes of their own, and replies that no honest process sends."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.errors import LostError
from normcheck.core.events import outcomes_of
from normcheck.core.limits import Isolation, Limits
from normcheck.core.result import Outcome
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS
from normcheck.frameworks.isolation import process, remote_process, replies, typed, wire
from normcheck.frameworks.isolation.remote_subject import PLAIN

ISOLATED = Settings("quick", isolate=Isolation(Limits(60.0)))


def outcomes(claim: str, settings: Settings, names: tuple[str, ...] = ()) -> list[Outcome]:
    """The outcomes of the checks with these names, or of all."""
    checks = [one for one in CHECKS if not names or one.name in names]
    return list(outcomes_of(events(claims([claim], {}), settings, checks)))


def some(kind: str) -> tuple[str, ...]:
    """Four checks of a kind, from the first to the last."""
    every = [check.name for check in CHECKS if check.concerns(families.get(kind))]
    return tuple(every[i * (len(every) - 1) // 3] for i in range(4))


@pytest.mark.parametrize(
    "claim",
    [
        "zca_whitening=normcheck.implementations.whitening:ZCAWhitening",
        "path_sgd=normcheck.implementations.path_sgd:PathSGD",
        "natural_neural_network=normcheck.implementations.refreshed:NaturalLinear",
        "recurrent_layer_norm=normcheck.implementations.recurrent:LNLSTM",
        "batch_norm_rnn=normcheck.implementations.recurrent:FrameBatchNormRNN",
        "l2_norm=normcheck.implementations.defined:l2_norm",
        "batch_renorm=normcheck.implementations.defined:BatchRenorm",
        "orthogonal_parametrization=normcheck.implementations.orthogonal:orthogonal",
    ],
)
def test_isolated_answers_are_the_same_answers(claim: str) -> None:
    names = some(claim.partition("=")[0])

    def records(settings: Settings) -> list[dict[str, Any]]:
        return [{k: v for k, v in one.record().items() if k != "seconds"} for one in outcomes(claim, settings, names)]

    found = records(ISOLATED)
    assert found == records(Settings("quick"))
    assert sum(one["compared"] for one in found) > 0
    assert not [one for one in found if one["status"] == "error"]


LAYER = """
import os, time
from normcheck.implementations.whitening import ZCAWhitening
class Mine(ZCAWhitening):
    def forward(self, x):
        {act}
        return super().forward(x)
"""


@pytest.mark.parametrize(
    ("act", "says"),
    [
        ("os.abort()", "its process was ended by SIGABRT"),
        ("os._exit(0)", "it ends its process with status 0"),
        ("time.sleep(3600)", "it does not respond within 6 s (when it is imported and bound)"),
        ("os.umask(0)", "it changes the umask"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
    ],
)
def test_what_happened_is_named_in_every_family(tmp_path: Path, act: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(LAYER.format(act=act))
    settings = Settings("quick", isolate=Isolation(Limits(2.0, 1.0)))
    (bound, *rest) = outcomes(f"zca_whitening={tmp_path}/mine.py:Mine", settings, some("zca_whitening"))

    assert bound.status == "error"
    assert says in bound.reason
    assert {one.status for one in rest} <= {"skipped"}


def test_a_subject_of_every_family_has_its_forms() -> None:
    """What binding and each function of a subject give can be read, or is an object whose methods' results can."""
    for family in families.FAMILIES:
        if family.isolate is not None:
            continue
        assert family.subject is not None
        for name, hint in get_type_hints(family.subject).items():
            if name == "domain":
                assert typed.form_of(hint)
            elif name not in PLAIN:
                returned = get_args(hint)[1]
                assert typed.is_object(returned) or typed.form_of(returned), (family, name)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, 1), (bool, 1), (int, True), (int, 1 << 63), (float, "1"), (float, 10**400), (type(None), 0),
        (int | str, 1.5), (frozenset[str], [1]), (tuple[int, ...] | None, [1, "2"]), (tuple[int, ...], [1, "2"]),
        (tuple[int, ...], 3), (np.ndarray[Any, Any], [1.0]), (int | None, "x"),
        (replies.State, {"mean": np.zeros(1)}), (replies.State, None),
    ],
)  # fmt: skip
def test_what_has_not_the_form_of_an_annotation_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(wire.WireError):
        typed.form_of(kind)(value)


def test_no_form_follows_from_a_function() -> None:
    with pytest.raises(TypeError, match="no form follows"):
        typed.form_of(set[int])


# Replies that no honest process sends

JUNK = (
    None, True, 0, -1, 1, 7, 2**31, 10**30, 1.5, float("nan"), float("inf"), "", "x", "float32", "both", [], {}, [1],
    [None], ["x"], [[1, 2]], {"a": 1}, np.zeros(0), np.zeros((3, 3)), np.array(np.nan),
)  # fmt: skip


class Forger:
    """A worker in this process, in whose replies one part is replaced now and then."""

    rng, rate, at_first = random.Random(0), 0.0, False

    def __init__(self, limits: Limits) -> None:
        self._requests = process._Requests()

    def request(self, request: tuple[Any, ...], seconds: float) -> dict[str, Any]:
        record = process._run_request(self._requests, request)
        if (self.at_first and request[0] in ("load", "bind")) or self.rng.random() < self.rate:
            record = _put(record, self.rng.choice(list(_places(record))), self.rng.choice(JUNK))
        try:
            return wire.decode(wire.encode(record))
        except (wire.WireError, TypeError, AttributeError):  # what cannot be sent at all
            raise LostError("it sent an invalid response") from None

    def end(self) -> None:
        pass

    def kill(self) -> None:
        pass


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(item, (*place, key))


def _put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    first, *rest = place
    if isinstance(value, dict):
        return value | {first: _put(value[first], tuple(rest), new)}
    return [_put(one, tuple(rest), new) if i == first else one for i, one in enumerate(value)]


@sweep(("at_first", "count"), [(True, 20), (True, 80), (False, 8), (False, 24)], group=lambda one: one[0])
def test_forged_replies_never_raise_in_the_judge(monkeypatch: pytest.MonkeyPatch, at_first: bool, count: int) -> None:
    """Each of them is refused by its form, or judged as any result; of the main family none has to be caught later."""
    monkeypatch.setattr(remote_process, "Worker", Forger)
    monkeypatch.setattr(Forger, "at_first", at_first)
    monkeypatch.setattr(Forger, "rate", 0.0 if at_first else 0.03)
    targets = (
        "layer_norm=torch.nn.functional:layer_norm", "batch_norm=torch.nn:BatchNorm1d",
        "weight_norm=torch.nn.utils.parametrizations:weight_norm", "group_norm=torch.nn:GroupNorm",
    )  # fmt: skip
    refused = 0
    for seed in range(count):
        monkeypatch.setattr(Forger, "rng", random.Random(seed))
        claim = targets[seed % len(targets)]
        names = [one.name for one in CHECKS if one.concerns(families.get(claim.partition("=")[0]))]
        found = outcomes(claim, ISOLATED, tuple(random.Random(seed).sample(names, 4)))
        reasons = [one.reason for one in found if one.status == "error"]
        refused += any("it sent an invalid response" in one for one in reasons)
        assert not [one for one in reasons if "cannot be judged" in one], (seed, reasons)
    assert refused > count // 4


def test_forged_replies_of_other_families_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_process, "Worker", Forger)
    monkeypatch.setattr(Forger, "rate", 0.05)
    refused = 0
    for seed in range(12):
        monkeypatch.setattr(Forger, "rng", random.Random(seed))
        claim = "natural_neural_network=normcheck.implementations.refreshed:NaturalLinear"
        found = outcomes(claim, ISOLATED, some("natural_neural_network"))
        refused += any(one.status == "error" for one in found)
    assert refused > 6


def test_an_implementation_has_a_limit_on_its_whole_time(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import time, torch\n"
        "def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):\n"
        "    time.sleep(0.02)\n"
        "    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)\n"
    )
    settings = Settings("quick", isolate=Isolation(Limits(30.0, 1.0, total=4.0)))
    found = outcomes(f"layer_norm={tmp_path}/mine.py:f", settings, ("value", "moments", "input-gradient", "sign"))
    reasons = " ".join(one.reason for one in found if one.status == "error")

    assert "it takes more than 4 s in all" in reasons
    assert "it is not called again" in reasons
