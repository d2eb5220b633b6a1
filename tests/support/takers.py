"""Run in spawned processes by test_claims; they import it by name."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from adbench.store.claims import ClaimWatch


def take(folder: Path, start: float, won: Any) -> None:
    """Try to claim `folder` at `start` (monotonic seconds); the winner dies holding it."""
    while time.monotonic() < start:
        pass
    if ClaimWatch().try_claim(folder) is not None:
        won.put(os.getpid())
        time.sleep(1.0)
        won.close()
        won.join_thread()
        os._exit(0)
