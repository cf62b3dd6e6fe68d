"""Divided normalizers in JAX: functions of one shard, mapped over devices. Right ones pass, faults are named."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from asked import CODE, Asked

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError
from normcheck.core.result import FAILED, PASSED, SKIPPED
from normcheck.families.synchronized.jax import devices

RIGHT = ("sync-output", "sync-input-gradient", "sync-parameter-gradients")


@pytest.mark.parametrize(
    ("kind", "name", "more"),
    [
        ("sync_batch_norm", "sync_batch_norm", ("sync-running", "sync-evaluation")),
        ("tensor_parallel_rms_norm", "rms_norm_of_a_divided_width", ()),
        ("tensor_parallel_layer_norm", "layer_norm_of_a_divided_width", ()),
        ("sequence_parallel_rms_norm", "rms_norm_of_divided_rows", ()),
    ],
)
def test_right_functions_pass(kind: str, name: str, more: tuple[str, ...]) -> None:
    found = Asked(f"{kind}={CODE}/mapped_right.py:{name}").ask(*RIGHT, *more)

    assert [(one.check, one.reason, one.finding) for one in found if one.status != PASSED] == []
    assert all(one.compared for one in found)


@pytest.mark.parametrize(
    ("kind", "name", "check", "fault"),
    [
        ("sync_batch_norm", "without_psum", "sync-output", "sync-local-statistics"),
        ("sync_batch_norm", "mean_of_variances", "sync-output", "sync-mean-of-variances"),
        ("sync_batch_norm", "constant_statistics", "sync-input-gradient", "sync-statistics-constant"),
        ("sync_batch_norm", "running_of_the_shard", "sync-agreement", "sync-running-local"),
        ("tensor_parallel_rms_norm", "local_count", "sync-output", "sync-own-count"),
        (
            "sequence_parallel_rms_norm",
            "weight_summed_again",
            "sync-parameter-gradients",
            "sync-parameters-summed-again",
        ),
    ],
)
def test_wrong_functions_are_found_and_named(kind: str, name: str, check: str, fault: str) -> None:
    (found,) = Asked(f"{kind}={CODE}/mapped_wrong.py:{name}").ask(check)

    assert found.status == FAILED
    assert found.diagnosis[0] == fault


def test_what_a_mapped_function_is_not_asked_is_said() -> None:
    found = Asked(f"sequence_parallel_rms_norm={CODE}/mapped_right.py:rms_norm_of_divided_rows").ask(
        "sync-groups", "sync-wrapped"
    )

    assert [(one.status, one.reason) for one in found] == [
        (SKIPPED, "a function is mapped over one named axis"),
        (SKIPPED, "is code of JAX, and these are wrappers of torch"),
    ]


@pytest.mark.parametrize(
    ("name", "declared", "says"),
    [
        ("mapped_wrong.py:Layer", {}, "name a function of one shard"),
        ("mapped_right.py:rms_norm_of_divided_rows", {"tensors": "dtensor"}, "are no DTensors"),
    ],
)
def test_what_cannot_be_bound_is_said_in_a_sentence(name: str, declared: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        families.bind(Implementation("sequence_parallel_rms_norm", f"{CODE}/{name}", declared))

    assert "\n" not in str(error.value)


def test_more_devices_than_there_are_is_said_with_what_to_set() -> None:
    with pytest.raises(UsageError, match=f"99 devices are needed .* set XLA_FLAGS={devices.FLAG}="):
        devices.mesh(99, "ranks")


def test_jax_is_started_with_enough_devices() -> None:
    """In a process in which nobody has set the flag, and without torch."""
    code = (
        "import sys; from normcheck.families.synchronized.jax import devices; "
        "print(devices.mesh(4, 'ranks').size, 'torch' in sys.modules)"
    )
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    run = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["4", "False"]
