"""Work done by threads, in order and a bounded number of tasks ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD: Final = 4
"""Tasks waiting per thread: enough that none idles, and as many for a million items as for ten."""


def in_threads(
    task: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """`map(task, items)` by threads; the first failure cancels what has not begun and is raised.

    Args:
        task: what to do with one item; called in any thread.
        items: taken one by one, as results are.
        workers: threads; None: one per core, at most 8.
    """
    count = workers or min(8, os.cpu_count() or 1)
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
