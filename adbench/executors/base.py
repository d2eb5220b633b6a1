"""What a grid asks of an executor: take tickets, and tell what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from adbench.executors.attempt import Outcome, Ticket
from adbench.store.records import Record


@dataclass(frozen=True)
class Crash:
    """A process that died in the middle of a cell.

    Attributes:
        what: one clause that says how, for instance "its process was killed by SIGSEGV".
        lines: the last lines that it wrote to stderr, without a machine's paths.
        out_of_memory: whether the system killed it because memory ran out.
    """

    what: str
    lines: tuple[str, ...] = ()
    out_of_memory: bool = False


@dataclass(frozen=True)
class Started:
    """A worker has claimed the cell and begins."""

    index: int


@dataclass(frozen=True)
class Progressed:
    """A worker's progress in a cell."""

    index: int
    stage: str
    done: int
    total: int
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """A ticket is done with.

    Attributes:
        outcome: as of an attempt; "crashed" where a process died; "left" where somebody has taken
            the cell back from the engine, for instance by cancelling its job.
        record: what was recorded, if the executor has it at hand; it is on disk in any case.
        crash: for "crashed".
        spoiled: whether the worker's process should take no other cell.
    """

    index: int
    outcome: Outcome | Literal["crashed", "left"]
    record: Record | None = None
    crash: Crash | None = None
    spoiled: bool = False


Event = Started | Progressed | Ended


class Executor(Protocol):
    """Runs tickets somewhere; results go through the results folder alone.

    Attributes:
        alone: whether a cell is timed where it runs, and tried again there with half a batch when
            memory ran out: nobody of ours is beside it, or that is for the engine to see to (a
            timing that was disturbed says so).
        detached: whether it takes many tickets and tells of them late, so that the folder has to
            be looked at; it keeps cells that share a fit from each other's way.
        outlives: whether what it runs goes on without this process.
    """

    @property
    def alone(self) -> bool: ...

    @property
    def detached(self) -> bool: ...

    @property
    def outlives(self) -> bool: ...

    def open(self, hear: Callable[[Event], None]) -> None:
        """Get ready; all events go to `hear`, out of `submit` and `wait`."""
        ...

    def has_room(self) -> bool:
        """Whether another ticket would be worked on soon."""
        ...

    def submit(self, ticket: Ticket) -> None:
        """Take a ticket. It ends with exactly one `Ended`."""
        ...

    def wait(self, seconds: float) -> None:
        """Return when something has happened, or after some seconds."""
        ...

    def close(self, *, abort: bool) -> None:
        """Give everything back. With `abort`, stop what runs: claims are released first."""
        ...
