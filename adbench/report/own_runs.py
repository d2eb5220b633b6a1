"""A method's runs of ours as one side of a comparison: its records, protocol and intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from adbench.metrics.table import image_names
from adbench.report.marks import Marks
from adbench.report.tables import MEAN, SPREAD, facts, group_of, grouped, spread
from adbench.report.text_table import marked, run_name
from adbench.store.comparability import newness
from adbench.store.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]
LEVEL = 0.95


@dataclass(frozen=True)
class OwnRun:
    """The done records of one method, variant, preset, data set and protocol.

    `summaries` maps category and `MEAN` to the summary over seeds (`tables.summarise_seeds`);
    `mark` is that of its standard, where the data set has several.
    """

    records: tuple[Record, ...]
    summaries: Mapping[str, Mapping[str, Any]] = field(hash=False, compare=False)
    mark: str = ""

    @property
    def first(self) -> Mapping[str, Any]:
        """Any of the summaries, for what all of them share."""
        return next(iter(self.summaries.values()))

    @property
    def name(self) -> str:
        return marked(run_name(self.first), self.mark)

    @property
    def newness(self) -> tuple[int, str]:
        return max(map(newness, self.records))

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Of the first; a separate model's trained categories are its own."""
        return self.records[0].protocol

    @property
    def hyperparameters(self) -> Any:
        return self.records[0].identity["hyperparameters"]

    @property
    def categories(self) -> frozenset[str]:
        """What the mean is over, failed ones included."""
        return frozenset(self.summaries) - {MEAN}

    def value(self, category: str, metric: str) -> float | None:
        """The mean over seeds; None where undefined, or where a part of a mean is missing."""
        if category == SPREAD:
            return spread(self.summaries, metric)
        summary = self.summaries.get(category)
        if summary is None or summary["status"] != "done" or summary[metric] is None:
            return None
        is_partial = category == MEAN and summary["undefined"]
        return None if is_partial else float(summary[metric]["mean"])

    def interval(self, category: str, metric: str) -> Interval | None:
        """95 % interval of `value`: image metrics by resampling the test images, which the record
        keeps the scores of; others from two seeds on by Student's t over seeds; else None."""
        if category != SPREAD and metric in image_names() and self._has_images:
            import numpy as np

            from adbench.stats.bootstrap import percentiles

            over = sorted(self.categories) if category == MEAN else [category]
            draws = np.mean([self._resamples[c][metric] for c in over], axis=0)
            low, high = percentiles(draws, LEVEL)
            return None if math.isnan(low) else (low, high)
        value = self.summaries.get(category, {}).get(metric)
        if value is None or value["std"] is None:
            return None
        from scipy.stats import t

        half = float(t.ppf((1 + LEVEL) / 2, value["n"] - 1)) * value["std"] / math.sqrt(value["n"])
        return value["mean"] - half, value["mean"] + half

    @cached_property
    def _images(self) -> dict[str, list[list[tuple[str, int, float]]]]:
        """Of each category, the test images of each record: id, label and score, by id."""
        found: dict[str, list[list[tuple[str, int, float]]]] = {}
        for record in self.records:
            columns = (record.images.get(n, []) for n in ("category", "id", "label", "score"))
            own = grouped(zip(*columns, strict=True), lambda image: image[0])
            for category in record.identity["categories"]:
                images = sorted((i, label, float(s)) for _, i, label, s in own.get(category, []))
                found.setdefault(category, []).append(images)
        return found

    @cached_property
    def _has_images(self) -> bool:
        """Whether the seeds of each category have scores of the same images: of records of before
        it is not known that they rest on the same files."""
        names = ({tuple(i[:2] for i in own) for own in seeds} for seeds in self._images.values())
        return all(len(images) == 1 and () not in images for images in names)

    @cached_property
    def _resamples(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Of each category, every image metric of every resample, averaged over seeds."""
        import numpy as np

        from adbench.metrics.resampled import stratified_weights
        from adbench.stats.bootstrap import RESAMPLES, image_resamples, seed_of

        found = {}
        for category, seeds in self._images.items():
            labels = np.array([label != 0 for _, label, _ in seeds[-1]])
            rng = np.random.default_rng(seed_of(self.records[0].identity["dataset"], category))
            weights = stratified_weights(labels, RESAMPLES, rng)
            scores = (np.array([score for _, _, score in own]) for own in seeds)
            each = [image_resamples(labels, own, weights) for own in scores]
            found[category] = {
                name: np.mean([draws[name] for draws in each], axis=0) for name in image_names()
            }
        return found


def own_runs(
    records: Sequence[Record], summaries: Sequence[Mapping[str, Any]], marks: Marks
) -> list[OwnRun]:
    """Every run of ours with a done record, in the tables' order."""
    finished = (record for record in records if record.status == "done")
    done = grouped(finished, lambda record: group_of(facts(record, marks.versions)))
    return [
        OwnRun(
            tuple(done[group]),
            {summary["category"]: summary for summary in own},
            marks.of(next(summary for summary in own if summary["category"] == MEAN)),
        )
        for group, own in grouped(summaries, group_of).items()
        if group in done
    ]
