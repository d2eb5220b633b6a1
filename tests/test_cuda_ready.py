"""What is decided for a GPU, as far as it can be seen without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from fits import make_context
from torch import nn

from adbench.machine.devices import choose_precision, exact_float32
from adbench.methods.diffusion import cosine_scheduler, ddim_step
from adbench.methods.features import FeatureExtractor, batches
from adbench.methods.training import accumulate_gradients


@pytest.mark.parametrize(("hardware", "expected"), [(True, "bf16"), (False, "fp32")])
def test_bf16_is_chosen_where_the_device_itself_has_it(
    monkeypatch: pytest.MonkeyPatch, hardware: bool, expected: str
) -> None:
    asked: list[str] = []

    @contextmanager
    def device(name: str) -> Iterator[None]:
        asked.append(name)
        yield

    def supported(including_emulation: bool = True) -> bool:
        return hardware or including_emulation

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert choose_precision("cuda:1") == expected
    assert asked == ["cuda:1"]


def test_float32_is_float32_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(torch.backends.cudnn, "conv"):
        places = [torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul]
        before = [place.fp32_precision for place in places]
        try:
            for place in places:
                place.fp32_precision = "tf32"
            exact_float32()
            assert [place.fp32_precision for place in places] == ["ieee"] * 3
        finally:
            for place, value in zip(places, before, strict=True):
                place.fp32_precision = value
    else:
        exact_float32()
        assert not torch.backends.cudnn.allow_tf32


def test_features_of_another_kind_of_device_are_others() -> None:
    extractor = FeatureExtractor("tf_efficientnet_lite0", "package", 8)
    here = extractor.key
    assert extractor.key == here
    assert extractor.to("meta").key != here


def test_features_stay_on_a_gpu_where_they_take_half_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, calls = np.zeros((4, 2, 2, 8), np.float32), []
    free = 0

    def information(device: str) -> tuple[int, int]:
        calls.append("look")
        return free, 10**9

    def moved(content: Any, device: str) -> torch.Tensor:
        calls.append("move")
        return torch.from_numpy(content)

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", information)
    monkeypatch.setattr(torch, "tensor", moved)
    free = 2 * features.nbytes - 1
    batches(features, "cuda:0")
    free += 1
    batches(features, "cuda:0")
    assert calls == ["empty", "look", "empty", "look", "move"]


def test_a_reverse_step_reads_no_number_from_the_samples_device() -> None:
    sample, output = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    expected = ddim_step(cosine_scheduler(), output, 300, 200, sample)
    scheduler = cosine_scheduler()
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to("meta")  # as `add_noise` moves it
    found = ddim_step(scheduler, output, 300, 200, sample)
    assert torch.equal(found.prev_sample, expected.prev_sample)


def test_members_of_a_team_exchange_no_constants() -> None:
    sent: list[int] = []

    class Alone:
        rank, size = 0, 1

        def sum(self, tensor: torch.Tensor) -> None:
            sent.append(tensor.numel())

    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    network.register_buffer("mask", torch.zeros(100, 100))

    def loss(indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        result: torch.Tensor = network(torch.randn(len(indices), 2)).sum()
        return result

    accumulate_gradients(loss, network, torch.arange(4), 0, make_context(team=Alone()))
    # The loss, what was used of 4 parameters, their 10 gradients, 2 means and 2 variances.
    assert sent == [1 + 4 + 10 + 4]
