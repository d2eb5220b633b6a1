"""Claims: one owner a cell, dead owners replaced at once, live ones respected."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ends import until
from takers import take

from adbench.contracts.interruptions import ClaimLost
from adbench.store import claims
from adbench.store.claims import Claim, ClaimWatch
from adbench.store.owners import host_identity, process_start


@pytest.fixture(scope="module")
def dead_pid() -> int:
    code = "import os; print(os.getpid())"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[Callable[..., Claim | None]]:
    """Try to claim the folder; what was claimed is released in the end."""
    taken = []

    def attempt(known_dead: str | None = None, watch: ClaimWatch | None = None) -> Claim | None:
        found = (watch or ClaimWatch()).try_claim(tmp_path, known_dead)
        taken.append(found)
        return found

    yield attempt
    for one in taken:
        if one is not None:
            one.release()


Attempt = Callable[..., Claim | None]


def write_claim(folder: Path, generation: int = 1, **changes: object) -> Path:
    """Of a live process of this host, but for what is changed."""
    owner = {"host": host_identity(), "pid": os.getpid(), "start": process_start(os.getpid())}
    path = folder / f"claim.{generation}"
    path.write_text(json.dumps(owner | {"token": "somebody else's"} | changes))
    return path


def test_a_claim_is_exclusive_until_released(tmp_path: Path, claim: Attempt) -> None:
    first = claim()
    assert first is not None and claim() is None
    first.release()
    assert list(tmp_path.iterdir()) == []
    assert claim() is not None


def test_a_dead_owner_of_this_host_is_replaced_at_once(
    tmp_path: Path, claim: Attempt, dead_pid: int
) -> None:
    write_claim(tmp_path, pid=dead_pid)
    found = claim()
    assert found is not None and found.generation == 2 and found.is_ours()
    found.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"start": "1"}, {"pid": -1}, {"pid": 0}, {"pid": 10**30}])
def test_a_reused_pid_or_none_does_not_keep_a_dead_claim_alive(
    tmp_path: Path, claim: Attempt, change: dict[str, Any]
) -> None:
    write_claim(tmp_path, **change)
    assert claim() is not None


def test_another_hosts_claim_waits_for_its_heartbeat(
    tmp_path: Path, claim: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.05)
    path, watch = write_claim(tmp_path, host="elsewhere"), ClaimWatch()
    assert claim(watch=watch) is None
    time.sleep(0.06)
    os.utime(path, (0, 0))  # its clock may be decades behind: a change is a sign of life
    assert claim(watch=watch) is None, "it has moved since the last look"
    time.sleep(0.06)
    assert claim(watch=watch) is not None


def test_a_live_owner_that_proc_hides_is_known_by_its_heartbeat(
    tmp_path: Path, claim: Attempt, dead_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's process under hidepid: no line of /proc, but a signal is not permitted."""
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.0)

    def forbid(asked: int, number: int) -> None:
        assert (asked, number) == (dead_pid, 0)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", forbid)
    path, watch = write_claim(tmp_path, pid=dead_pid), ClaimWatch()
    assert claim(watch=watch) is None
    os.utime(path, (0, 0))
    assert claim(watch=watch) is None, "it has moved since the last look"
    assert claim(watch=watch) is not None


def test_an_owner_that_was_replaced_knows_it(tmp_path: Path, claim: Attempt) -> None:
    found = claim()
    assert found is not None and found.is_ours()
    later = write_claim(tmp_path, 2)
    assert not found.is_ours()
    with pytest.raises(ClaimLost):
        found.require()
    found.release()
    assert later.exists(), "only its owner may remove it"


def test_a_heartbeat_touches_the_claim_and_nothing_else(
    tmp_path: Path, claim: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    found = claim()
    assert found is not None
    os.utime(found.path, (0, 0))
    until(lambda: found.path.stat().st_mtime > 0, 10)
    found.release()
    assert list(tmp_path.iterdir()) == []


def test_a_paused_owner_neither_revives_nor_removes_what_followed(
    tmp_path: Path, claim: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A is taken over by B, who is done; C has a new claim under A's old name; A wakes up."""
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    paused = claim()
    assert paused is not None
    paused.path.unlink()
    third = claim()
    assert third is not None and third.path == paused.path
    assert third.is_ours() and not paused.is_ours()
    paused.release()
    assert third.is_ours()
    third.release()
    time.sleep(0.1)  # several beats
    assert list(tmp_path.iterdir()) == []


def test_a_dead_claim_that_is_taken_over_meanwhile_is_not_taken_again(
    tmp_path: Path, claim: Attempt, dead_pid: int
) -> None:
    path = write_claim(tmp_path, pid=dead_pid)
    look = ClaimWatch().look(tmp_path)
    assert look.state == "dead"
    path.unlink()
    other = claim()
    assert other is not None and other.generation == 1
    assert claims._take(tmp_path, look.mark) is None and other.is_ours()


def test_of_two_takers_whose_claims_cross_the_later_stays(tmp_path: Path) -> None:
    """One found the cell free; before it has its claim, another holds a later one."""
    other = claims._take(tmp_path, "claim.1:")
    assert other is not None and other.generation == 2
    assert claims._take(tmp_path, "") is None
    assert other.is_ours() and [p.name for p in tmp_path.iterdir()] == ["claim.2"]
    other.release()


def test_what_a_watcher_found_dead_another_takes_at_once(tmp_path: Path, claim: Attempt) -> None:
    write_claim(tmp_path, host="elsewhere")
    mark = ClaimWatch().look(tmp_path).mark
    assert claim("claim.1:another") is None
    found = claim(mark)
    assert found is not None and found.generation == 2


@pytest.mark.parametrize("is_link", [True, False])
def test_a_claim_that_names_no_owner_is_watched_before_it_counts_as_dead(
    tmp_path: Path, claim: Attempt, monkeypatch: pytest.MonkeyPatch, is_link: bool
) -> None:
    if is_link:
        (tmp_path / "claim.1").symlink_to("nowhere")
    else:
        (tmp_path / "claim.1").write_text('{"host": 1')
    watch = ClaimWatch()
    assert watch.look(tmp_path).state == "live"
    assert claim(watch=watch) is None, "it has not been watched for long"
    monkeypatch.setattr(claims, "UNREADABLE_SECONDS", 0.0)
    found = claim(watch=watch)
    assert found is not None and found.generation == 2


def test_a_claim_that_is_released_under_a_look_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two could own the cell: who goes by the look, and who finds it free."""
    with monkeypatch.context() as released:
        released.setattr(claims, "_latest", lambda folder: 1)
        assert ClaimWatch().look(tmp_path).state == "live"


@pytest.mark.parametrize("links", ["none", "one", "the answer lost"])
def test_a_claim_appears_whole_with_and_without_hard_links(
    tmp_path: Path, claim: Attempt, monkeypatch: pytest.MonkeyPatch, links: str
) -> None:
    link = os.link

    def odd_link(source: Path, target: Path) -> None:
        if links == "none":
            raise OSError(errno.EPERM, "no links here")
        link(source, target)
        if links != "one":
            link(source, target)  # what a network file system does when it heard nothing

    monkeypatch.setattr(os, "link", odd_link)
    found = claim()
    assert found is not None and found.is_ours()
    assert [p.name for p in tmp_path.iterdir()] == ["claim.1"]
    assert json.loads(found.path.read_text())["pid"] == os.getpid()
    assert claim() is None


def test_of_many_takers_of_a_dead_claim_one_wins(tmp_path: Path, dead_pid: int) -> None:
    write_claim(tmp_path, pid=dead_pid)
    context = multiprocessing.get_context("spawn")
    won: multiprocessing.Queue[int] = context.Queue()
    start = time.monotonic() + 2.0
    takers = [context.Process(target=take, args=(tmp_path, start, won)) for _ in range(4)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert won.qsize() == 1
    won.close()
