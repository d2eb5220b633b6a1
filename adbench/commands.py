"""What the commands that touch data or results do, and how they print it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adbench import atomic
from adbench.errors import UnknownNameError, UsageError
from adbench.explain import explain_cell
from adbench.footnotes import footnotes
from adbench.grid import GridResult, Overwrite
from adbench.plan import Cell, Plan
from adbench.progress import ConsoleReporter, stderr_console
from adbench.records import Record, mean_metrics, now
from adbench.session import (
    Request,
    RunOptions,
    estimate_seconds,
    execute,
    pending_cells,
    refuse_if_hopeless,
)
from adbench.store import Store
from adbench.tables import latest, rows


def run_options(
    overwrite: str,
    wait: bool,
    keep_maps: bool,
    keep_model: bool,
    timing: bool,
    checkpoint_seconds: float,
) -> RunOptions:
    """Check `--overwrite` and bundle the rest."""
    return RunOptions(
        _overwrite(overwrite), wait, keep_maps, keep_model, timing, checkpoint_seconds
    )


def run(
    request: Request,
    options: RunOptions,
    *,
    explain: bool,
    assume_yes: bool,
    as_json: bool,
    command: Sequence[str],
) -> None:
    """`adbench run`: plan, say what it will cost, run, print the table, exit by its outcome."""
    plan = request.plan()
    store = request.store()
    store.check_format()
    pending = pending_cells(plan, store, options.overwrite)
    _announce(plan, pending)
    if explain:
        _explain(plan, store)
    if pending and not assume_yes:
        refuse_if_hopeless(pending, request.preset, _fast_command(command))
    reporter = ConsoleReporter(stderr_console())
    try:
        result = execute(request, plan, options, reporter)
    finally:
        reporter.close()
    records = [record_as_asked(cell, record) for cell, record in result.records]
    _print_outcome(records, result, request.results, as_json)
    raise SystemExit(result.exit_code)


def record_as_asked(cell: Cell, record: Record) -> Record:
    """A reused record under the preset and variant by which this command names the cell."""
    return record.model_copy(update={"preset": cell.preset, "variant": cell.variant})


def plan(request: Request, overwrite: str, *, explain: bool, as_json: bool) -> None:
    """`adbench plan`."""
    planned, store = request.plan(), request.store()
    store.check_format()
    pending = {id(c) for c in pending_cells(planned, store, _overwrite(overwrite))}
    if as_json:
        _print_json(
            [
                {
                    **cell.identity,
                    "preset": cell.preset,
                    "variant": cell.variant,
                    "key": cell.score_key,
                    "cached": id(cell) not in pending,
                    "estimate_seconds": estimate_seconds([cell]),
                }
                for cell in planned.cells
            ]
        )
        return
    _announce(planned, [c for c in planned.cells if id(c) in pending])
    for cell in planned.cells:
        waiting = id(cell) in pending
        cost = f"about {_duration(estimate_seconds([cell]))}" if waiting else "there already"
        print(f"{cell.title}: {cost}")
    if explain:
        _explain(planned, store)


def report(results: Path, format: str, out: Path | None, only: dict[str, str | None]) -> None:
    """`adbench report`."""
    if format not in ("terminal", "markdown", "csv", "json"):
        raise UnknownNameError("format", format, ("terminal", "markdown", "csv"))
    records = [r for r in latest(Store(results).records()) if _selected(r, only)]
    if not records:
        if format == "json":
            _print_json([])
            return
        raise UsageError(f"no record in {results}: `adbench run --results {results}` makes some")
    text = _render(records, format)
    if out is not None:
        atomic.write_text(out, text)
        print(f"wrote {out}", file=sys.stderr)
    else:
        sys.stdout.write(text)


def runs(results: Path, every: bool, as_json: bool) -> None:
    """`adbench runs`."""
    store = Store(results)
    records = list(store.records()) if every else latest(store.records())
    listed = [_run_line(record) for record in sorted(records, key=lambda r: r.created)]
    if as_json:
        _print_json(listed)
        return
    for line in listed:
        auroc = line["image_auroc"]
        score = "" if auroc is None else f" image AUROC {100 * auroc:.2f}"
        variant = f"[{line['variant']}]" if line["variant"] else ""
        print(
            f"{line['created']} {line['key'][:12]} {line['status']:7s} {line['dataset']}:"
            f"{','.join(line['categories'])} {line['method']}{variant} {line['preset']} "
            f"{line['scope']} seed {line['seed']}{score}"
        )
    if not listed:
        print(f"no record in {results}")


def verify(
    name: str,
    data_root: Path | None,
    strict: bool,
    evaluation_size: int,
    mask_rule: str,
    as_json: bool,
) -> None:
    """`adbench data verify`: exit 4 on an error (with `strict` on a warning too)."""
    from adbench.data import choose_categories
    from adbench.plan import MASK_RULES
    from adbench.registry import load_dataset
    from adbench.selectors import parse_dataset
    from adbench.verify import verify as check

    rule = next((r for r in MASK_RULES if r == mask_rule), None)
    if rule is None:
        raise UnknownNameError("mask rule", mask_rule, MASK_RULES)
    reference, wanted = parse_dataset(name)
    dataset = load_dataset(reference)
    root = dataset.find_root(data_root)
    categories = choose_categories(dataset, dataset.available_categories(root), wanted)
    found = check(
        dataset, root, categories, evaluation_size=evaluation_size, mask_rule=rule, strict=strict
    )
    if as_json:
        _print_json(found.to_json())
    else:
        print(f"{dataset.card.title} at {root}, layout {dataset.recognise_layout(root)}")
        for summary in found.summaries:
            print(str(summary))
        for finding in found.findings:
            print(str(finding))
    raise SystemExit(found.exit_code)


def prepare(name: str, data_root: Path | None) -> None:
    """`adbench data prepare`."""
    from adbench.registry import load_dataset
    from adbench.selectors import parse_dataset

    dataset = load_dataset(parse_dataset(name)[0])
    root = dataset.find_root(data_root)
    categories = ", ".join(dataset.available_categories(root))
    print(f"{dataset.card.title} is ready at {root}: {categories}")


def _print_outcome(
    records: list[Record], result: GridResult, results: Path, as_json: bool
) -> None:
    from adbench.report import print_report, write_reports

    if as_json:
        _print_json(rows(records))
    elif records:
        from rich.console import Console

        # Off a terminal rich would wrap tables at 80 columns.
        console = Console() if sys.stdout.isatty() else Console(width=180)
        print_report(records, console)
    if records:
        stem = f"table-{now().replace(':', '').replace('-', '')}"
        written = write_reports(records, results / "tables", stem)
        _say(f"wrote {', '.join(map(str, written))}; records are in {results / 'cells'}")
    if result.left:
        _say(f"{result.left} cells are left to the runs that claimed them")


def _announce(plan: Plan, pending: Sequence[Cell]) -> None:
    for note in plan.notes:
        _say(f"note: {note}")
    for selection in dict.fromkeys(_selections(plan)):
        for severity, message in selection:
            _say(f"{severity}: {message}")
    there = len(plan.cells) - len(pending)
    text = f"{len(plan.cells)} cells, {there} there already"
    if pending:
        text += f", {len(pending)} to run, about {_duration(estimate_seconds(pending))}"
    _say(text)


def _selections(plan: Plan) -> list[tuple[tuple[str, str], ...]]:
    return [
        tuple((f.severity, f"{cell.data.name}: {f}") for f in cell.data.findings)
        for cell in plan.cells
    ]


def _explain(plan: Plan, store: Store) -> None:
    records = list(store.records())
    for cell in plan.cells:
        _say(explain_cell(cell, store, records))


def _fast_command(command: Sequence[str]) -> str:
    words = list(command)
    if "--preset" in words:
        words[words.index("--preset") + 1] = "fast"
        return shlex.join(["adbench", *words])
    words = [w for w in words if not w.startswith("--preset=")]
    return shlex.join(["adbench", *words, "--preset", "fast"])


def _render(records: Sequence[Record], format: str) -> str:
    from adbench import report as reports

    if format == "json":
        return json.dumps(rows(records), indent=1, allow_nan=False) + "\n"
    if format == "markdown":
        return reports.markdown(records)
    if format == "csv":
        return reports.csv(records)
    import io

    from rich.console import Console

    tty = sys.stdout.isatty()
    buffer = io.StringIO()
    width = Console().width if tty else 180
    reports.print_report(records, Console(file=buffer, force_terminal=tty, width=width))
    return buffer.getvalue()


def _run_line(record: Record) -> dict[str, Any]:
    mean, _ = mean_metrics(record.metrics)
    names = ("method", "dataset", "categories", "scope", "seed", "limit")
    return {
        "created": record.created,
        "key": record.keys["score"],
        "status": record.status,
        **{name: record.identity[name] for name in names},
        "preset": record.preset,
        "variant": record.variant,
        "protocol": record.protocol_digest if record.status == "done" else None,
        "image_auroc": mean.get("image_auroc"),
        "notes": footnotes([record]),
    }


def _selected(record: Record, only: dict[str, str | None]) -> bool:
    own = {**record.identity, "preset": record.preset}
    return all(value is None or own[name] == value for name, value in only.items())


def _overwrite(text: str) -> Overwrite:
    choices: tuple[Overwrite, ...] = ("never", "failed", "all")
    for choice in choices:
        if text == choice:
            return choice
    raise UnknownNameError("--overwrite", text, choices)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
