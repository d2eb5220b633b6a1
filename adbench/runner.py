"""One cell: fit -> predict -> score -> time -> record; each stage is skipped where it is done."""

from __future__ import annotations

import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.contracts import Checkpoint, Context, Images, Method, Sample, Team
from adbench.errors import AdbenchError, StoreError
from adbench.interruptions import OutOfMemory, TimeLimitReached, is_out_of_memory
from adbench.machine.devices import Precision, device_name
from adbench.machine.environment import environment
from adbench.machine.load import ForeignLoad
from adbench.machine.memory import PeakMemory
from adbench.plan import AUPRO_LIMITS, Cell
from adbench.protocol import protocol_as_scored, protocol_of
from adbench.storage.checkpoint import FileCheckpoint
from adbench.storage.claims import Claim
from adbench.storage.model_files import publish_model, read_model_report
from adbench.storage.pixel_statistics import pixel_statistics_path, write_pixel_statistics
from adbench.storage.predictions import PredictionChunks, chunk_bounds, predict_missing
from adbench.storage.records import Failure, Record, now
from adbench.store import CellFolder, Store
from adbench.verification.inspection import without_root

if TYPE_CHECKING:
    from adbench.cache import DiskCache

Progress = Callable[..., None]


@dataclass(frozen=True)
class Settings:
    """How cells are run; only parts of training batches change a number beyond rounding.

    Attributes:
        deadline: `time.monotonic()` after which a cell saves its state and stops, or None.
        batch_divisor: 1, or 2 where the cell ran out of memory before: half the images go
            through a network at a time.
        fit_devices: devices that train a cell together, where its method can.
        accumulate: parts in which each of them works through its share of a batch.
        recruit: calls up the team for a cell's `fit`, given `batch_divisor`; None for one device.
    """

    device: str
    precision: Precision
    cache: DiskCache
    keep_maps: bool = False
    keep_model: bool = True
    timing: bool = True
    checkpoint_seconds: float = 60.0
    deadline: float | None = None
    batch_divisor: int = 1
    fit_devices: int = 1
    accumulate: int = 1
    recruit: Callable[[Cell, int], AbstractContextManager[Team]] | None = None

    def division(self, cell: Cell) -> tuple[int, int]:
        """On how many devices a cell trains, and into how many parts a batch is split."""
        if not cell.build().splits_batches:
            return 1, 1
        devices = self.fit_devices if self.recruit is not None else 1
        return devices, self.fit_devices * self.accumulate * self.batch_divisor


def cell_context(
    cell: Cell,
    settings: Settings,
    checkpoint: Checkpoint,
    progress: Progress = lambda *_args, **_numbers: None,
    team: Team | None = None,
) -> Context:
    """What a cell's method gets beside its data, alone or as a member of a team."""
    return Context(
        device=settings.device,
        precision=settings.precision,
        seed=cell.seed,
        checkpoint=checkpoint,
        cache=settings.cache,
        progress=progress,
        deadline=settings.deadline,
        category_cards=cell.category_cards(),
        batch_parts=settings.division(cell)[1],
        team=team,
    )


def run_cell(
    cell: Cell,
    store: Store,
    settings: Settings,
    progress: Progress,
    claim: Claim | None = None,
) -> Record:
    """Finish one claimed cell and publish its record, done, skipped or failed.

    Only `StoreError` (no place to write), KeyboardInterrupt and an `Interruption` (claim lost,
    deadline, the first time out of memory) pass through.
    """
    folder = store.cell(cell)
    folder.sweep()
    reason = cell.build().unsupported(cell.scope, cell.category_cards())
    if reason is not None:
        record = cell_record(cell, "skipped", reason=reason)
    else:
        work = _CellRun(cell, folder, settings, progress, claim)
        try:
            record = work.run()
        except StoreError:
            raise
        except (Exception, SystemExit) as error:  # one failing cell never stops the others
            if work.saved_at_deadline():
                raise TimeLimitReached from error
            if settings.batch_divisor == 1 and is_out_of_memory(error):
                raise OutOfMemory from error
            record = _failed(cell, error, settings)
    if claim is not None:
        claim.require()
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
    cell: Cell,
    record: Record,
    store: Store,
    settings: Settings,
    progress: Progress,
    claim: Claim | None = None,
) -> Record:
    """Measure a finished cell's inference again with its kept model; scores stay as they are.

    Without a model the cell is run again from the start.
    """
    folder = store.cell(cell)
    if read_model_report(folder.model) is None:
        return run_cell(cell, store, settings, progress, claim)
    inference = _CellRun(cell, folder, settings, progress, claim).time()
    timed = record.model_copy(update={"timing": {**record.timing, "inference": inference}})
    if claim is not None:
        claim.require()
    folder.write_record(timed)
    return timed


class _CellRun:
    def __init__(
        self,
        cell: Cell,
        folder: CellFolder,
        settings: Settings,
        progress: Progress,
        claim: Claim | None,
    ) -> None:
        self.cell, self.folder, self.settings, self.progress = cell, folder, settings, progress
        self._require_claim = claim.require if claim is not None else lambda: None
        self.checkpoint = FileCheckpoint(
            folder.checkpoint,
            settings.checkpoint_seconds,
            before_save=self._require_claim,
            division=settings.division(cell),
        )
        self.context = cell_context(cell, settings, self.checkpoint, progress)
        self._method: Method | None = None

    def run(self) -> Record:
        from adbench.images import load_masks
        from adbench.scoring import ground_truth_notes, image_columns, score_categories

        cell, settings = self.cell, self.settings
        samples = cell.data.split(cell.categories, "test")
        report = read_model_report(self.folder.model) or self._fit()
        if cell.prediction_options:  # the model may come from a cell with other ones
            report |= self._describe(self._fitted())
        images = self._images(samples)
        chunks = PredictionChunks(self.folder.predictions, chunk_bounds(images.categories))
        self.progress("predict", 0, len(images))
        for done in predict_missing(self._fitted, images, chunks, settings.batch_divisor):
            self.progress("predict", done, len(images))
            self._require_claim()
            if done < len(images) and self._is_late():
                raise TimeLimitReached
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
        statistics = pixel_statistics_path(self.folder.path, cell.score_key)
        write_pixel_statistics(statistics, samples, chunks, masks)
        return cell_record(
            cell,
            "done",
            protocol=protocol_as_scored(cell, report["protocol"]),
            metrics=metrics,
            images=image_columns(samples, chunks),
            timing={"fit": report["timing"], "inference": self._time(images)},
            diagnostics=report["diagnostics"],
            data=self._data_notes() | {"ground_truth": ground_truth_notes(samples, masks)},
            environment=_environment(settings),
        )

    def saved_at_deadline(self) -> bool:
        """Whether training was ended by the deadline, with its state saved."""
        deadline, saved = self.settings.deadline, self.checkpoint.saved_at
        return deadline is not None and saved is not None and saved >= deadline

    def _is_late(self) -> bool:
        return self.settings.deadline is not None and time.monotonic() > self.settings.deadline

    def _fit(self) -> dict[str, Any]:
        """Train, and publish the model and its report by one rename."""
        cell = self.cell
        train = self._images(cell.data.split(cell.categories, "train"))
        memory, load = PeakMemory(self.settings.device), ForeignLoad()
        hits = self.settings.cache.hits
        with self._team() as team:
            method = cell.build().fit(train, replace(self.context, team=team))
        reused = self.settings.cache.hits - hits
        report = {
            **self._describe(method),
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
                "divisions": [list(division) for division in self.checkpoint.divisions],
            },
        }
        self._require_claim()
        publish_model(method, report, self.folder.model)
        self._method = method
        return report

    def _team(self) -> AbstractContextManager[Team | None]:
        recruit = self.settings.recruit
        if recruit is None or not self.cell.build().splits_batches:
            return nullcontext()
        return recruit(self.cell, self.settings.batch_divisor)

    def _describe(self, fitted: Method) -> dict[str, Any]:
        """What a fitted method says of itself."""
        return {
            "protocol": protocol_of(self.cell, fitted),
            "diagnostics": fitted.diagnostics(),
        }

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
        from adbench.machine.timing import measure_inference

        if not self.settings.timing:
            return None
        kept = self.folder.timing()
        if kept and kept["device_name"] == device_name(self.settings.device) and kept["valid"]:
            return kept
        self.progress("time", 0, 1)
        if self.settings.batch_divisor > 1:  # a batch is at most as large as what there is
            images = images[: max(1, self._fitted().batch_size // self.settings.batch_divisor)]
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


def cell_record(cell: Cell, status: Any, **blocks: Any) -> Record:
    """A record of this cell, made now; `blocks` are the fields that depend on the outcome."""
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
    return cell_record(cell, "failed", failure=failure, environment=_environment(settings))


def _environment(settings: Settings) -> dict[str, Any]:
    """The environment block, and whether this is the second try of a cell that lacked memory."""
    found = environment(settings.device, settings.precision)
    if settings.batch_divisor > 1:
        found["out_of_memory"] = f"tried again with 1/{settings.batch_divisor} of a batch at a time"
    return found


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
