"""A CUDA device that is none: its clock, events and caches, and where cases lie. No machine of ours has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from normcheck import families
from normcheck.bench import torch_device
from normcheck.bench.torch_device import Cuda
from normcheck.core.device import DEVICE
from normcheck.core.errors import UsageError
from normcheck.frameworks.torch.tensors import array, given
from normcheck.normalizers.sampling.recipes import Draw, values


class Fake:
    """Streams with work queued on them, in milliseconds; a call returns before its work is done."""

    L2_cache_size = 1 << 20

    def __init__(self, devices: int = 1) -> None:
        self.done, self.queued, self.devices, self.said = 0.0, {"own": 0.0, "side": 0.0}, devices, []

    def is_available(self) -> bool:
        return self.devices > 0

    def device_count(self) -> int:
        return self.devices

    def get_device_properties(self, name: str) -> Fake:
        return self

    def launch(self, stream: str, milliseconds: float) -> None:
        self.queued[stream] += milliseconds

    def synchronize(self, *which: Any) -> None:
        """All streams are waited for, as they run side by side."""
        self.done += max(self.queued.values())
        self.queued = dict.fromkeys(self.queued, 0.0)
        self.said.append("synchronize")

    def Event(self, *, enable_timing: bool) -> Event:
        assert enable_timing
        return Event(self)

    def zeros(self, count: int, device: str) -> Zeros:
        return Zeros(self, count, device)


class Event:
    def __init__(self, cuda: Fake) -> None:
        self.cuda = cuda

    def record(self) -> None:
        self.at = self.cuda.done + self.cuda.queued["own"]

    def synchronize(self) -> None:
        self.cuda.said.append("event")

    def elapsed_time(self, last: Event) -> float:
        return last.at - self.at


class Zeros:
    def __init__(self, cuda: Fake, count: int, device: str) -> None:
        self.cuda, self.count, self.device = cuda, count, device

    def add_(self, _: float) -> None:
        self.cuda.said.append(f"wrote {4 * self.count} bytes on {self.device}")


def made(cuda: Fake) -> Cuda:
    return Cuda("cuda:0", cuda, cuda.zeros, cuda.Event, cuda.synchronize)


def timed(work: Callable[[Fake], None]) -> float:
    cuda = Fake()
    return made(cuda).elapsed(lambda: work(cuda))[1]


def test_a_call_is_timed_until_its_work_is_done() -> None:
    assert timed(lambda cuda: cuda.launch("own", 3.0)) == pytest.approx(3e-3)


def test_work_on_another_stream_is_in_the_time() -> None:
    """The cheat that events on one stream do not see (KernelBench#82)."""
    assert timed(lambda cuda: cuda.launch("side", 5.0)) == pytest.approx(5e-3)


def test_work_of_before_is_not_in_the_time() -> None:
    cuda = Fake()
    cuda.launch("side", 100.0)

    assert made(cuda).elapsed(lambda: cuda.launch("own", 2.0))[1] == pytest.approx(2e-3)


def test_its_clock_waits_for_the_device() -> None:
    cuda = Fake()
    cuda.launch("own", 1.0)
    made(cuda).clock()

    assert cuda.done == 1.0


def test_cold_means_that_more_than_the_last_cache_is_written() -> None:
    cuda = Fake()
    found = made(cuda)
    found.evict()
    found.evict()

    assert found.caches()[-1].bytes == 1 << 20
    assert cuda.said == ["wrote 2097152 bytes on cuda:0"] * 2


@pytest.mark.parametrize(
    ("name", "devices", "said"),
    [
        ("cuda", 0, "there is no such CUDA device, torch sees none on this machine; leave the option out for cpu"),
        ("cuda:3", 2, "there is no such CUDA device, torch sees 2 of them"),
        ("tpu", 1, "known are cpu, cuda and cuda:N"),
        ("cuda:x", 1, "known are cpu, cuda and cuda:N"),
        ("cpu:1", 1, "known are cpu, cuda and cuda:N"),
    ],
)
def test_a_device_that_is_not_there_is_said(name: str, devices: int, said: str) -> None:
    with pytest.raises(UsageError, match=f"--norm-device {name}: {said}"):
        torch_device.find_device(name, Fake(devices))


def test_a_device_that_is_there_is_found() -> None:
    assert torch_device.find_device("cuda:1", Fake(2)).name == "cuda:1"
    assert torch_device.find_device("cpu", Fake(0)) is torch_device.HOST


def test_cases_lie_on_the_device() -> None:
    """Told by the device of torch that computes nothing."""
    case = values(families.get("layer_norm"), Draw(n=8, sets=4, format="float32"))
    token = DEVICE.set("meta")
    try:
        x = given(case.x, case, "x")
        strided = given(case.but(layouts={"x": "transposed"}).x, case.but(layouts={"x": "transposed"}), "x")
    finally:
        DEVICE.reset(token)

    assert x is not None
    assert strided is not None
    assert x.device.type == strided.device.type == "meta"


def test_an_array_comes_back_in_memory_of_its_own() -> None:
    value = torch.ones(3)
    found = array(value)
    value.zero_()

    assert np.array_equal(found, np.ones(3))


def test_a_replaced_clock_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch_device.replaced_clock() == ""

    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)

    assert torch_device.replaced_clock() == "torch.cuda.synchronize"


def test_a_gpu_of_this_machine_times_layer_norm() -> None:
    """Events, streams and caches for real, where there is a GPU."""
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU: CUDA is tested on a simulated device alone")
    real = torch_device.find_device("cuda")
    x = torch.randn(512, 768, device="cuda")
    real.evict()

    assert 0.0 < real.elapsed(lambda: torch.nn.functional.layer_norm(x, (768,)))[1] < 1.0
