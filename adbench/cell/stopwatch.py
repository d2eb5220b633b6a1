"""How long the stages of a cell take, for the estimates of the next run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adbench.data.cache import DiskCache

COMPUTED = {"read": "decode", "fit": "features"}
"""What it is called when a stage fills the cache."""


class Stopwatch:
    """Wall seconds by stage: each without the stages within it, and without what is computed for
    the cache, which no second run needs."""

    def __init__(self, cache: DiskCache) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._cache, self._stages = cache, ["rest"]
        self._since, self._filled = time.monotonic(), cache.seconds

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A block that is this stage."""
        self._lap()
        self._stages.append(name)
        try:
            yield
        finally:
            self._lap()
            self._stages.pop()

    def seconds(self) -> dict[str, float]:
        """Until now."""
        self._lap()
        found = dict(self._seconds)
        found["rest"] += found.pop("read", 0.0)
        return found

    def _lap(self) -> None:
        now, filled, stage = time.monotonic(), self._cache.seconds, self._stages[-1]
        computed = filled - self._filled
        self._seconds[stage] += now - self._since - computed
        self._seconds[COMPUTED.get(stage, stage)] += computed
        self._since, self._filled = now, filled
