"""What `adbench select` and `adbench selected` do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.cli.progress import watched
from adbench.cli.run import refuse_if_hopeless, refuse_inside_data
from adbench.errors import UsageError
from adbench.text import counted, duration, print_json, say

if TYPE_CHECKING:
    from adbench.estimates import Estimate
    from adbench.request import Request
    from adbench.select.file import SelectionFile
    from adbench.select.search import Search
    from adbench.select.show import Tests


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
    from adbench.api import execute
    from adbench.select.file import write_selection
    from adbench.select.search import plan_searches, run_searches
    from adbench.select.show import check_plot_path

    check_plot_path(plot)
    request.store().check_format()
    searches, notes = plan_searches(request, grids, held_out)
    target = out or request.results / "selections" / f"{_stem(request, searches)}.json"
    _refuse_bad_targets(searches, request.results, target, plot)
    for note in notes:
        say(f"note: {note}")
    with watched(_announced(request, searches, assume_yes).cells) as reporter:
        selection = run_searches(
            request, searches, reporter, lambda *asked: execute(*asked).records
        )
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
        from adbench.consoles import table_console

        print_selection(selection, tests, table_console(sys.stdout))
    if plot is not None:
        write_plot(selection, tests, plot)
        say(f"wrote {plot}")


def _stem(request: Request, searches: Sequence[Search]) -> str:
    methods = dict.fromkeys(search.cell.method.card.name for search in searches)
    datasets = dict.fromkeys(search.cell.data.dataset.card.name for search in searches)
    return "-".join([*methods, *datasets, request.preset, f"seed{request.seeds}"])


def _refuse_bad_targets(
    searches: Sequence[Search], results: Path, target: Path, plot: Path | None
) -> None:
    """Nothing is found out after hours of work."""
    files = {"--out": target, "--plot": plot}
    for name, path in files.items():
        if path is not None and path.is_dir():
            raise UsageError(f"{name} {path} is a folder: expected a file to write")
    refuse_inside_data([search.cell for search in searches], {"--results": results, **files})


def _announced(request: Request, searches: Sequence[Search], assume_yes: bool) -> Estimate:
    """What is left to be tried costs, once it is said."""
    from adbench.estimates import estimate
    from adbench.select.search import pending_cells

    tried = sum(len(step.values) for search in searches for step in search.steps)
    pending = pending_cells(request, searches)
    text = f"{counted(len(searches), 'search')}, {counted(tried, 'value')}, "
    expected = estimate(pending, request)
    left = f"{len(pending)} to try, about {duration(expected.total)}"
    say(text + (left if pending else "all there already"))
    if not assume_yes:
        refuse_if_hopeless(expected, request.preset)
    return expected
