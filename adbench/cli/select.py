"""What `adbench select` and `adbench selected` do."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.cli.progress import ConsoleReporter
from adbench.errors import UsageError
from adbench.plan import Cell
from adbench.store.records import mean_metrics
from adbench.text import counted, duration, print_json, say, stderr_console, table_console

if TYPE_CHECKING:
    from adbench.request import Request
    from adbench.select.file import SelectionFile
    from adbench.select.show import Tests
    from adbench.select.study import Metrics, Study


def select(
    request: Request,
    grids: Sequence[str],
    held_out: float,
    out: Path | None,
    plot: Path | None,
    assume_yes: bool,
    as_json: bool,
) -> None:
    """`adbench select`: search, write the file, print the curves."""
    from adbench.select.file import write_selection
    from adbench.select.planning import plan_studies, run_studies
    from adbench.select.show import check_plot_path

    check_plot_path(plot)
    request.store().check_format()
    planned = plan_studies(request, grids, held_out)
    target = out or request.results / "selections" / f"{_stem(request, planned.studies)}.json"
    _refuse_bad_targets(planned.studies, request.results, target, plot)
    for note in planned.notes:
        say(f"note: {note}")
    _announce(planned.studies, assume_yes)
    reporter = _Reporter(stderr_console())
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a method's prints are no part of the table
            selection = run_studies(request, planned.studies, reporter)
    finally:
        reporter.close()
    write_selection(target, selection)
    _show(selection, {}, plot, as_json)
    say(f"wrote {target}; use it with: adbench run --selected {target} ...")


def selected(file: Path, records: Path | None, plot: Path | None, as_json: bool) -> None:
    """`adbench selected`: show a file again, beside test records of the same values if asked."""
    from adbench.select.file import read_selection
    from adbench.select.show import check_plot_path

    check_plot_path(plot)
    selection = read_selection(file)
    _show(selection, {} if records is None else _tests(selection, records), plot, as_json)


class _Reporter(ConsoleReporter):
    """A run's live line; at its end, what the point scored."""

    def point_finished(self, cell: Cell, metrics: Metrics, number: int, total: int) -> None:
        self.close()
        mean, _ = mean_metrics(metrics)
        said = "undefined" if mean["image_auroc"] is None else f"{100 * mean['image_auroc']:.2f}"
        head = f"[{number:3d}/{total} {100 * number // total:3d}%] {cell.title}"
        say(f"{head}: image AUROC {said} on held-out normals")


def _tests(selection: SelectionFile, results: Path) -> Tests:
    from adbench.select.afterwards import missing_command, test_curve
    from adbench.store.folders import Store
    from adbench.store.newest import latest

    records = latest(Store(results).records())
    tests = {}
    for number, choice in enumerate(selection.choices):
        for i, curve in enumerate(choice.curves):
            tests[number, i] = test_curve(choice, curve, records)
            command = missing_command(choice, curve, tests[number, i], results)
            if command is not None:
                say(f"note: no test record of some values of {curve.name}; {command}")
    return tests


def _show(selection: SelectionFile, tests: Tests, plot: Path | None, as_json: bool) -> None:
    from adbench.select.show import print_selection, to_json, write_plot

    if as_json:
        print_json(to_json(selection, tests))
    else:
        print_selection(selection, tests, table_console(sys.stdout))
    if plot is not None:
        write_plot(selection, tests, plot)
        say(f"wrote {plot}")


def _stem(request: Request, studies: Sequence[Study]) -> str:
    methods = dict.fromkeys(study.cell.method.card.name for study in studies)
    datasets = dict.fromkeys(study.cell.data.name for study in studies)
    return "-".join([*methods, *datasets, request.preset, f"seed{request.seeds}"])


def _refuse_bad_targets(
    studies: Sequence[Study], results: Path, target: Path, plot: Path | None
) -> None:
    """Nothing is ever written into a data set, and nothing is found out after hours of work."""
    options = (("--results", results), ("--out", target), ("--plot", plot))
    for name, path in options:
        if path is not None and name != "--results" and path.is_dir():
            raise UsageError(f"{name} {path} is a folder: expected a file to write")
        for root in {study.cell.data.root for study in studies}:
            if path is not None and path.resolve().is_relative_to(root.resolve()):
                raise UsageError(f"{name} {path} is inside the data set {root}: choose another")


def _announce(studies: Sequence[Study], assume_yes: bool) -> None:
    from adbench.cli.run import MAX_HOURS_WITHOUT_GPU
    from adbench.machine.devices import gpu_visible
    from adbench.plan import flops_per_second

    tried = sum(len(step.values) for study in studies for step in study.steps)
    pending = [study.pending() for study in studies]
    points = sum(number for number, _ in pending)
    has_gpu = gpu_visible()
    seconds = sum(flops for _, flops in pending) / flops_per_second()
    text = f"{counted(len(studies), 'search')}, {counted(tried, 'value')}, "
    text += f"{points} to try, about {duration(seconds)}" if points else "all there already"
    say(text)
    if seconds / 3600 > MAX_HOURS_WITHOUT_GPU and not has_gpu and not assume_yes:
        raise UsageError(
            f"no GPU was found and this would take about {seconds / 3600:,.0f} hours here (limit "
            f"{MAX_HOURS_WITHOUT_GPU:.0f}); use --preset fast, or the same with --yes to go ahead"
        )
