"""Training state on disk that survives a kill, with the seconds already spent."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adbench.contracts.interruptions import TimeLimitReached, is_out_of_memory
from adbench.store import files


class FileCheckpoint:
    """The `Checkpoint` that the runner hands to `fit`: one archive, replaced atomically, loaded
    without unpickling code. A damaged one is set aside and training starts anew.

    Attributes:
        elapsed: training seconds spent up to the last save by earlier processes.
        resumes: how many earlier processes were cut off.
        saves: how many states this process has saved.
        out_of_time: whether a save has ended the training.
        divisions: devices, and parts of a batch, of all processes that trained, this one last.
    """

    def __init__(
        self,
        path: Path,
        every_seconds: float,
        before_save: Callable[[], None] = lambda: None,
        division: tuple[int, int] = (1, 1),
        deadline: float | None = None,
    ) -> None:
        """`before_save` may raise: an owner that lost its claim must not save over the next.
        `deadline` is a `time.monotonic()`: the first save after it is the last."""
        self.divisions = [division]
        self.elapsed = 0.0
        self.resumes = self.saves = 0
        self.out_of_time = False
        self._path, self._every = path, every_seconds
        self._before_save, self._deadline = before_save, deadline
        self._started = self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The method's last state, or None."""
        saved = files.checked(self._path, _read, "checkpoint", "training starts anew")
        if saved is None:
            return None
        self.elapsed = saved["elapsed"]
        self.resumes = saved["resumes"] + 1
        earlier = [d for d in saved["divisions"] if d != self.divisions[-1]]
        self.divisions = [*earlier, self.divisions[-1]]
        state: dict[str, Any] = saved["state"]
        return state

    def due(self) -> bool:
        """True when `every_seconds` have passed since the last save (or the start), and once the
        deadline has passed."""
        return self.is_late() or time.monotonic() - self._saved >= self._every

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state.

        Raises:
            StoreError: the disk refuses.
            TimeLimitReached: the deadline has passed; the state is saved.
        """
        import torch

        self._before_save()
        content = {
            "elapsed": self.seconds(),
            "resumes": self.resumes,
            "divisions": self.divisions,
            "state": dict(state),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        files.write_archive(self._path, buffer.getbuffer())
        self._saved = time.monotonic()
        self.saves += 1
        if self.is_late():
            self.out_of_time = True
            raise TimeLimitReached

    def seconds(self) -> float:
        """Training seconds over all processes: up to the last save of earlier ones, plus ours."""
        return self.elapsed + time.monotonic() - self._started

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block that is no training: its seconds count nowhere."""
        began = time.monotonic()
        try:
            yield
        finally:
            away = time.monotonic() - began
            self._started += away
            self._saved += away


def _read(path: Path) -> dict[str, Any]:
    """What `save` wrote; raises ValueError for any other content."""
    import torch

    body = files.read_archive(path)
    try:
        saved = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        return {
            "elapsed": float(saved["elapsed"]),
            "resumes": int(saved["resumes"]),
            "divisions": [(int(d), int(p)) for d, p in saved.get("divisions", ())],
            "state": dict(saved["state"]),
        }
    except Exception as error:  # torch and its readers raise a dozen kinds
        if isinstance(error, ImportError) or is_out_of_memory(error):
            raise
        raise ValueError(f"no training state in it: {type(error).__name__}") from error
