"""A bound on the memory that threads take together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


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
