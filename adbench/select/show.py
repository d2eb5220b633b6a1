"""A selection as tables in the terminal, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.errors import UsageError
from adbench.metrics.table import titles
from adbench.report.formats import print_notes, print_table
from adbench.report.text_table import Row, Table, Value, columns_of
from adbench.select.afterwards import SHOWN, TestCurve, TestPoint
from adbench.select.file import CRITERION, TOLERANCE, Choice, Curve, SelectionFile, value_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

METRICS = {n: titles()[n] for n in ("image_auroc", "image_aupr", "pixel_auroc", "pixel_aupr")}
FORMATS = (".png", ".pdf")
_SMOKE = "SMOKE preset: it proves that everything runs; what it chooses means nothing."

Tests = Mapping[tuple[int, int], TestCurve]
"""(Number of the choice, number of the curve) to what test records say of it."""


def print_selection(selection: SelectionFile, tests: Tests, console: Console) -> None:
    """One table per choice, the chosen values in bold and marked, and what to know of it."""
    for number, choice in enumerate(selection.choices):
        own = [tests.get((number, i)) for i in range(len(choice.curves))]
        print_table(_table(choice, own), console)
        print_notes(_notes(choice, own), console)


def to_json(selection: SelectionFile, tests: Tests) -> dict[str, Any]:
    """The file's content, its digest, the means that tables show, and test curves beside them."""
    value = selection.model_dump(mode="json")
    for number, (choice, shown) in enumerate(zip(selection.choices, value["choices"], strict=True)):
        shown["chosen"] = choice.chosen
        for i, (curve, listed) in enumerate(zip(choice.curves, shown["curves"], strict=True)):
            for point, own in zip(curve.points, listed["points"], strict=True):
                own["mean"] = {name: point.mean(name) for name in METRICS}
            if (number, i) in tests:
                found = tests[number, i]
                listed["test"] = {
                    "points": [
                        p and {"mean": dict(p.metrics), "seeds": list(p.seeds)}
                        for p in found.points
                    ],
                    "spearman": dict(found.correlation),
                }
    return {"digest": selection.digest, **value}


def check_plot_path(path: Path | None) -> None:
    """Raise `UsageError` before any work for a picture in a format that is not drawn."""
    if path is not None and path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: expected a name that ends in {' or '.join(FORMATS)}")


def write_plot(selection: SelectionFile, tests: Tests, path: Path) -> None:
    """One row per choice, one panel per hyper-parameter; PNG or PDF by the name's ending."""
    from adbench.figures.style import drawing, panels, save_as

    rows, columns = len(selection.choices), max(len(c.curves) for c in selection.choices)
    with drawing():
        figure, axes = panels(columns, rows, 3.8, 2.6, (0.2, 0.35))
        for place, axis in enumerate(axes):
            number, i = divmod(place, columns)
            choice = selection.choices[number]
            if i == 0:
                axis.set_title(choice.title, loc="left")
            if i < len(choice.curves):
                _draw(axis, choice.curves[i], tests.get((number, i)))
            else:
                axis.set_axis_off()
        save_as(figure, path)


def _table(choice: Choice, tests: Sequence[TestCurve | None]) -> Table:
    """A row a value that was tried, the chosen ones bold."""
    compared = SHOWN if any(tests) else ()
    rows = []
    for curve, test in zip(choice.curves, tests, strict=True):
        for i, point in enumerate(curve.points):
            is_chosen = point.value == curve.chosen
            texts = [_head(curve), value_text(point.value) + (" *" if is_chosen else "")]
            texts += [_percent(point.mean(name)) for name in METRICS]
            texts += [_test_text(test.points[i] if test else None, name) for name in compared]
            cells = tuple((Value(text, "best" if is_chosen else ""),) for text in texts)
            rows.append(Row(cells, ends=i == len(curve.points) - 1))
    numbers = [*METRICS.values(), *(f"test {METRICS[name]}" for name in compared)]
    columns = columns_of(("hyper-parameter", "value"), numbers)
    return Table(f"{choice.title}: pseudo-validation, %", columns, tuple(rows))


def _notes(choice: Choice, tests: Sequence[TestCurve | None]) -> list[str]:
    held = choice.held_out.values()
    chosen = ", ".join(f"{name}={value_text(value)}" for name, value in choice.chosen.items())
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
    notes += [
        f"{category}: {own.faint} of {own.synthetic} anomalies have a fragment that hardly "
        "differs from what it covers; its images are alike, which makes the choice noisy."
        for category, own in choice.held_out.items()
        if own.faint
    ]
    return notes + [
        _correlation_note(curve, test)
        for curve, test in zip(choice.curves, tests, strict=True)
        if test is not None
    ]


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
    from adbench.figures.style import COLOURS

    def draw(values: list[float | None], line: str, label: str, **options: Any) -> None:
        shown = [float("nan") if v is None else 100 * v for v in values]
        axis.plot(range(len(shown)), shown, line, label=label, **options)

    for name, colour in zip(SHOWN, COLOURS, strict=False):
        own = [point.mean(name) for point in curve.points]
        draw(own, "o-", f"pseudo-validation, {METRICS[name]}", color=colour)
        if test is not None:
            shown = [p.metrics[name] if p else None for p in test.points]
            draw(shown, "s--", f"test, {METRICS[name]}", color=colour, mfc="white")
    values = [point.value for point in curve.points]
    axis.axvline(values.index(curve.chosen), color="0.6", linewidth=6, alpha=0.4, zorder=0)
    axis.set_xticks(range(len(values)), list(map(value_text, values)))
    axis.set(xlabel=_head(curve), ylabel="%")
    axis.legend()


def _head(curve: Curve) -> str:
    held = ", ".join(f"{n}={value_text(v)}" for n, v in curve.holding.items())
    return f"{curve.name} ({held})" if held else curve.name


def _test_text(point: TestPoint | None, metric: str) -> str:
    if point is None:
        return "no record"
    seeds = f" (n={len(point.seeds)})" if len(point.seeds) > 1 else ""
    return _percent(point.metrics[metric]) + seeds


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
