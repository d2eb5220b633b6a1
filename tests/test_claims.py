"""Claims: one owner a cell, dead owners replaced at once, live ones respected."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from takers import take

from adbench import claims
from adbench.claims import ClaimWatch, host_identity, process_start


def _owner(**changes: object) -> str:
    owner = {
        "host": host_identity(),
        "pid": os.getpid(),
        "start": process_start(os.getpid()),
        "beat": 0,
    }
    return json.dumps(owner | changes)


def _dead_pid() -> int:
    return int(
        subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
        ).stdout
    )


def test_a_claim_is_exclusive_until_released(tmp_path: Path) -> None:
    first = ClaimWatch().try_claim(tmp_path)
    assert first is not None and ClaimWatch().try_claim(tmp_path) is None
    first.release()
    assert list(tmp_path.iterdir()) == []
    second = ClaimWatch().try_claim(tmp_path)
    assert second is not None
    second.release()


def test_a_dead_owner_of_this_host_is_replaced_at_once(tmp_path: Path) -> None:
    (tmp_path / "claim.1").write_text(_owner(pid=_dead_pid()))
    claim = ClaimWatch().try_claim(tmp_path)
    assert claim is not None and claim.generation == 2 and claim.is_ours()
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_a_reused_pid_does_not_keep_a_dead_claim_alive(tmp_path: Path) -> None:
    (tmp_path / "claim.1").write_text(_owner(start="1"))
    claim = ClaimWatch().try_claim(tmp_path)
    assert claim is not None
    claim.release()


def test_another_hosts_claim_waits_for_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.2)
    path = tmp_path / "claim.1"
    path.write_text(_owner(host="elsewhere", beat=1))
    watch = ClaimWatch()
    assert watch.try_claim(tmp_path) is None
    time.sleep(0.25)
    path.write_text(_owner(host="elsewhere", beat=2))
    assert watch.try_claim(tmp_path) is None, "it has moved since the last look"
    time.sleep(0.25)
    claim = watch.try_claim(tmp_path)
    assert claim is not None
    claim.release()


def test_an_owner_that_was_replaced_knows_it(tmp_path: Path) -> None:
    claim = ClaimWatch().try_claim(tmp_path)
    assert claim is not None and claim.is_ours()
    (tmp_path / "claim.2").write_text(_owner())
    assert not claim.is_ours()
    claim.release()
    assert [p.name for p in tmp_path.iterdir()] == ["claim.2"]


def test_of_many_takers_of_a_dead_claim_one_wins(tmp_path: Path) -> None:
    (tmp_path / "claim.1").write_text(_owner(pid=_dead_pid()))
    context = multiprocessing.get_context("spawn")
    won: multiprocessing.Queue[int] = context.Queue()
    start = time.monotonic() + 2.0
    takers = [context.Process(target=take, args=(tmp_path, start, won)) for _ in range(6)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert won.qsize() == 1
    won.close()
