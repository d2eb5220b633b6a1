"""Claims: one owner a cell, dead owners replaced at once, live ones respected."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ends import until
from takers import take

from adbench.contracts.interruptions import ClaimLost
from adbench.store import claims
from adbench.store.claims import ClaimWatch
from adbench.store.owners import host_identity, process_start


def _owner(**changes: object) -> str:
    owner = {
        "host": host_identity(),
        "pid": os.getpid(),
        "start": process_start(os.getpid()),
        "token": "somebody else's",
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
    path.write_text(_owner(host="elsewhere"))
    watch = ClaimWatch()
    assert watch.try_claim(tmp_path) is None
    time.sleep(0.25)
    os.utime(path, (0, 0))  # its clock may be decades behind: a change is a sign of life
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
    with pytest.raises(ClaimLost):
        claim.require()
    claim.release()
    assert (tmp_path / "claim.2").exists(), "only its owner may remove it"


def test_a_heartbeat_touches_the_claim_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    claim = ClaimWatch().try_claim(tmp_path)
    assert claim is not None
    os.utime(claim.path, (0, 0))
    until(lambda: claim.path.stat().st_mtime > 0, 10)
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_a_paused_owner_neither_revives_nor_removes_what_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A is taken over by B, who is done; C has a new claim under A's old name; A wakes up."""
    paused = ClaimWatch().try_claim(tmp_path)
    assert paused is not None
    paused.path.unlink()
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    third = ClaimWatch().try_claim(tmp_path)
    assert third is not None and third.path == paused.path
    assert third.is_ours() and not paused.is_ours()
    paused.release()
    assert third.is_ours()
    third.release()
    time.sleep(0.1)  # several beats
    assert list(tmp_path.iterdir()) == []


def test_a_dead_claim_that_is_taken_over_meanwhile_is_not_taken_again(tmp_path: Path) -> None:
    (tmp_path / "claim.1").write_text(_owner(pid=_dead_pid()))
    look = ClaimWatch().look(tmp_path)
    assert look.state == "dead"
    (tmp_path / "claim.1").unlink()
    other = ClaimWatch().try_claim(tmp_path)
    assert other is not None and other.generation == 1
    assert claims._take(tmp_path, look.mark) is None
    assert other.is_ours()
    other.release()


def test_what_a_watcher_found_dead_another_takes_at_once(tmp_path: Path) -> None:
    (tmp_path / "claim.1").write_text(_owner(host="elsewhere"))
    mark = ClaimWatch().look(tmp_path).mark
    assert ClaimWatch().try_claim(tmp_path, "claim.1:another") is None
    claim = ClaimWatch().try_claim(tmp_path, mark)
    assert claim is not None and claim.generation == 2
    claim.release()


def test_an_unreadable_claim_is_dead_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "UNREADABLE_SECONDS", 0.1)
    (tmp_path / "claim.1").write_text('{"host": 1')
    watch = ClaimWatch()
    assert watch.try_claim(tmp_path) is None
    time.sleep(0.15)
    claim = watch.try_claim(tmp_path)
    assert claim is not None
    claim.release()


def test_a_live_owner_that_proc_hides_is_known_by_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's process under hidepid: no line of /proc, but a signal is not permitted."""
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.0)
    pid = _dead_pid()

    def forbid(asked: int, number: int) -> None:
        assert (asked, number) == (pid, 0)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", forbid)
    path = tmp_path / "claim.1"
    path.write_text(_owner(pid=pid))
    watch = ClaimWatch()
    assert watch.try_claim(tmp_path) is None
    os.utime(path, (0, 0))
    assert watch.try_claim(tmp_path) is None, "it has moved since the last look"
    claim = watch.try_claim(tmp_path)
    assert claim is not None
    claim.release()


@pytest.mark.parametrize("pid", [-1, 0, 10**30])
def test_a_pid_of_no_process_is_dead(tmp_path: Path, pid: int) -> None:
    (tmp_path / "claim.1").write_text(_owner(pid=pid))
    claim = ClaimWatch().try_claim(tmp_path)
    assert claim is not None
    claim.release()


def test_a_claim_that_cannot_be_read_is_watched_before_it_counts_as_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "claim.1").symlink_to("nowhere")
    watch = ClaimWatch()
    assert watch.look(tmp_path).state == "live"
    assert watch.try_claim(tmp_path) is None, "it has not been watched for long"
    monkeypatch.setattr(claims, "UNREADABLE_SECONDS", 0.0)
    claim = watch.try_claim(tmp_path)
    assert claim is not None and claim.generation == 2
    claim.release()


def test_a_claim_that_is_released_under_a_look_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two could own the cell: who goes by the look, and who finds it free."""
    with monkeypatch.context() as released:
        released.setattr(claims, "_latest", lambda folder: 1)
        assert ClaimWatch().look(tmp_path).state == "live"


def test_of_two_takers_whose_claims_cross_the_later_stays(tmp_path: Path) -> None:
    """One found the cell free; before it has its claim, another holds a later one."""
    other = claims._take(tmp_path, "claim.1:")
    assert other is not None and other.generation == 2
    assert claims._take(tmp_path, "") is None
    assert other.is_ours() and [p.name for p in tmp_path.iterdir()] == ["claim.2"]
    other.release()


@pytest.mark.parametrize("links", [True, False])
def test_a_claim_appears_whole_with_and_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def refuse(*_arguments: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    claim = ClaimWatch().try_claim(tmp_path)
    assert claim is not None
    assert [p.name for p in tmp_path.iterdir()] == ["claim.1"]
    assert json.loads(claim.path.read_text())["pid"] == os.getpid()
    assert ClaimWatch().try_claim(tmp_path) is None
    claim.release()


def test_a_link_whose_answer_was_lost_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def link_twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)  # what a network file system does when it heard nothing

    monkeypatch.setattr(os, "link", link_twice)
    claim = ClaimWatch().try_claim(tmp_path)
    assert claim is not None and claim.is_ours()
    claim.release()


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
