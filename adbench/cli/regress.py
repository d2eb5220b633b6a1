"""What `compare`, `baseline save`, `gate` and `history` do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adbench import errors as exits
from adbench.cli.app import deliver
from adbench.compare import gate_output
from adbench.compare import output as regress_output
from adbench.compare.baseline import make_baseline, write_baseline
from adbench.compare.compare import compare as compare_sides
from adbench.compare.gate import run_gate
from adbench.compare.regress import check_metrics
from adbench.compare.sides import Filters, baseline_side, folder_side, passes, side_of
from adbench.compare.verdicts import CATEGORIES, MEANS, Rules
from adbench.errors import UnknownNameError, UsageError
from adbench.store.folders import Store
from adbench.store.records import Record
from adbench.text import counted, json_text, print_json, say

FORMATS = ("terminal", "markdown")
_NAMED = 5
"""Cells in one message."""


def compare(
    base: str,
    head: str,
    results: Path,
    *,
    metrics: str | None,
    only: Filters,
    any_protocol: bool,
    every: bool,
    style: str,
    out: Path | None,
) -> None:
    """`adbench compare`; exits with 5 where nothing was comparable."""
    _check_style(style)
    names = check_metrics(metrics)
    left, right = side_of(base, results).only(only), side_of(head, results).only(only)
    result = compare_sides(left, right, names, any_protocol=any_protocol)
    if style == "json":
        text = json_text(regress_output.comparison_json(result)) + "\n"
    else:
        page = regress_output.comparison_page(result, every=every)
        text = _text(page, style, f"{base} → {head}")
    deliver(text, out, coloured=style == "terminal")
    if not result.compared:
        say(f"nothing comparable in {base} and {head}")
        raise SystemExit(exits.NOTHING_COMPARABLE)


def save_baseline(path: Path, results: Path, only: Filters, *, strict: bool) -> None:
    """`adbench baseline save`: the finished records of a results folder.

    What is no benchmark result is said by name; raises `UsageError` for it where `strict`.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: expected a file to write, like baseline.json")
    side = folder_side(results).only(only)
    done = [r for r in side.records if r.status == "done"]
    if not done:
        raise UsageError(
            f"no finished record in {results}: `adbench run --results {results}` makes some"
        )
    doubts = list(_doubts(done))
    if strict and doubts:
        again = ["adbench", "baseline", "save", path.resolve(), "--results", results.resolve()]
        again += [w for name, value in only.items() if value for w in (f"--{name}", value)]
        raise UsageError(
            f"{'; '.join(doubts)}: expected runs of another preset without --limit; "
            f"`{shlex.join(map(str, again))}`, without --strict, saves these all the same"
        )
    pixels = {r.keys["score"]: side.encoded_pixels(r) for r in done}
    write_baseline(make_baseline(done, {k: v for k, v in pixels.items() if v}), path)
    left_out = len(side.records) - len(done)
    for line in doubts:
        say(f"warning: {line}; saved all the same (--strict refuses)")
    say(
        f"wrote {path}: {counted(len(done), 'cell')}"
        + (f"; {left_out} failed or skipped left out" if left_out else "")
    )


def _doubts(records: Sequence[Record]) -> Iterator[str]:
    """A line with count and names for each reason why records are no benchmark results."""
    reasons = {
        "of preset smoke, whose scores mean nothing": [r for r in records if r.preset == "smoke"],
        "of a part of the images (--limit)": [
            r for r in records if r.identity["limit"] is not None
        ],
    }
    for reason, own in reasons.items():
        names = list(dict.fromkeys(map(_name, own)))
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"{counted(len(own), 'cell')} {reason}: {', '.join(names[:_NAMED])}{more}"


def _name(record: Record) -> str:
    own = record.identity
    method = f"{own['method']}[{record.variant}]" if record.variant else own["method"]
    return f"{own['dataset']}:{','.join(own['categories'])} {method} {record.preset}"


def gate(
    baseline: Path,
    results: Path,
    rules: Rules,
    *,
    only: Filters,
    style: str,
    out: Path | None,
) -> None:
    """`adbench gate`; exits by what was found."""
    _check_style(style)
    base = baseline_side(baseline).only(only)
    result = run_gate(base, folder_side(results).only(only), rules)
    if style == "json":
        text = json_text(gate_output.gate_json(result)) + "\n"
    else:
        text = _text(gate_output.gate_page(result), style, "adbench gate")
    deliver(text, out, coloured=style == "terminal")
    if out is not None or style == "json":
        say(gate_output.gate_headline(result))
    raise SystemExit(result.exit_code)


def history(
    results: Path,
    metric: str,
    category: str | None,
    *,
    only: Filters,
    out: Path | None,
    as_json: bool,
) -> None:
    """`adbench history`: all records, not the latest alone."""
    from adbench.compare import history as timeline

    name, *more = check_metrics(metric)
    if more or not metric.strip():
        raise UsageError(f"--metric {metric!r}: expected one metric, like image_auroc")
    if out is not None and out.suffix.lower() not in timeline.PLOT_TYPES:
        raise UsageError(
            f"--out {out}: expected a name that ends in {', '.join(timeline.PLOT_TYPES)}"
        )
    records = [r for r in Store(results).records() if passes(r, only)]
    series = timeline.history(records, name, category)
    if as_json:
        print_json([regress_output.series_json(s, name) for s in series])
    elif series:
        page = regress_output.history_page(series, name)
        deliver(regress_output.terminal(page), None, coloured=True)
    else:
        where = f" of category {category}" if category else ""
        say(f"no {name}{where} in the records of {results}: `adbench runs` lists them")
    if out is not None:
        if not series:
            raise UsageError(f"--out {out}: there is nothing to draw")
        timeline.write_plot(series, name, out)
        say(f"wrote {out}")


def make_rules(metrics: str | None, on: str | None, **others: Any) -> Rules:
    """Check `--metrics` and `--on`, and bundle the rest, named as the fields of `Rules`."""
    if on not in (None, MEANS, CATEGORIES):
        raise UnknownNameError("--on", on, (MEANS, CATEGORIES))
    return Rules(check_metrics(metrics), on=on, **others)


def _check_style(style: str) -> None:
    if style not in (*FORMATS, "json"):
        raise UnknownNameError("--format", style, FORMATS)


def _text(page: regress_output.Page, style: str, title: str) -> str:
    if style == "markdown":
        return regress_output.markdown(page, title)
    return regress_output.terminal(page)
