"""A training state on disk that survives a kill, with the seconds already spent."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adbench import atomic

_DIGEST_BYTES = 32


class FileCheckpoint:
    """The `Checkpoint` that the runner hands to `fit`: one file, replaced atomically.

    The file is the SHA-256 of the rest followed by a `torch.save` archive, loaded without
    unpickling code. A damaged file is set aside and training starts anew.

    Attributes:
        elapsed: training seconds spent up to the last save by earlier processes.
        resumes: how many earlier processes were cut off.
        saved_at: `time.monotonic()` of the last save, None before the first.
        divisions: devices, and parts of a batch, of all processes that trained, this one last.
    """

    def __init__(
        self,
        path: Path,
        every_seconds: float,
        before_save: Callable[[], None] = lambda: None,
        division: tuple[int, int] = (1, 1),
    ) -> None:
        """`before_save` may raise: an owner that lost its claim must not save over the next."""
        self.divisions = [division]
        self._path = path
        self._every = every_seconds
        self._before_save = before_save
        self._started = self._saved = time.monotonic()
        self.saved_at: float | None = None
        self.elapsed = 0.0
        self.resumes = 0

    def load(self) -> dict[str, Any] | None:
        """The method's last state, or None."""
        saved = self._read()
        if saved is None:
            return None
        self.elapsed = float(saved["elapsed"])
        self.resumes = int(saved["resumes"]) + 1
        earlier = [(int(d), int(p)) for d, p in saved.get("divisions", self.divisions)]
        self.divisions = [*(d for d in earlier if d != self.divisions[-1]), self.divisions[-1]]
        state: dict[str, Any] = saved["state"]
        return state

    def due(self) -> bool:
        """True when `every_seconds` have passed since the last save (or the start)."""
        return time.monotonic() - self._saved >= self._every

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state; raises `StoreError` when the disk refuses."""
        import torch

        self._before_save()
        buffer = io.BytesIO()
        content = {
            "elapsed": self.seconds(),
            "resumes": self.resumes,
            "divisions": self.divisions,
            "state": dict(state),
        }
        torch.save(content, buffer)
        with atomic.replacing(self._path) as temporary, temporary.open("wb") as stream:
            stream.write(hashlib.sha256(buffer.getbuffer()).digest())
            stream.write(buffer.getbuffer())
        self._saved = self.saved_at = time.monotonic()

    def seconds(self) -> float:
        """Training seconds over all processes: up to the last save of earlier ones, plus ours."""
        return self.elapsed + time.monotonic() - self._started

    def _read(self) -> dict[str, Any] | None:
        import torch

        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        body = content[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != content[:_DIGEST_BYTES]:
            atomic.say_damaged(self._path, "checkpoint is damaged", "training starts anew")
            return None
        saved: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        return saved
