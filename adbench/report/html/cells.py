"""Every cell with what is needed to trust its numbers: protocol, settings, environment, timing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adbench.report import skill
from adbench.report.blocks import Numbers
from adbench.report.marks import Marks
from adbench.report.notes import describe
from adbench.report.tables import TITLES, grouped
from adbench.store.files import canonical_json
from adbench.store.records import Record, mean_metrics, shared_protocol

MAX_DIAGNOSTICS = 300
"""With more cells than this, what training reported stays out of the report."""

View = dict[str, Any]
"""What a template prints of one thing, by name."""


def protocols_of(records: Iterable[Record], marks: Marks) -> dict[str, View]:
    """Digest -> protocol, in order of appearance."""
    done = grouped((r for r in records if r.status == "done"), lambda r: r.protocol_digest)
    views = {}
    for number, (digest, own) in enumerate(done.items(), start=1):
        protocol = shared_protocol(own[0].protocol)
        fields = {name.replace("_", " "): _plain(value) for name, value in protocol.items()}
        if protocol["scope"] == "separate":
            fields["trained categories"] = "each its own"  # as in the digest: equal for all of them
        views[digest] = {
            "anchor": f"protocol-{number}",
            "name": f"protocol {marks.letter(digest) or digest}",
            "sentence": describe(own[0].protocol),
            "dataset": protocol["dataset"],
            "fields": fields,
            "methods": sorted({record.identity["method"] for record in own}),
        }
    return views


def differences(protocols: Iterable[View]) -> list[View]:
    """The fields in which the protocols of one data set differ, a column a protocol; one table a
    data set that has two or more."""
    found = []
    for dataset, own in grouped(protocols, lambda view: str(view["dataset"])).items():
        names = dict.fromkeys(name for view in own for name in view["fields"])
        rows = [(name, [view["fields"].get(name, "–") for view in own]) for name in names]
        differing = [(name, values) for name, values in rows if len(set(values)) > 1]
        if differing:
            found.append({"dataset": dataset, "protocols": own, "rows": differing})
    return found


def shared_facts(records: Sequence[Record]) -> tuple[dict[str, View], dict[str, View]]:
    """Environments and settings that several cells share, described once and linked to."""
    told = (record for record in records if record.environment)
    environments = grouped(told, lambda record: canonical_json(record.environment))
    settings = grouped(records, _settings_key)
    return (
        {
            key: _named("environment", number, _versions(own[0].environment))
            | {"facts": _flat(own[0].environment)}
            for number, (key, own) in enumerate(environments.items(), 1)
        },
        {
            key: _named("settings", number, f"{own[0].method} {own[0].preset}")
            | {"facts": [(n, _plain(v)) for n, v in own[0].identity["hyperparameters"].items()]}
            for number, (key, own) in enumerate(settings.items(), 1)
        },
    )


def _named(kind: str, number: int, summary: str) -> View:
    return {"anchor": f"{kind}-{number}", "name": f"{kind} {number}", "summary": summary}


def _settings_key(record: Record) -> str:
    own = record.identity
    return canonical_json([own["method"], record.variant, record.preset, own["hyperparameters"]])


def _versions(environment: Mapping[str, Any]) -> str:
    git = environment.get("git") or {}
    dirty = " with changes" if git.get("dirty") else ""
    parts = (
        f"adbench {environment.get('adbench', 'unknown')}",
        f"commit {git['commit'][:10]}{dirty}" if git.get("commit") else "",
        f"Python {environment['python']}" if "python" in environment else "",
        str(environment.get("device_name") or ""),
        str(environment.get("precision") or ""),
    )
    return ", ".join(filter(None, parts))


def cell_views(
    report: Numbers,
    protocols: Mapping[str, View],
    environments: Mapping[str, View],
    settings: Mapping[str, View],
) -> list[View]:
    """One a record, in their order."""
    records, marks = report.records, report.marks
    with_diagnostics = len(records) <= MAX_DIAGNOSTICS
    return [
        {
            "anchor": f"cell-{number}",
            "record": record,
            "where": f"{record.identity['dataset']}: {record.place.partition(':')[2]}",
            "run": f"{record.method} {record.preset}",
            "name": report.names.of_record(record),
            "mark": marks.of_record(record),
            "headline": _headline(record),
            "protocol": protocols[record.protocol_digest] if record.status == "done" else None,
            "environment": environments.get(canonical_json(record.environment)),
            "settings": settings[_settings_key(record)],
            "scores": [
                (category, [_percent(own.get(name)) for name in TITLES])
                for category, own in record.metrics.items()
            ],
            "facts": _facts(record),
            "diagnostics": record.diagnostics if with_diagnostics else {},
        }
        for number, record in enumerate(records, start=1)
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _headline(record: Record) -> str:
    mean = mean_metrics(record.metrics)[0]
    shown = [n for n in ("image_auroc", "aupro@0.3") if mean.get(n) is not None]
    return ", ".join(f"{TITLES[n]} {_percent(mean[n])}" for n in shown)


def _facts(record: Record) -> list[tuple[str, str]]:
    told = ("layout", "complete", "train_images", "test_images")
    return [
        ("keys", ", ".join(f"{name} {key}" for name, key in record.keys.items())),
        *([("skill", _skill(record.skill))] if record.skill else []),
        *(
            (f"timing: {part}", ", ".join(f"{n} {v}" for n, v in _flat(values)))
            for part, values in record.timing.items()
            if values
        ),
        *((n.replace("_", " "), _plain(record.data[n])) for n in told if n in record.data),
    ]


def _skill(parts: skill.Parts) -> str:
    """The value and all that stands behind it, or why there is none."""
    if parts["value"] is None:
        return f"none: {skill.reason(parts)}"
    rest = _flat({n: v for n, v in parts.items() if n not in ("value", "standard_error", "reason")})
    return "; ".join([skill.text(parts), *(f"{name} {value}" for name, value in rest)])


def _flat(values: Mapping[str, Any], head: str = "") -> list[tuple[str, str]]:
    """Nested facts as one level: `packages torch`, `2.6.0`."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        title = f"{head}{name}".replace("_", " ")
        nested = isinstance(value, Mapping)
        found += _flat(value, f"{title} ") if nested else [(title, _plain(value))]
    return found


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
