"""Training state on disk that survives a kill, with the seconds already spent."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from adbench.contracts.interruptions import TimeLimitReached, is_out_of_memory
from adbench.store import files

BACKGROUND_BYTES = 2**26
"""Tensors of so many bytes are copied and written while training goes on; less is written before it
does, in a fraction of a second."""
LEAST_INTERVAL = 20
"""Times as long as a save takes, at least, from one to the next."""


class FileCheckpoint:
    """The `Checkpoint` that the runner hands to `fit`: one archive, replaced atomically, loaded
    without unpickling code. A damaged one is set aside and training starts anew.

    A large state is written by a thread; `wait` tells how that ended, and whoever goes on to other
    work with the folder waits first.

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
        `deadline` is a `time.monotonic()`: the first save after it is the last. `every_seconds` 0
        means whenever it is asked for, however long that takes."""
        self.divisions = [division]
        self.elapsed = 0.0
        self.resumes = self.saves = 0
        self.out_of_time = False
        self._path, self._every = path, every_seconds
        self._before_save, self._deadline = before_save, deadline
        self._started = self._saved = time.monotonic()
        self._took = 0.0
        self._writer: threading.Thread | None = None
        self._failure: BaseException | None = None

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
        """True when `every_seconds`, and `LEAST_INTERVAL` times as long as it took, have passed
        since the last save (or the start), and once the deadline has passed."""
        if self._writer is not None and self._writer.is_alive() and not self.is_late():
            return False
        interval = self._every and max(self._every, LEAST_INTERVAL * self._took)
        return self.is_late() or time.monotonic() - self._saved >= interval

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state by this one, as it is now.

        Raises:
            StoreError: the disk refuses, or refused the state before.
            TimeLimitReached: the deadline has passed; the state is saved.
        """
        began = time.monotonic()
        self._before_save()
        self.wait()
        content = {
            "elapsed": self.seconds(),
            "resumes": self.resumes,
            "divisions": list(self.divisions),
            "state": dict(state),
        }
        self.saves += 1
        if _num_bytes(content) >= BACKGROUND_BYTES and not self.is_late():
            self._writer = threading.Thread(
                target=self._write_apart, args=(_copied(content), began), name="checkpoint"
            )
            self._writer.start()
        else:
            self._write(content, began)
        if self.is_late():
            self.wait()
            self.out_of_time = True
            raise TimeLimitReached

    def wait(self) -> None:
        """Return once nothing is being written; raises what `save` would have raised."""
        if self._writer is not None:
            self._writer.join()
        failure, self._writer, self._failure = self._failure, None, None
        if failure is not None:
            raise failure

    def _write(self, content: Mapping[str, Any], began: float) -> None:
        import torch

        def write(stream: files.Sealing) -> None:
            torch.save(content, cast(IO[bytes], stream))  # which it only writes to
            self._before_save()  # again: that may have taken long

        files.write_archive(self._path, write)
        self._saved = time.monotonic()
        self._took = self._saved - began

    def _write_apart(self, content: Mapping[str, Any], began: float) -> None:
        try:
            self._write(content, began)
        except BaseException as error:  # raised where someone sees it
            self._failure = error

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


def _num_bytes(value: Any) -> int:
    """Of all tensors in nested containers."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return int(getattr(value, "nbytes", 0))
    return sum(map(_num_bytes, value))


def _copied(value: Any) -> Any:
    """Nested containers with all their tensors in new memory of the host."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {name: _copied(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copied, value))
    return value


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
