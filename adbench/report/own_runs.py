"""A method's runs of ours as one side of a comparison: its records, protocol and intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from adbench.metrics.table import image_names
from adbench.report.marks import Marks
from adbench.report.ranking import Group, group_of
from adbench.report.tables import MEAN, SPREAD, spread
from adbench.report.text_table import run_name
from adbench.store.comparability import data_versions, newness
from adbench.store.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]
LEVEL = 0.95


@dataclass(frozen=True)
class OwnRun:
    """The done records of one method, variant, preset, data set and protocol.

    `summaries` maps category and `MEAN` to the summary over seeds (`tables.summarise_seeds`).
    """

    records: tuple[Record, ...]
    summaries: Mapping[str, Mapping[str, Any]] = field(hash=False, compare=False)
    mark: str = ""
    """Of its standard, where the data set has several."""

    @property
    def first(self) -> Mapping[str, Any]:
        """Any of the summaries, for what all of them share."""
        return next(iter(self.summaries.values()))

    @property
    def name(self) -> str:
        """As its rows are called."""
        name = run_name(self.first)
        return f"{name} ({self.mark})" if self.mark else name

    @property
    def newness(self) -> tuple[int, str]:
        """Of its newest record."""
        return max(map(newness, self.records))

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Of the first record; a separate model's trained categories are its own."""
        return self.records[0].protocol

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Of every record alike."""
        own: Mapping[str, Any] = self.records[0].identity["hyperparameters"]
        return own

    @property
    def categories(self) -> frozenset[str]:
        """What the mean is over, failed ones included."""
        return frozenset(self.summaries) - {MEAN}

    def value(self, category: str, metric: str) -> float | None:
        """The mean over seeds; None where undefined, or where a part of a mean is missing."""
        if category == SPREAD:
            own = {c: s for c, s in self.summaries.items() if c != MEAN}
            return spread(own, metric)
        summary = self.summaries.get(category)
        if summary is None or summary["status"] != "done" or summary[metric] is None:
            return None
        if category == MEAN and summary["undefined"]:
            return None
        mean: float = summary[metric]["mean"]
        return mean

    def interval(self, category: str, metric: str) -> Interval | None:
        """95 % interval of `value`: image metrics by resampling the test images, which the record
        keeps the scores of; others from two seeds on by Student's t over seeds; else None."""
        if category != SPREAD and metric in image_names() and self._has_images:
            return self._image_interval(category, metric)
        summary = self.summaries.get(category)
        if summary is None or summary[metric] is None or summary[metric]["std"] is None:
            return None
        return _t_interval(**summary[metric])

    @cached_property
    def _has_images(self) -> bool:
        """Whether the seeds of each category have scores of the same images: of records of before
        it is not known that they rest on the same files."""
        seen: dict[str, set[tuple[tuple[str, int], ...]]] = {}
        for record in self.records:
            own: dict[str, list[tuple[str, int]]] = {}
            names = (record.images.get(name, []) for name in ("category", "id", "label"))
            for category, name, label in zip(*names, strict=True):
                own.setdefault(category, []).append((name, label))
            for category in record.identity["categories"]:
                seen.setdefault(category, set()).add(tuple(sorted(own.get(category, []))))
        return all(len(images) == 1 and () not in images for images in seen.values())

    def _image_interval(self, category: str, metric: str) -> Interval | None:
        import numpy as np

        from adbench.stats.bootstrap import percentiles

        over = sorted(self.categories) if category == MEAN else [category]
        drawn = [self._resamples[c][metric] for c in over]
        low, high = percentiles(np.mean(drawn, axis=0), LEVEL)
        return None if math.isnan(low) else (low, high)

    @cached_property
    def _resamples(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Per category, every image metric of every resample, averaged over seeds."""
        import numpy as np

        from adbench.metrics.resampled import stratified_weights
        from adbench.stats.bootstrap import RESAMPLES, image_resamples, seed_of

        found = {}
        for category in self.categories:
            labels, scores = self._scores(category)
            rng = np.random.default_rng(seed_of(self.records[0].identity["dataset"], category))
            weights = stratified_weights(labels, RESAMPLES, rng)
            each = [image_resamples(labels, own, weights) for own in scores]
            found[category] = {
                name: np.mean([draws[name] for draws in each], axis=0) for name in image_names()
            }
        return found

    def _scores(self, category: str) -> tuple[NDArray[np.bool_], list[NDArray[np.float64]]]:
        """Labels (n,) and, for each seed, scores (n,), images in the order of their ids."""
        import numpy as np

        labels: NDArray[np.bool_] = np.empty(0, dtype=bool)
        scores = []
        for record in self.records:
            columns = record.images
            own = sorted(
                (columns["id"][i], columns["label"][i], float(columns["score"][i]))
                for i, name in enumerate(columns["category"])
                if name == category
            )
            if own:
                labels = np.array([label != 0 for _, label, _ in own])
                scores.append(np.array([score for _, _, score in own]))
        return labels, scores


def own_runs(records: Sequence[Record], summaries: Sequence[Mapping[str, Any]]) -> list[OwnRun]:
    """Every run of ours with a done record, in the tables' order."""
    tables: dict[Group, dict[str, Mapping[str, Any]]] = {}
    for summary in summaries:
        tables.setdefault(group_of(summary), {})[summary["category"]] = summary
    own: dict[Group, list[Record]] = {group: [] for group in tables}
    versions = data_versions(records)
    for record in records:
        if record.status == "done":
            own[_group(record, versions)].append(record)
    marks = Marks(records)
    return [
        OwnRun(tuple(own[group]), table, marks.of(table[MEAN]))
        for group, table in tables.items()
        if own[group]
    ]


def _group(record: Record, versions: Mapping[str, str]) -> Group:
    identity = record.identity
    return group_of(
        {
            **identity,
            "variant": record.variant,
            "preset": record.preset,
            "protocol": record.protocol_digest,
            "settings": record.settings,
            "data": versions[record.keys["score"]],
        }
    )


def _t_interval(mean: float, std: float, n: int) -> Interval:
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * std / math.sqrt(n)
    return mean - half, mean + half
