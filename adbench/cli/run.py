"""What `adbench run` and `adbench plan` do: plan, say what it will cost, run, print the outcome."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from adbench.api import Result, execute, pending_cells
from adbench.cell.records import data_notes
from adbench.cli.explain import explain_cell
from adbench.cli.progress import watched
from adbench.data.findings import with_root
from adbench.data.shrinking import largest_size, shrunk
from adbench.errors import DataError, StoreError, UsageError
from adbench.estimates import Estimate, Measured, estimate, learn
from adbench.grid_files import keep_grid
from adbench.loggers import logged
from adbench.machine.devices import gpu_visible
from adbench.machine.environment import package_versions
from adbench.plan import Cell, Plan
from adbench.registry import dataset_names
from adbench.report.folder import tables_text
from adbench.report.tables import part_rows, public, rows
from adbench.request import Request, parse_executor
from adbench.select.apply import chosen_by
from adbench.store.comparability import library_versions
from adbench.store.folders import Store
from adbench.store.records import Record, now
from adbench.text import counted, duration, print_json, say, show, show_lines

MAX_HOURS_WITHOUT_GPU = 12.0


def run(request: Request, *, explain: bool, figures: bool, assume_yes: bool, as_json: bool) -> None:
    """`adbench run`; exits by the outcome."""
    plan, pending, expected = _planned(request, explain=explain, quiet=False)
    refuse_inside_data(plan.cells, {"--results": request.results})
    say(_total(plan, len(pending), expected))
    runs_here = parse_executor(request.executor)[0] in ("serial", "local")
    if pending and runs_here and not assume_yes:
        refuse_if_hopeless(expected, request.preset)
    began = time.monotonic()
    if pending:
        keep_grid(request)
    with watched(expected.cells) as reporter, logged(reporter, request) as heard:
        result = execute(request, plan, heard)
    records = [record_as_asked(cell, record) for cell, record in result.records]
    _print_outcome(records, result, request.results, as_json)
    _point_at_data(result.records)
    if figures:
        from adbench.cli.figures import draw_run

        outcomes = [(cell, r) for (cell, _), r in zip(result.records, records, strict=True)]
        draw_run(outcomes, request.results, request.open_cache(), request.device)
    elif runs_here and reporter.alone == len(pending) > 0:
        around = time.monotonic() - began - reporter.worked
        learn(request.open_cache().folder, request.device, [Measured.around(around)])
    raise SystemExit(result.exit_code)


def plan(request: Request, *, explain: bool, as_json: bool) -> None:
    """`adbench plan`."""
    planned, pending, expected = _planned(request, explain=explain, quiet=as_json)
    open_ = {id(cell) for cell in pending}
    seconds = {**estimate(planned.cells, request).cells, **expected.cells}
    if as_json:
        print_json(
            [
                {
                    **cell.identity,
                    "preset": cell.preset,
                    "variant": cell.variant,
                    "key": cell.score_key,
                    "cached": id(cell) not in open_,
                    "estimate_seconds": seconds[cell.score_key],
                }
                for cell in planned.cells
            ]
        )
        return
    for cell in planned.cells:
        cost = f"about {duration(seconds[cell.score_key])}"
        show(f"{cell.title}: {cost if id(cell) in open_ else 'there already'}")
    show(_total(planned, len(pending), expected))


def _planned(request: Request, *, explain: bool, quiet: bool) -> tuple[Plan, list[Cell], Estimate]:
    """The plan, what of it is to be run, and what that will take; says it, unless it is to be
    `quiet`."""
    store = request.store()
    store.check_format()
    plan = request.plan(chosen_by(request))
    pending = pending_cells(plan, store, request.overwrite)
    expected = estimate(pending, request)
    if not quiet:
        _announce(plan, pending)
        if request.snapshots > 1:
            _say_what_lacks_snapshots(plan, pending, store)
    if explain:
        records = list(store.records())
        for cell in plan.cells:
            say(explain_cell(cell, store, records))
    return plan, pending, expected


def _announce(plan: Plan, pending: Sequence[Cell]) -> None:
    # For what is finished no image is opened.
    for note in (*plan.notes, *_shrink_notes(pending)):
        say(f"note: {note}")
    # One data set stands behind many cells, and two selections may share a finding.
    findings = {
        (c.data.name, finding, c.data.root) for c in plan.cells for finding in c.data.findings
    }
    for name, finding, root in sorted(findings, key=str):
        text = with_root(str(finding).removeprefix(f"{finding.severity}: "), root)
        # One category alone may be called as its data set.
        say(f"{finding.severity}: {name}: {text.removeprefix(f'{name}: ')}")


def _total(plan: Plan, pending: int, expected: Estimate) -> str:
    text = f"{counted(len(plan.cells), 'cell')}, {len(plan.cells) - pending} there already"
    if pending:
        text += f", {pending} to run, about {duration(expected.total)}"
    return text


def _shrink_notes(cells: Iterable[Cell]) -> Iterator[str]:
    """Of images of one's own that a method sees much smaller than they are: whoever made a known
    data set chose its size."""
    seen = {(c.data.name, c.method.card.name, c.build().geometry.resize): c for c in cells}
    sizes: dict[str, tuple[int, int] | None] = {}
    for (name, method, side), cell in seen.items():
        if cell.data.reference in dataset_names():
            continue
        if name not in sizes:
            sizes[name] = largest_size(cell.data.root, cell.data.samples.values())
        what = shrunk(*size, side) if (size := sizes[name]) is not None else None
        if what is not None:
            wider = "image_size" in cell.method.Hyperparameters.model_fields
            option = f", or let it see more with --set {method}.image_size=N" if wider else ""
            yield f"{name}: {method} sees {what}; cut large images into tiles{option}"


def _say_what_lacks_snapshots(plan: Plan, pending: Sequence[Cell], store: Store) -> None:
    """What is there keeps its key and its record; only a training anew has points along it."""
    open_ = {id(cell) for cell in pending}
    there = [cell for cell in plan.cells if id(cell) not in open_ and cell.trains_in_steps]
    records = [store.cell(cell).record() for cell in there]
    lacking = sum(r is not None and r.status == "done" and not r.snapshots for r in records)
    if lacking:
        say(
            f"note: {counted(lacking, 'cell')} there already without snapshots: they are reused as "
            "they are; --overwrite all trains them again, with snapshots"
        )


def refuse_inside_data(cells: Iterable[Cell], places: Mapping[str, Path | None]) -> None:
    """Raise `UsageError` for an option by which something would be written into a data set."""
    for name, path in places.items():
        for folder in {f for cell in cells for f in cell.data.dataset.folders(cell.data.root)}:
            if path is not None and path.resolve().is_relative_to(folder.resolve()):
                raise UsageError(
                    f"{name} {path} is inside the data set {folder}: expected a place outside"
                )


def refuse_if_hopeless(expected: Estimate, preset: str) -> None:
    """Raise `UsageError` where no GPU is found and the estimate exceeds 12 hours."""
    hours = expected.total / 3600
    if gpu_visible() or hours <= MAX_HOURS_WITHOUT_GPU:
        return
    words = [word for word in sys.argv[1:] if not word.startswith("--preset=")]
    if "--preset" in words:
        del words[words.index("--preset") : words.index("--preset") + 2]
    command = shlex.join(["adbench", *words, "--preset", "fast"])
    raise UsageError(
        f"no GPU was found and {counted(len(expected.cells), 'cell')} with --preset {preset} "
        f"would take about {hours:,.0f} hours here (limit {MAX_HOURS_WITHOUT_GPU:.0f}); run "
        f"`{command}`, or the same with --yes to go ahead"
    )


def record_as_asked(cell: Cell, record: Record) -> Record:
    """A reused record under the preset and variant by which this command names the cell.

    Its scores are of the files that the cell uses; what else lies there may have changed, and is
    said as it is now, as it was before the run.
    """
    data = record.data | data_notes(cell) if record.status == "done" else record.data
    named = {"preset": cell.preset, "variant": cell.variant}
    return record.model_copy(update={**named, "data": data})


def _print_outcome(records: list[Record], result: Result, results: Path, as_json: bool) -> None:
    _warn_of_other_libraries(records)
    if as_json:
        print_json(public([*rows(records), *part_rows(records)]))
    elif records:
        show_lines(tables_text(records), coloured=True)
    if records:
        say(_written(records, result, results))
    cells = counted(result.left, "cell")
    if result.submitted:
        say(f"{cells} left to the jobs: adbench status --results {shlex.quote(str(results))}")
    elif result.out_of_time:
        say(f"{cells} left: the time limit is reached; run the same command again to go on")
    elif result.left:
        say(f"{cells} left to the runs that claimed them")


def _written(records: list[Record], result: Result, results: Path) -> str:
    """Write the tables into the results folder, and say where; a run that had nothing else to
    write does not need to."""
    from adbench.report.formats import write_reports

    stem = f"table-{now().replace(':', '').replace('-', '')}"
    try:
        written = write_reports(records, results / "tables", stem)
    except StoreError as error:
        if result.reused < len(records):
            raise
        return f"note: all was there already and nothing was written: {error}"
    return f"wrote {', '.join(map(str, written))}; records are in {results / 'cells'}"


def _point_at_data(outcomes: Sequence[tuple[Cell, Record]]) -> None:
    """What to type where data made cells fail; each names its first flaw alone."""
    failed = [(cell, record.failure) for cell, record in outcomes if record.failure is not None]
    code = DataError.exit_code
    for command in sorted({c.data.verify_command for c, f in failed if f.exit_code == code}):
        say(f"to see all that is wrong with the data: {command}")


def _warn_of_other_libraries(records: Sequence[Record]) -> None:
    """Reused numbers are those of the libraries that made them."""
    here = package_versions()
    changes = dict.fromkeys(
        f"{name} {version}, here {here[name]}"
        for record in records
        for name, version in (library_versions(record) or {}).items()
        if here.get(name) not in (None, version)
    )
    if changes:
        say(
            f"note: reused numbers were made with other libraries ({'; '.join(changes)}); "
            "--overwrite all makes them anew"
        )
