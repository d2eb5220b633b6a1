"""Every cell with what is needed to trust its numbers: protocol, settings, environment, timing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adbench.report.html.protocols import ProtocolView
from adbench.report.marks import Marks
from adbench.report.tables import TITLES
from adbench.store.files import canonical_json
from adbench.store.records import METRICS, Record, mean_metrics

MAX_DIAGNOSTICS = 300
"""With more cells than this, what training reported stays out of the report."""


@dataclass(frozen=True)
class Shared:
    """Facts that several cells share, described once and linked to."""

    anchor: str
    name: str
    summary: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CellView:
    """One cell of the list."""

    anchor: str
    dataset: str
    scope: str
    categories: tuple[str, ...]
    run: str
    mark: str
    seed: int
    status: str
    headline: str
    created: str
    protocol: ProtocolView | None
    environment: Shared | None
    settings: Shared
    scores: tuple[tuple[str, tuple[str, ...]], ...]
    """(category, metric texts) in the order of `METRIC_TITLES`."""
    facts: tuple[tuple[str, str], ...]
    diagnostics: str
    failure: Any
    reason: str | None

    @property
    def where(self) -> str:
        """`mpdd: metal_plate` or `mpdd: 6 categories`."""
        own = self.categories
        return f"{self.dataset}: {own[0] if len(own) == 1 else f'{len(own)} categories'}"


METRIC_TITLES = tuple(TITLES.values())


def environments_of(records: Sequence[Record]) -> dict[str, Shared]:
    """Canonical JSON of an environment -> how it is shown."""
    found: dict[str, Shared] = {}
    for record in records:
        key = canonical_json(record.environment)
        if record.environment and key not in found:
            number = len(found) + 1
            found[key] = Shared(
                f"environment-{number}",
                f"environment {number}",
                _environment_summary(record.environment),
                _flat(record.environment),
            )
    return found


def settings_of(records: Sequence[Record]) -> dict[str, Shared]:
    """Canonical JSON of a method's hyper-parameters -> how they are shown."""
    found: dict[str, Shared] = {}
    for record in records:
        key = _settings_key(record)
        if key not in found:
            number = len(found) + 1
            values = record.identity["hyperparameters"]
            found[key] = Shared(
                f"settings-{number}",
                f"settings {number}",
                f"{record.method} {record.preset}",
                tuple((name, _plain(value)) for name, value in values.items()),
            )
    return found


def cell_views(
    records: Sequence[Record],
    protocols: Mapping[str, ProtocolView],
    environments: Mapping[str, Shared],
    settings: Mapping[str, Shared],
) -> list[CellView]:
    """One a record, in their order."""
    views, marks = [], Marks(records)
    for number, record in enumerate(records, start=1):
        done = record.status == "done"
        protocol = protocols[record.protocol_digest] if done else None
        wanted = record.diagnostics and len(records) <= MAX_DIAGNOSTICS
        views.append(
            CellView(
                anchor=f"cell-{number}",
                dataset=record.identity["dataset"],
                scope=record.identity["scope"],
                categories=tuple(record.identity["categories"]),
                run=f"{record.method} {record.preset}",
                mark=marks.of_record(record),
                seed=record.identity["seed"],
                status=record.status,
                headline=_headline(record),
                created=record.created,
                protocol=protocol,
                environment=environments.get(canonical_json(record.environment)),
                settings=settings[_settings_key(record)],
                scores=_scores(record),
                facts=_facts(record),
                diagnostics=json.dumps(record.diagnostics, indent=1) if wanted else "",
                failure=record.failure,
                reason=record.reason,
            )
        )
    return views


def _settings_key(record: Record) -> str:
    own = record.identity
    return canonical_json([own["method"], record.variant, record.preset, own["hyperparameters"]])


def _headline(record: Record) -> str:
    mean, _ = mean_metrics(record.metrics)
    shown = [(n, mean.get(n)) for n in ("image_auroc", "aupro@0.3")]
    return ", ".join(f"{TITLES[n]} {100 * v:.2f}" for n, v in shown if v is not None)


def _scores(record: Record) -> tuple[tuple[str, tuple[str, ...]], ...]:
    def text(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.2f}"

    shown = [name for name in METRICS if name in TITLES]
    return tuple(
        (category, tuple(text(values.get(name)) for name in shown))
        for category, values in record.metrics.items()
    )


def _facts(record: Record) -> tuple[tuple[str, str], ...]:
    facts = [("keys", ", ".join(f"{name} {key}" for name, key in record.keys.items()))]
    for part, values in record.timing.items():
        if values:
            facts.append((f"timing: {part}", ", ".join(f"{n} {v}" for n, v in _flat(values))))
    for name in ("layout", "complete", "train_images", "test_images"):
        if name in record.data:
            facts.append((name.replace("_", " "), _plain(record.data[name])))
    return tuple(facts)


def _environment_summary(environment: Mapping[str, Any]) -> str:
    git = environment.get("git") or {}
    commit = str(git.get("commit") or "")[:10]
    dirty = " with changes" if git.get("dirty") else ""
    parts = [
        f"adbench {environment.get('adbench', 'unknown')}",
        f"commit {commit}{dirty}" if commit else "",
        f"Python {environment['python']}" if "python" in environment else "",
        str(environment.get("device_name") or ""),
        str(environment.get("precision") or ""),
    ]
    return ", ".join(part for part in parts if part)


def _flat(values: Mapping[str, Any], head: str = "") -> tuple[tuple[str, str], ...]:
    """Nested facts as one level: `packages torch`, `2.6.0`."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        title = f"{head}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            found += _flat(value, f"{title} ")
        else:
            found.append((title, _plain(value)))
    return tuple(found)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
