"""One cell: fit -> predict -> score -> time -> record; each stage is skipped where it is done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adbench.cell.predicting import predict_missing
from adbench.cell.records import (
    cell_environment,
    cell_record,
    data_notes,
    failed_record,
    protocol_as_scored,
    protocol_of,
    skill_of,
)
from adbench.cell.settings import Progress, Settings, cell_context
from adbench.cell.snapshots import SnapshotTaker, scored_snapshot
from adbench.cell.stopwatch import Stopwatch
from adbench.contracts import Images, Method, Sample, Team
from adbench.contracts.interruptions import OutOfMemory, TimeLimitReached, is_out_of_memory
from adbench.data.calibration import CALIBRATION
from adbench.errors import StoreError
from adbench.machine.devices import device_name
from adbench.machine.load import ForeignLoad
from adbench.machine.memory import PeakMemory
from adbench.plan import AUPRO_LIMITS, Cell
from adbench.store.checkpoint import FileCheckpoint
from adbench.store.claims import Claim
from adbench.store.folders import CellFolder
from adbench.store.model_files import publish_model, read_model_report
from adbench.store.pixel_statistics import write_pixel_statistics
from adbench.store.predictions import PredictionChunks, chunk_bounds
from adbench.store.records import Record
from adbench.text import say

if TYPE_CHECKING:
    from adbench.data.images import Masks


class CellRun:
    """One cell that is claimed, on its way to a record."""

    def __init__(
        self, cell: Cell, folder: CellFolder, settings: Settings, progress: Progress, claim: Claim
    ) -> None:
        self.cell, self.folder, self.settings, self.progress = cell, folder, settings, progress
        self._require_claim = claim.require
        self.checkpoint = FileCheckpoint(
            folder.checkpoint,
            settings.checkpoint_seconds,
            before_save=claim.require,
            division=settings.division(cell),
            deadline=settings.deadline,
        )
        self.context = cell_context(cell, settings, self.checkpoint, progress)
        self.watch = Stopwatch(settings.cache)
        self._predicted = 0
        self._method: Method | None = None

    def finish(self) -> Record:
        """Publish the cell's record, done, skipped or failed.

        Only `StoreError` (no place to write), KeyboardInterrupt and an `Interruption` (claim lost,
        deadline, the first time out of memory) pass through.
        """
        cell, folder, settings = self.cell, self.folder, self.settings
        folder.sweep()
        reason = cell.build().unsupported(cell.scope, cell.category_cards())
        try:
            skipped = None if reason is None else cell_record(cell, "skipped", reason=reason)
            record = skipped or self._run()
        except StoreError:
            raise
        except (Exception, SystemExit) as error:  # one failing cell never stops the others
            if self.checkpoint.out_of_time:  # a method made an error of what ended its training
                raise TimeLimitReached from error
            if settings.batch_divisor == 1 and is_out_of_memory(error):
                raise OutOfMemory from error
            record = failed_record(cell, error, settings)
        self._require_claim()
        record = folder.write_record(record)
        if settings.keep_maps and record.status == "done":
            bounds = chunk_bounds(record.images["category"])
            PredictionChunks(folder.predictions, bounds).give_files(record.images["id"])
        if record.status != "failed":
            folder.tidy(keep_maps=settings.keep_maps)
            if not settings.keep_model:
                folder.drop_models()
        return record

    def measured(self) -> tuple[dict[str, float], int]:
        """Seconds of the stages that began here and were worked on alone, and how many images went
        through the method."""
        seconds = self.watch.seconds()
        if self.checkpoint.resumes or self.settings.fit_devices > 1:
            seconds = {stage: n for stage, n in seconds.items() if stage not in ("fit", "features")}
        return seconds, self._predicted

    def time_again(self, record: Record) -> Record:
        """Measure a finished cell's inference again with its kept model; scores stay as they are.

        Without a model the cell is run again from the start.
        """
        if read_model_report(self.folder.model) is None:
            return self.finish()
        samples = self.cell.data.split(self.cell.categories, "test")
        timing = {**record.timing, "inference": self._time(self._images(samples))}
        self._require_claim()
        return self.folder.write_record(record.model_copy(update={"timing": timing}))

    def _run(self) -> Record:
        from adbench.cell.scoring import ground_truth_notes, image_columns, score_categories

        cell, settings = self.cell, self.settings
        samples = cell.data.split(cell.categories, "test")
        bounds = chunk_bounds([sample.category for sample in samples])
        chunks = PredictionChunks(self.folder.predictions, bounds)
        report = read_model_report(self.folder.model)
        before = None if report else self._before(samples, chunks)
        report = report or before or self._fit()
        # It is whole and on the disk. After the record it might stay for good: a kill between the
        # two, and nobody works on the cell again.
        self.folder.drop_checkpoint()
        if cell.prediction_options and not before:  # the model may come from a cell with others
            report |= self._describe(self._fitted())
        calibration = before["calibration"] if before else self._calibrate()
        images = self._images(samples)
        self._predict(self._fitted, images, chunks)
        self.progress("score", 0, 1)
        with self.watch.stage("score"):
            geometry = cell.build().geometry
            masks = cell.data.masks(samples, geometry, cell.mask_rule, settings.cache)
            metrics = score_categories(samples, chunks, masks, AUPRO_LIMITS)
            parts = {
                name: score_categories(samples, part, masks, AUPRO_LIMITS)
                for name, part in chunks.parts().items()
            }
            write_pixel_statistics(self.folder.pixels, samples, chunks, masks)
            snapshots = self._snapshots(samples, bounds, images, masks)
        return cell_record(
            cell,
            "done",
            protocol=protocol_as_scored(cell, report["protocol"]),
            metrics=metrics,
            parts=parts,
            images=image_columns(samples, chunks),
            calibration=calibration,
            timing={"fit": report["timing"], "inference": self._time(images)},
            diagnostics=report["diagnostics"],
            skill=report.get("skill", {}),
            snapshots=snapshots,
            data=data_notes(cell) | {"ground_truth": ground_truth_notes(samples, masks)},
            environment=cell_environment(cell, settings),
        )

    def _calibrate(self) -> dict[str, Any]:
        """What the normals score that were held out, as `record_blocks.Calibration`."""
        from adbench.cell.calibrating import calibration_block

        samples = self.cell.data.split(self.cell.categories, CALIBRATION)
        if not samples:
            return {}
        bounds = chunk_bounds([sample.category for sample in samples])
        chunks = PredictionChunks(self.folder.calibration, bounds)
        self._predict(self._fitted, self._images(samples), chunks)
        return calibration_block(self.cell.data, samples, chunks)

    def _predict(
        self, method: Callable[[], Method], images: Images, chunks: PredictionChunks
    ) -> None:
        """Fill the chunks; raises `TimeLimitReached` between two of them."""
        there = None  # what earlier runs left, told before anything is predicted
        with self.watch.stage("predict"):
            for done in predict_missing(method, images, chunks, self.settings.batch_divisor):
                there = done if there is None else there
                self.progress("predict", done, len(images))
                self._require_claim()
                # Not before something is new: every run gets on.
                if there < done < len(images) and self.checkpoint.is_late():
                    raise TimeLimitReached
        self._predicted += len(images) - (there or 0)

    def _snapshots(
        self, samples: list[Sample], bounds: list[tuple[int, int]], images: Images, masks: Masks
    ) -> list[dict[str, Any]]:
        """What each model along the training scores, the first one first."""
        found = []
        for step in self.folder.snapshots.steps():
            if self.checkpoint.is_late():
                raise TimeLimitReached
            numbers = scored_snapshot(
                self.folder.snapshots, step, samples, bounds, masks,
                load=lambda model: self.cell.build().load(model, self.context),
                predict=lambda method, chunks: self._predict(method, images, chunks),
            )  # fmt: skip
            found += [numbers] if numbers else []
        return found

    def _before(self, samples: list[Sample], chunks: PredictionChunks) -> dict[str, Any] | None:
        """What is known of the model behind kept maps that are only to be scored otherwise; None
        where a model is needed, be it to time it."""
        from adbench.cell.scoring import image_columns

        record = self.folder.of_these_maps() if chunks.bounds else None
        if record is None or (self.settings.timing and self._kept_timing() is None):
            return None
        if chunks.missing() or image_columns(samples, chunks)["score"] != record.images["score"]:
            return None  # a record mixes no numbers of two models
        chosen = "selected", "selection_sha256"
        protocol = {n: v for n, v in record.protocol.items() if n not in chosen}
        return {
            "protocol": protocol | {"selection": "last"},
            "diagnostics": record.diagnostics,
            "skill": record.skill,
            "timing": record.timing["fit"],
            "calibration": record.calibration,
        }

    def _fit(self) -> dict[str, Any]:
        """Train, and publish the model and its report by one rename."""
        cell = self.cell
        train = self._images(cell.data.split(cell.categories, "train"))
        snapshot = SnapshotTaker(
            cell, self.folder, self.settings.snapshots, self.checkpoint, self._require_claim
        )
        memory, load = PeakMemory(self.settings.device), ForeignLoad()
        hits = self.settings.cache.hits
        with self._team() as team, self.watch.stage("fit"):
            context = replace(self.context, team=team, snapshot=snapshot)
            try:
                method = cell.build(to_fit=True).fit(train, context)
            finally:
                self.checkpoint.wait()
        self._require_whole_training()
        reused = self.settings.cache.hits - hits
        report = {
            **self._describe(method),
            "timing": {
                "seconds": self.checkpoint.seconds(),
                "resumes": self.checkpoint.resumes,
                "images": len(train),
                "training_flops": method.training_flops(len(train)),
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
        self.folder.forget_maps()
        publish_model(method, report, self.folder.model)
        self._method = method if cell.fitted_with is None else None
        return report

    def _require_whole_training(self) -> None:
        """Raise `TimeLimitReached` where `fit` came back although its time was over."""
        checkpoint = self.checkpoint
        if checkpoint.out_of_time:
            raise TimeLimitReached
        if checkpoint.is_late() and not (checkpoint.saves or checkpoint.resumes):
            say(
                f"warning: {self.cell.title}: its training went on beyond the time limit to its "
                f"end, because {self.cell.method.card.name} never saved a state to go on from "
                "(context.checkpoint)"
            )

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
            "skill": skill_of(self.cell, fitted),
        }

    def _fitted(self) -> Method:
        """The fitted method, from memory or from disk."""
        if self._method is None:
            self._method = self.cell.build().load(self.folder.model, self.context)
        return self._method

    def _images(self, samples: list[Sample]) -> Images:
        self.progress("read", 0, len(samples))
        geometry = self.cell.build().geometry
        with self.watch.stage("read"):
            return self.cell.data.images(samples, geometry, self.settings.cache)

    def _kept_timing(self) -> dict[str, Any] | None:
        kept = self.folder.timing()
        is_ours = kept and kept["device_name"] == device_name(self.settings.device)
        return kept if kept and is_ours and kept["valid"] else None

    def _time(self, images: Images) -> dict[str, Any] | None:
        """Timings measured before on this kind of device, else measured now."""
        from adbench.cell.timing import measure_inference

        if not self.settings.timing:
            return None
        if kept := self._kept_timing():
            return kept
        self.progress("time", 0, 1)
        if self.settings.batch_divisor > 1:  # a batch is at most as large as what there is
            images = images[: max(1, self._fitted().batch_size // self.settings.batch_divisor)]
        fitted = self._fitted()
        with self.watch.stage("time"):
            measured = measure_inference(fitted, images, self.settings.device)
        self.folder.write_timing(measured)
        return measured
