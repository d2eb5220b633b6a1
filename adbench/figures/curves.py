"""ROC, precision-recall and PRO curves from scores, and histograms of scores, of one category.

The points of a curve come from the same counts as the metrics (`adbench.metrics`), so the area
under it is the metric to the last digits; then it is thinned to few enough points to draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adbench.figures.cases import ImageScores, image_scores
from adbench.figures.style import ANOMALOUS_COLOUR, NORMAL_COLOUR, folded, line_style, panels
from adbench.metrics.exact.inputs import Chunks, anomalous_indices, paired_images, score_dtype
from adbench.metrics.exact.ranking import ScoreCounter, ThresholdCounts, chunk_size
from adbench.metrics.exact.regions import RunTable
from adbench.store.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
PRO_LIMIT = 0.3
"""The false-positive rate up to which AUPRO@0.3 integrates; the PRO curve ends there."""
MAX_POINTS = 160
"""Of a drawn curve: at most 2 / 160 of the axes' length apart, below a line's width on paper."""


_BINS = 24
_PER_ROW = 5


class Panel(NamedTuple):
    """A kind of curve: of images or pixels, the metric that is its area, and what it is called."""

    unit: str
    kind: str
    metric: str
    title: str
    x: str
    y: str


_RATES = ("false-positive rate", "true-positive rate")
PANELS = (
    Panel("image", "roc", "image_auroc", "image ROC", *_RATES),
    Panel("image", "pr", "image_aupr", "image precision-recall", "recall", "precision"),
    Panel("pixel", "roc", "pixel_auroc", "pixel ROC", *_RATES),
    Panel("pixel", "pr", "pixel_aupr", "pixel precision-recall", "recall", "precision"),
    Panel(
        "pixel", "pro", "aupro@0.3", "PRO",
        "false-positive rate of pixels", "mean overlap of regions",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """Points (n,) of one curve, x ascending, rates in [0, 1]."""

    x: Floats
    y: Floats

    def thinned(self, most: int = MAX_POINTS) -> Curve:
        """At most `most` of its points, first and last included, evenly along its length."""
        if self.x.size <= most:
            return self
        width = float(self.x[-1] - self.x[0]) or 1.0
        steps = np.abs(np.diff(self.x)) / width + np.abs(np.diff(self.y))
        length = np.concatenate([[0.0], np.cumsum(steps)])
        wanted = np.linspace(0.0, length[-1], most)
        chosen = np.unique(np.searchsorted(length, wanted).clip(0, self.x.size - 1))
        chosen[0], chosen[-1] = 0, self.x.size - 1
        return Curve(self.x[chosen], self.y[chosen])

    def to_json(self) -> list[list[float]]:
        """[x, y] of its points, to five digits."""
        return [[round(float(v), 5) for v in axis] for axis in (self.x, self.y)]

    @classmethod
    def from_json(cls, value: Sequence[Sequence[float]]) -> Curve:
        """What `to_json` gave."""
        return cls(np.asarray(value[0], np.float64), np.asarray(value[1], np.float64))


def image_curves(scores: Sequence[float], labels: Sequence[int]) -> dict[str, Curve]:
    """ "roc" and "pr" over images; empty where there are no anomalous or no normal ones."""
    values = np.asarray(scores, np.float64)
    anomalous = values[np.asarray(labels, bool)]
    if not 0 < anomalous.size < values.size:
        return {}
    thresholds, at = np.unique(anomalous, return_counts=True)
    counter = ScoreCounter(thresholds, capacity=values.size)
    counter.add(values)
    counts = counter.counts(at, num_scores=values.size)
    return {"roc": roc(counts), "pr": precision_recall(counts)}


def pixel_curves(chunks: Chunks) -> dict[str, Curve]:
    """ "roc", "pr" and "pro" over the pixels of one category; empty where undefined.

    `chunks` starts a pass over (maps, masks), as for `pixel_metrics_streamed`; it is called twice.
    """
    scores, regions, num_pixels = _anomalous_pixels(chunks)
    if not 0 < scores.size < num_pixels:
        return {}
    thresholds, place, at = np.unique(scores, return_inverse=True, return_counts=True)
    counter = ScoreCounter(thresholds, chunk_size(thresholds.size, num_pixels))
    for _, score_map, _ in paired_images(chunks()):
        counter.add(score_map)
    counts = counter.counts(at, num_scores=num_pixels)
    overlap = per_region_overlap(counts, place, regions)
    return {"roc": roc(counts), "pr": precision_recall(counts), "pro": overlap}


def roc(counts: ThresholdCounts) -> Curve:
    """True-positive rate over false-positive rate; tied scores are a slope, as in the AUROC."""
    share = counts.anomalous_at.astype(np.float64) / counts.num_anomalous
    return _over_false_positives(counts, share)


def precision_recall(counts: ThresholdCounts) -> Curve:
    """Precision over recall, to be drawn as steps: a precision holds back to the recall before.

    The area under the steps is the average precision.
    """
    hits = counts.anomalous_from[::-1]
    recall = hits / counts.num_anomalous
    precision = hits / (hits + counts.normal_from[::-1])
    first = precision[:1]
    return Curve(np.concatenate([[0.0], recall]), np.concatenate([first, precision]))


def per_region_overlap(
    counts: ThresholdCounts, place: npt.NDArray[np.intp], regions: npt.NDArray[np.int32]
) -> Curve:
    """Mean overlap of the regions over the false-positive rate, up to `PRO_LIMIT`.

    `place` (P,) indexes the thresholds and `regions` (P,) the regions of the anomalous pixels:
    Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021.
    """
    sizes = np.bincount(regions)
    weight_of_pixel = 1.0 / (sizes[regions] * sizes.size)
    num = counts.thresholds.size
    steps = np.asarray(np.bincount(place, weights=weight_of_pixel, minlength=num), np.float64)
    whole = _over_false_positives(counts, steps)
    inside = whole.x < PRO_LIMIT
    end = np.interp(PRO_LIMIT, whole.x, whole.y)
    x, y = np.append(whole.x[inside], PRO_LIMIT), np.append(whole.y[inside], end)
    return Curve(x, y)


def _over_false_positives(counts: ThresholdCounts, steps: Floats) -> Curve:
    """The curve that gains `steps` (D,) at the thresholds, taken from the highest down."""
    after = np.cumsum(steps[::-1])
    before = after - steps[::-1]
    rates = [counts.normal_above[::-1], counts.normal_from[::-1]]
    x = np.stack(rates, axis=1).reshape(-1) / counts.num_normal  # (2D,): above, from, above, ...
    y = np.stack([before, after], axis=1).reshape(-1)
    return Curve(np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [1.0]]))


def _anomalous_pixels(
    chunks: Chunks,
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.int32], int]:
    """Scores (P,) and regions (P,) of the anomalous pixels, and the number of all pixels."""
    found: list[npt.NDArray[np.floating[Any]]] = []
    runs = RunTable()
    num_pixels = 0
    for index, score_map, mask in paired_images(chunks()):
        name = f"map of image {index}"
        pixels = anomalous_indices(mask, f"mask of image {index}")
        found.append(score_map.reshape(-1)[pixels].astype(score_dtype(score_map, name)))
        runs.add(pixels, mask.shape)
        num_pixels += mask.size
    return np.concatenate(found), runs.regions()[1], num_pixels


# ------------------------------------------------------------------------------- drawing

Curves = Mapping[tuple[str, str], Mapping[str, Curve]]
"""(image or pixel, kind) -> method's label -> curve."""


def curves_of(
    records: Mapping[str, Record], category: str, pixel: Mapping[str, Mapping[str, Curve]]
) -> dict[tuple[str, str], dict[str, Curve]]:
    """Image curves from the records' scores, and those of pixels where maps were kept."""
    found: dict[tuple[str, str], dict[str, Curve]] = {}
    for label, record in records.items():
        images = image_scores(record, category)
        own = image_curves(images.scores, images.labels)
        for unit, kinds in (("image", own), ("pixel", pixel.get(label, {}))):
            for kind, curve in kinds.items():
                found.setdefault((unit, kind), {})[label] = curve.thinned()
    return found


def curves_figure(
    records: Mapping[str, Record], category: str, curves: Curves, title: str
) -> Figure:
    """One panel a kind of curve, one line a method with its metric in the legend.

    `records` are one a method, by label; call inside `drawing()`.
    """
    shown = [panel for panel in PANELS if (panel.unit, panel.kind) in curves]
    figure, axes = panels(len(shown), 1, 1.95, 1.95, (0.3, 0))
    for axis, panel in zip(axes, shown, strict=True):
        axis.set(title=panel.title, xlabel=panel.x, ylabel=panel.y, ylim=(-0.02, 1.02))
        axis.set_xlim((-0.006, PRO_LIMIT) if panel.kind == "pro" else (-0.02, 1.02))
        for index, (label, record) in enumerate(records.items()):
            curve = curves[panel.unit, panel.kind].get(label)
            if curve is not None:
                value = record.metrics[category].get(panel.metric)
                short = label if len(label) <= 30 else f"{label[:29]}…"
                axis.plot(
                    curve.x, curve.y, linewidth=1.2, **line_style(index),
                    drawstyle="steps-pre" if panel.kind == "pr" else "default",
                    label=f"{short} {'–' if value is None else f'{100 * value:.2f}'}",
                )  # fmt: skip
        if panel.kind == "roc":
            axis.plot([0, 1], [0, 1], color="0.7", linewidth=0.6, zorder=0)
        axis.legend(loc="upper left", bbox_to_anchor=(-0.15, -0.2), labelspacing=0.25)
    _titled(axes[0], title)
    return figure


def histogram_figure(records: Mapping[str, Record], category: str, title: str) -> Figure:
    """Scores of normal and anomalous images, one panel a method; call inside `drawing()`."""
    across = min(_PER_ROW, len(records))
    down = -(-len(records) // across)
    figure, axes = panels(across, down, 1.95, 1.35, (0.22, 0.5))
    for axis, (label, record) in zip(axes, records.items(), strict=False):
        _histogram(axis, image_scores(record, category))
        axis.set_title(folded(label, 34))
    for axis in axes[len(records) :]:
        axis.set_axis_off()
    axes[0].legend(loc="best")
    axes[0].set_ylabel("images")
    _titled(axes[0], title)
    return figure


def _titled(first: Axes, title: str) -> None:
    """A title above and left of the first panel."""
    first.annotate(
        title, (0, 1), (-30, 26), xycoords="axes fraction", textcoords="offset points",
        fontsize=8.5, fontweight="bold",
    )  # fmt: skip


def _histogram(axes: Axes, images: ImageScores) -> None:
    from matplotlib.ticker import MaxNLocator

    scores, labels = np.asarray(images.scores, np.float64), np.asarray(images.labels, bool)
    finite = np.isfinite(scores)
    if not finite.any():
        axes.text(0.5, 0.5, "no finite score", ha="center", transform=axes.transAxes)
        return
    low, high = float(scores[finite].min()), float(scores[finite].max())
    edges = list(np.linspace(low, high if high > low else low + 1.0, _BINS + 1))
    for name, members, colour, dashes in (
        ("normal", ~labels, NORMAL_COLOUR, "-"),
        ("anomalous", labels, ANOMALOUS_COLOUR, "--"),
    ):
        values = scores[members & finite]
        axes.hist(values, edges, color=colour, alpha=0.45, label=f"{name} ({values.size})")
        # The outline keeps the two apart where they overlap, and in grey.
        axes.hist(values, edges, color=colour, histtype="step", linestyle=dashes)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    lost = int((~finite).sum())
    axes.set_xlabel(f"score ({lost} not finite)" if lost else "score", labelpad=1)
