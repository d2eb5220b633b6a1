"""Training states: small ones are written at once, large ones while training goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adbench.contracts.interruptions import TimeLimitReached
from adbench.errors import StoreError
from adbench.store import checkpoint as module
from adbench.store import files
from adbench.store.checkpoint import FileCheckpoint


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Every state counts as large, and none is written before the gate is open."""
    opened = threading.Event()
    write_archive = files.write_archive

    def write(path: Path, content: Callable[[Any], object]) -> None:
        assert opened.wait(60)
        write_archive(path, content)

    monkeypatch.setattr(module, "BACKGROUND_BYTES", 0)
    monkeypatch.setattr(files, "write_archive", write)
    return opened


def test_a_large_state_is_what_it_was_when_it_was_saved(
    tmp_path: Path, gate: threading.Event
) -> None:
    gate.set()
    checkpoint = FileCheckpoint(tmp_path / "c.pt", 60)
    checkpoint.save({"step": 1, "network": {"weight": torch.zeros(3)}})
    checkpoint.wait()
    gate.clear()
    weight, moments = torch.ones(3), [torch.full((2,), 5.0)]
    state = {"step": 2, "network": {"weight": weight}, "moments": moments}
    checkpoint.save(state)
    weight.add_(7)  # training goes on
    moments[0].zero_()
    state["step"] = 3
    assert not checkpoint.due()
    # A kill now costs what came after the state before.
    assert (FileCheckpoint(tmp_path / "c.pt", 60).load() or {})["step"] == 1
    gate.set()
    checkpoint.wait()
    loaded = FileCheckpoint(tmp_path / "c.pt", 60).load()
    assert loaded is not None and loaded["step"] == 2
    assert loaded["network"]["weight"].tolist() == [1, 1, 1]
    assert loaded["moments"][0].tolist() == [5, 5]


def test_a_small_state_is_on_the_disk_when_save_returns(tmp_path: Path) -> None:
    checkpoint = FileCheckpoint(tmp_path / "c.pt", 60)
    checkpoint.save({"step": 2, "weight": torch.ones(3)})
    assert (FileCheckpoint(tmp_path / "c.pt", 60).load() or {})["step"] == 2


def test_a_refusing_disk_is_told_by_the_next_save_and_by_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: object) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(module, "BACKGROUND_BYTES", 0)
    monkeypatch.setattr(files, "write_archive", full)
    checkpoint = FileCheckpoint(tmp_path / "c.pt", 60)
    checkpoint.save({"step": 1})
    with pytest.raises(StoreError, match="no space left"):
        checkpoint.save({"step": 2})
    checkpoint.save({"step": 3})
    with pytest.raises(StoreError, match="no space left"):
        checkpoint.wait()
    checkpoint.wait()  # told once


def test_saves_are_twenty_times_as_far_apart_as_one_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    write_archive = files.write_archive

    def slow(path: Path, content: Callable[[Any], object]) -> None:
        nonlocal now
        write_archive(path, content)
        now += 9

    monkeypatch.setattr(files, "write_archive", slow)
    seldom, always = FileCheckpoint(tmp_path / "c.pt", 60), FileCheckpoint(tmp_path / "d.pt", 0)
    now = 60
    assert seldom.due() and always.due()
    always.save({})
    assert always.due()
    seldom.save({})
    ended = now
    now = ended + 179
    assert not seldom.due()
    now = ended + 180
    assert seldom.due()


def test_the_last_state_before_the_time_limit_is_waited_for(
    tmp_path: Path, gate: threading.Event
) -> None:
    gate.set()
    checkpoint = FileCheckpoint(tmp_path / "c.pt", 60, deadline=time.monotonic())
    assert checkpoint.due()
    with pytest.raises(TimeLimitReached):
        checkpoint.save({"step": 4})
    assert FileCheckpoint(tmp_path / "c.pt", 60).load() == {"step": 4}


def test_an_owner_that_lost_its_claim_while_it_wrote_replaces_nothing(
    tmp_path: Path, gate: threading.Event
) -> None:
    lost: list[bool] = []

    def require() -> None:
        if lost:
            raise StoreError("the claim is lost")

    checkpoint = FileCheckpoint(tmp_path / "c.pt", 60, before_save=require)
    checkpoint.save({"step": 1})
    lost.append(True)
    gate.set()
    with pytest.raises(StoreError, match="the claim is lost"):
        checkpoint.wait()
    assert not list(tmp_path.iterdir())
