"""Workers of this machine that die, before their first cell or in it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import PIXEL

from adbench.crew.agenda import Agenda
from adbench.crew.crew import DEATHS, Crew
from adbench.errors import AdbenchError
from adbench.launch.processes import Machine, Place
from adbench.launch.slots import whole_machine
from adbench.request import Request

SAYS = """
import os
from pathlib import Path
from adbench.crew.crew import Crew, Duty, Status
from dataclasses import asdict
duty = Duty.read({word!r})
Crew(Path(duty.crew)).write(duty.name + ".status", asdict(Status({status})))
"""
LEAVES = SAYS.replace("{status}", "end='done'")
SPOILED = SAYS.replace("{status}", "ended=[('a', '')], end='spoiled'")
DIES_IN_A = SAYS.replace("{status}", "cell='a'") + "os.kill(os.getpid(), 9)"
IS_KILLED = "import os; os.kill(os.getpid(), 9)"
EXITS = "raise SystemExit('the driver is too old')"

Run = Callable[..., tuple[Crew, Machine]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Keep workers alive that run these scripts, one after the other."""

    def keep(*scripts: str) -> tuple[Crew, Machine]:
        left = list(scripts)

        def command(_place: Place, _request: Request, duty: object) -> list[str]:
            script = left.pop(0).replace("{word!r}", repr(duty.word()))  # type: ignore[attr-defined]
            return [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{script}"]

        monkeypatch.setattr(Place, "command", command)
        crew = Crew.gather(tmp_path, Agenda({"a": []}))
        request = Request(PIXEL, ("toy",))
        machine = Machine(crew, request, Place.here(), [whole_machine()], "alone")
        for _ in machine.run():
            pass
        assert not left
        return crew, machine

    return keep


def test_a_worker_killed_at_its_start_gets_a_successor(run: Run) -> None:
    _, machine = run(IS_KILLED, SPOILED, IS_KILLED, IS_KILLED, LEAVES)
    assert machine.ends == {0: "done"}


@pytest.mark.parametrize(
    ("scripts", "said"),
    [
        ([IS_KILLED] * 3, "could not start: its process was killed by SIGKILL"),
        ([SPOILED, EXITS], "could not start: .* exit code 1 .*: the driver is too old"),
    ],
)
def test_where_workers_cannot_start_the_run_ends(run: Run, scripts: list[str], said: str) -> None:
    with pytest.raises(AdbenchError, match=said):
        run(*scripts)


@pytest.mark.parametrize("memory", [False, True])
def test_a_death_is_noted_for_the_cell(
    run: Run, monkeypatch: pytest.MonkeyPatch, memory: bool
) -> None:
    """One for want of memory is forgiven once: then it is tried with half a batch."""
    counted = iter(range(100))
    monkeypatch.setattr(
        "adbench.launch.processes.memory_kills", lambda: next(counted) if memory else 0
    )
    crew, _ = run(DIES_IN_A, DIES_IN_A, LEAVES)
    note = crew.note("a")
    assert note.starved == memory and note.deaths == DEATHS
    assert note.crash.what.startswith(f"its process was killed by {signal.SIGKILL.name}")
    whys = [why for worker in crew.workers() for _, why in crew.status(worker).ended]
    assert len(whys) == 1 and ("out of memory" in whys[0] or "once more" in whys[0])
