"""What each worker may use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbench.errors import UsageError
from adbench.launch import slots
from adbench.launch.slots import Slot, make_slots, visible_gpus
from adbench.machine.threads import usable_cores


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Sixteen cores and four GPUs."""
    monkeypatch.setattr(slots, "usable_cores", lambda: list(range(16)))
    monkeypatch.setattr(slots, "_installed_gpus", lambda: ["0", "1", "2", "3"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


def test_a_slot_per_gpu_with_its_share_of_the_cores(machine: pytest.MonkeyPatch) -> None:
    found = make_slots(None, "auto")
    assert [s.gpu for s in found] == ["0", "1", "2", "3"]
    assert [len(s.cores) for s in found] == [4, 4, 4, 4]
    assert sorted(c for s in found for c in s.cores) == list(range(16))


def test_more_slots_than_gpus_share_them_in_turn(machine: pytest.MonkeyPatch) -> None:
    assert [s.gpu for s in make_slots(6, "auto")] == ["0", "1", "2", "3", "0", "1"]


def test_a_chosen_device(machine: pytest.MonkeyPatch) -> None:
    assert [s.gpu for s in make_slots(None, "cuda:2")] == ["2"]
    assert [s.gpu for s in make_slots(None, "cpu")] == [None] * 4
    with pytest.raises(UsageError, match="4 CUDA devices are visible"):
        make_slots(None, "cuda:4")
    with pytest.raises(UsageError, match="unknown device 'tpu'"):
        make_slots(None, "tpu")


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("2,3", ["2", "3"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), ("GPU-8f", ["GPU-8f"])],
)
def test_cuda_visible_devices_is_kept(
    machine: pytest.MonkeyPatch, variable: str, expected: list[str]
) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": variable}) == expected


def test_without_a_gpu_the_variable_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_installed_gpus", lambda: [])
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0"}) == []


@given(st.integers(1, 40), st.integers(1, 12))
def test_cores_are_disjoint_while_they_last(cores: int, count: int) -> None:
    shares = slots._shares(list(range(cores)), count)
    assert len(shares) == count and all(shares)
    if count <= cores:
        assert sorted(c for share in shares for c in share) == list(range(cores))


def test_threads_are_as_many_as_cores_or_fewer_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("MKL_NUM_THREADS", "64")
    environment = Slot("3", (0, 1, 2, 3)).environment()
    assert environment["OMP_NUM_THREADS"] == "2" and environment["MKL_NUM_THREADS"] == "4"
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"


def test_the_whole_machine() -> None:
    assert slots.whole_machine().cores == tuple(usable_cores())
