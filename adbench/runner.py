"""One cell: fit -> predict -> score -> time -> record; each stage is skipped where it is done."""

from __future__ import annotations

import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.checkpoint import FileCheckpoint
from adbench.contracts import Context, Images, Method, Sample
from adbench.devices import Precision, device_name
from adbench.environment import environment
from adbench.errors import AdbenchError, StoreError
from adbench.inspection import without_root
from adbench.load import ForeignLoad
from adbench.memory import PeakMemory
from adbench.model_files import publish_model, read_model_report
from adbench.plan import AUPRO_LIMITS, Cell
from adbench.predictions import PredictionChunks, chunk_bounds, predict_missing
from adbench.protocol import protocol_of
from adbench.records import Failure, Record, now
from adbench.store import CellFolder, Store

if TYPE_CHECKING:
    from adbench.cache import DiskCache

Progress = Callable[..., None]


@dataclass(frozen=True)
class Settings:
    """How cells are run; nothing here changes a number (beyond the device's rounding)."""

    device: str
    precision: Precision
    cache: DiskCache
    keep_maps: bool = False
    keep_model: bool = True
    timing: bool = True
    checkpoint_seconds: float = 60.0


def run_cell(cell: Cell, store: Store, settings: Settings, progress: Progress) -> Record:
    """Finish one claimed cell and publish its record, done, skipped or failed.

    Only `StoreError` (no place to write) and KeyboardInterrupt pass through.
    """
    folder = store.cell(cell)
    folder.sweep()
    reason = cell.build().unsupported(cell.scope, cell.category_cards())
    if reason is not None:
        record = _record(cell, "skipped", reason=reason)
    else:
        try:
            record = _CellRun(cell, folder, settings, progress).run()
        except StoreError:
            raise
        except (Exception, SystemExit) as error:  # one failing cell never stops the others
            record = _failed(cell, error, settings)
    folder.write_record(record)
    if record.status != "failed":
        folder.tidy(keep_maps=settings.keep_maps)
        if not settings.keep_model and folder.model.is_dir():
            shutil.rmtree(folder.model)
    return record


def is_timed(record: Record) -> bool:
    """Whether a record has an inference timing that was measured undisturbed."""
    return record.status != "done" or bool((record.timing.get("inference") or {}).get("valid"))


def time_again(
    cell: Cell, record: Record, store: Store, settings: Settings, progress: Progress
) -> Record:
    """Measure a finished cell's inference again with its kept model; scores stay as they are.

    Without a model the cell is run again from the start.
    """
    folder = store.cell(cell)
    if read_model_report(folder.model) is None:
        return run_cell(cell, store, settings, progress)
    inference = _CellRun(cell, folder, settings, progress).time()
    timed = record.model_copy(update={"timing": {**record.timing, "inference": inference}})
    folder.write_record(timed)
    return timed


class _CellRun:
    def __init__(
        self, cell: Cell, folder: CellFolder, settings: Settings, progress: Progress
    ) -> None:
        self.cell, self.folder, self.settings, self.progress = cell, folder, settings, progress
        self.checkpoint = FileCheckpoint(folder.checkpoint, settings.checkpoint_seconds)
        self.context = Context(
            device=settings.device,
            precision=settings.precision,
            seed=cell.seed,
            checkpoint=self.checkpoint,
            cache=settings.cache,
            progress=progress,
            category_cards=cell.category_cards(),
        )
        self._method: Method | None = None

    def run(self) -> Record:
        from adbench.images import load_masks
        from adbench.scoring import ground_truth_notes, image_columns, score_categories

        cell, settings = self.cell, self.settings
        samples = cell.data.split(cell.categories, "test")
        report = read_model_report(self.folder.model) or self._fit()
        images = self._images(samples)
        chunks = PredictionChunks(self.folder.predictions, chunk_bounds(images.categories))
        self.progress("predict", 0, len(images))
        for done in predict_missing(self._fitted, images, chunks):
            self.progress("predict", done, len(images))
        masks = load_masks(
            cell.data.root,
            samples,
            cell.build().geometry,
            rule=cell.mask_rule,
            threshold=cell.data.dataset.card.mask_threshold,
            cache=settings.cache,
        )
        self.progress("score", 0, 1)
        metrics = score_categories(samples, chunks, masks, AUPRO_LIMITS)
        return _record(
            cell,
            "done",
            protocol=report["protocol"],
            metrics=metrics,
            images=image_columns(samples, chunks),
            timing={"fit": report["timing"], "inference": self._time(images)},
            diagnostics=report["diagnostics"],
            data=self._data_notes() | {"ground_truth": ground_truth_notes(samples, masks)},
            environment=environment(settings.device, settings.precision),
        )

    def _fit(self) -> dict[str, Any]:
        """Train, and publish the model and its report by one rename."""
        cell = self.cell
        train = self._images(cell.data.split(cell.categories, "train"))
        memory, load = PeakMemory(self.settings.device), ForeignLoad()
        hits = self.settings.cache.hits
        method = cell.build().fit(train, self.context)
        reused = self.settings.cache.hits - hits
        report = {
            "protocol": protocol_of(cell, method),
            "diagnostics": method.diagnostics(),
            "timing": {
                "seconds": self.checkpoint.seconds(),
                "resumes": self.checkpoint.resumes,
                "images": len(train),
                **load.verdict(reused == 0),
                "cached_arrays": reused,
                "peak_rss_bytes": memory.host_bytes(),
                "peak_device_bytes": memory.device_bytes(),
                "device": self.settings.device.partition(":")[0],
                "device_name": device_name(self.settings.device),
            },
        }
        publish_model(method, report, self.folder.model)
        self._method = method
        return report

    def _fitted(self) -> Method:
        """The fitted method, from memory or from disk."""
        if self._method is None:
            self._method = self.cell.build().load(self.folder.model, self.context)
        return self._method

    def _images(self, samples: list[Sample]) -> Images:
        from adbench.images import load_images

        data = self.cell.data
        self.progress("read", 0, len(samples))
        return load_images(data.root, samples, self.cell.build().geometry, self.settings.cache)

    def time(self) -> dict[str, Any] | None:
        """Time the kept model on the test images."""
        return self._time(self._images(self.cell.data.split(self.cell.categories, "test")))

    def _time(self, images: Images) -> dict[str, Any] | None:
        """Timings measured before on this kind of device, else measured now."""
        from adbench.timing import measure_inference

        if not self.settings.timing:
            return None
        kept = self.folder.timing()
        if kept and kept["device_name"] == device_name(self.settings.device) and kept["valid"]:
            return kept
        self.progress("time", 0, 1)
        measured = measure_inference(self._fitted(), images, self.settings.device)
        self.folder.write_timing(measured)
        return measured

    def _data_notes(self) -> dict[str, Any]:
        data = self.cell.data
        own = [f for f in data.findings if f.category in (None, "", *self.cell.categories)]
        return {
            "layout": data.layout,
            "complete": data.complete,
            "findings": [f.to_json() for f in own],
            "train_images": len(data.split(self.cell.categories, "train")),
            "test_images": len(data.split(self.cell.categories, "test")),
        }


def _record(cell: Cell, status: Any, **blocks: Any) -> Record:
    return Record(
        status=status,
        created=now(),
        identity=cell.identity,
        preset=cell.preset,
        variant=cell.variant,
        keys={"fit": cell.fit_key, "predict": cell.predict_key, "score": cell.score_key},
        key_parts=cell.key_parts,
        **blocks,
    )


def _failed(cell: Cell, error: BaseException, settings: Settings) -> Record:
    failure = Failure(
        type=type(error).__name__,
        message=" ".join(without_root(error, cell.data.root).split()) or "no message",
        traceback=portable_traceback(error),
        exit_code=error.exit_code if isinstance(error, AdbenchError) else 3,
    )
    env = environment(settings.device, settings.precision)
    return _record(cell, "failed", failure=failure, environment=env)


def portable_traceback(error: BaseException) -> list[str]:
    """The traceback as lines, with every file named from its package on: no machine's path."""
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        roots = [Path(p) for p in sys.path if p]
        inside = [path.relative_to(r) for r in roots if path.is_relative_to(r)]
        name = min(inside, key=lambda p: len(p.parts)).as_posix() if inside else path.name
        lines.append(f"{name}:{frame.lineno} in {frame.name}: {frame.line}")
    return lines
