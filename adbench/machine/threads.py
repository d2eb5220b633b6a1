"""Work done by threads: in order, a bounded number of tasks ahead, within a bound on memory."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD: Final = 4
"""Tasks waiting per thread: enough that none idles, and as many for a million items as for ten."""


def usable_cores() -> list[int]:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def in_threads(
    task: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """`map(task, items)` by threads; the first failure cancels what has not begun and is raised.

    Items are taken as results are. `workers`: threads; None: one per core, at most 8.
    """
    count = workers or min(8, len(usable_cores()))
    pool = ThreadPoolExecutor(count)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(task, item))
            if len(waiting) >= count * (_AHEAD + 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # on Ctrl-C too
        pool.shutdown(cancel_futures=True)


class MemoryBudget:
    """Lets threads in as long as what they say they need fits together; others wait.

    One that needs more than there is goes alone. A thread that is in already passes with whatever
    it asks for further, so that no two can wait for each other.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._taken = 0
        self._changed = threading.Condition()
        self._own = threading.local()

    @contextlib.contextmanager
    def hold(self, num_bytes: int) -> Iterator[None]:
        """Wait until `num_bytes` are free, and keep them for the block."""
        if getattr(self._own, "inside", False):
            yield
            return
        with self._changed:
            self._changed.wait_for(
                lambda: self._taken == 0 or self._taken + num_bytes <= self._limit
            )
            self._taken += num_bytes
        self._own.inside = True
        try:
            yield
        finally:
            self._own.inside = False
            with self._changed:
                self._taken -= num_bytes
                self._changed.notify_all()
