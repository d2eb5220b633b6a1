"""A file that says that a launcher still wants its tasks to run; it is gone when the launcher is.

An engine's own way to stop a task raises an exception in the middle of whatever the task does, and
now and then it is lost there. A task that looks at a file between two looks at its worker cannot
miss that it is to stop, and one that starts late does not begin.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from adbench.store import atomic
from adbench.store.plan_files import FOLDER


@dataclass(frozen=True)
class Beacon:
    """One launcher's file, in a results folder that all see."""

    path: Path

    @classmethod
    def light(cls, results: Path) -> Beacon:
        """A new one; raises `StoreError`."""
        path = results / FOLDER / f"launcher-{uuid.uuid4().hex}"
        atomic.write_text(path, "tasks of this launcher stop when this file is gone\n")
        return cls(path)

    def is_lit(self) -> bool:
        """Whether the launcher is still there; yes, where the folder cannot be asked just now."""
        try:
            self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def put_out(self) -> None:
        """Tell all tasks to stop."""
        with contextlib.suppress(OSError):
            self.path.unlink()
