"""A selection as tables in the terminal, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.errors import UsageError
from adbench.select.afterwards import SHOWN, TestCurve, TestPoint
from adbench.select.file import CRITERION, TOLERANCE, Choice, Curve, SelectionFile
from adbench.store import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

METRICS = {
    "image_auroc": "image AUROC",
    "image_aupr": "image AU-PR",
    "pixel_auroc": "pixel AUROC",
    "pixel_aupr": "pixel AU-PR",
}
FORMATS = (".png", ".pdf")
_COLOURS = {"image_auroc": "#0072B2", "pixel_auroc": "#D55E00"}  # Okabe and Ito: safe for all eyes
_SMOKE = "SMOKE preset: it proves that everything runs; what it chooses means nothing."

Tests = Mapping[tuple[int, int], TestCurve]
"""(Number of the choice, number of the curve) to what test records say of it."""


def print_selection(selection: SelectionFile, tests: Tests, console: Console) -> None:
    """One table per choice, the chosen values in bold and marked, and what to know of it."""
    for number, choice in enumerate(selection.choices):
        own = [tests.get((number, i)) for i in range(len(choice.curves))]
        console.print(_table(choice, own), crop=False)
        for note in _notes(choice, own):
            console.print(f"· {note}", markup=False, highlight=False, soft_wrap=True)


def to_json(selection: SelectionFile, tests: Tests) -> dict[str, Any]:
    """The file's content, its digest, the means that tables show, and test curves beside them."""
    value = selection.model_dump(mode="json")
    for number, choice in enumerate(selection.choices):
        shown = value["choices"][number]
        shown["chosen"] = {curve.name: curve.chosen for curve in choice.curves}
        for i, curve in enumerate(choice.curves):
            for point, listed in zip(curve.points, shown["curves"][i]["points"], strict=True):
                listed["mean"] = {name: point.mean(name) for name in METRICS}
            found = tests.get((number, i))
            if found is not None:
                shown["curves"][i]["test"] = {
                    "points": [_test_json(p) for p in found.points],
                    "spearman": dict(found.correlation),
                }
    return {"digest": selection.digest, **value}


def check_plot_path(path: Path | None) -> None:
    """Raise `UsageError` before any work for a picture in a format that is not drawn."""
    if path is not None and path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: expected a name that ends in {' or '.join(FORMATS)}")


def write_plot(selection: SelectionFile, tests: Tests, path: Path) -> None:
    """One row per choice, one panel per hyper-parameter; PNG or PDF by the name's ending."""
    from matplotlib.figure import Figure

    rows, columns = len(selection.choices), max(len(c.curves) for c in selection.choices)
    figure = Figure(figsize=(4.6 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for number, choice in enumerate(selection.choices):
        for i in range(columns):
            axis = axes[number][i]
            if i < len(choice.curves):
                _draw(axis, choice.curves[i], tests.get((number, i)))
            else:
                axis.set_axis_off()
        axes[number][0].set_title(choice.title, fontsize=8, loc="left")
    suffix = path.suffix.lower()[1:]
    # A picture of the same numbers is the same file, whenever it is drawn.
    metadata = {"CreationDate": None} if suffix == "pdf" else {}
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format=suffix, dpi=150, metadata=metadata)


def _table(choice: Choice, tests: Sequence[TestCurve | None]) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    compared = any(tests)
    title = escape(f"{choice.title}: pseudo-validation, %")
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in ("hyper-parameter", "value"):
        table.add_column(name)
    for name in METRICS.values():
        table.add_column(name, justify="right")
    for name in SHOWN if compared else ():
        table.add_column(f"test {METRICS[name]}", justify="right")
    for curve, test in zip(choice.curves, tests, strict=True):
        held = ", ".join(f"{n}={_text(v)}" for n, v in curve.holding.items())
        for i, point in enumerate(curve.points):
            is_chosen = point.value == curve.chosen
            head = f"{curve.name} ({held})" if held else curve.name
            cells = [head if i == 0 else "", _text(point.value) + (" *" if is_chosen else "")]
            cells += [_percent(point.mean(name)) for name in METRICS]
            if compared:
                cells += [_test_text(test.points[i] if test else None, name) for name in SHOWN]
            style = "bold" if is_chosen else None
            last = i == len(curve.points) - 1
            table.add_row(*map(escape, cells), style=style, end_section=last)
    return table


def _notes(choice: Choice, tests: Sequence[TestCurve | None]) -> list[str]:
    held = choice.held_out.values()
    chosen = ", ".join(f"{name}={_text(value)}" for name, value in choice.chosen.items())
    notes = [_SMOKE] if choice.preset == "smoke" else []
    notes.append(
        f"Chosen (*): {chosen}: the first value within {100 * TOLERANCE:g} points of the best "
        f"{METRICS[CRITERION]}, averaged over {len(choice.categories)} "
        f"{'category' if len(choice.categories) == 1 else 'categories'}."
    )
    notes.append(
        f"{sum(h.normals for h in held)} held-out training images and "
        f"{sum(h.synthetic for h in held)} with pasted fragments; fitted on the other "
        f"{sum(h.fitted for h in held)}. No test image was opened."
    )
    faint = {c: h for c, h in choice.held_out.items() if h.faint}
    for category, own in faint.items():
        notes.append(
            f"{category}: {own.faint} of {own.synthetic} anomalies have a fragment that hardly "
            "differs from what it covers; its images are alike, which makes the choice noisy."
        )
    for curve, test in zip(choice.curves, tests, strict=True):
        if test is not None:
            notes.append(_correlation_note(curve, test))
    return notes


def _correlation_note(curve: Curve, test: TestCurve) -> str:
    there = sum(p is not None for p in test.points)
    said = ", ".join(
        f"{METRICS[name]} {'undefined' if value is None else f'{value:+.2f}'}"
        for name, value in test.correlation.items()
    )
    return (
        f"{curve.name}: Spearman correlation of pseudo-validation and test over {there} of "
        f"{len(test.points)} values: {said}. Test records were not used to choose."
    )


def _draw(axis: Axes, curve: Curve, test: TestCurve | None) -> None:
    places = range(len(curve.points))
    for name, colour in _COLOURS.items():
        own = [_or_nan(point.mean(name)) for point in curve.points]
        axis.plot(places, own, "o-", color=colour, label=f"pseudo-validation, {METRICS[name]}")
        if test is not None:
            values = [_or_nan(p.metrics[name] if p else None) for p in test.points]
            axis.plot(
                places, values, "s--", color=colour, mfc="white", label=f"test, {METRICS[name]}"
            )
    chosen = next(i for i, point in enumerate(curve.points) if point.value == curve.chosen)
    axis.axvline(chosen, color="0.6", linewidth=6, alpha=0.4, zorder=0)
    held = ", ".join(f"{n}={_text(v)}" for n, v in curve.holding.items())
    axis.set_xticks(list(places), [_text(point.value) for point in curve.points])
    axis.set_xlabel(f"{curve.name} ({held})" if held else curve.name)
    axis.set_ylabel("%")
    axis.grid(axis="y", color="0.9")
    axis.legend(fontsize=6)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else 100 * value


def _test_json(point: TestPoint | None) -> dict[str, Any] | None:
    return None if point is None else {"mean": dict(point.metrics), "seeds": list(point.seeds)}


def _test_text(point: TestPoint | None, metric: str) -> str:
    if point is None:
        return "no record"
    seeds = f" (n={len(point.seeds)})" if len(point.seeds) > 1 else ""
    return _percent(point.metrics[metric]) + seeds


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
