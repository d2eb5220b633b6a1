"""What sets a published number and one of ours apart: the protocol, and the hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adbench.hyperparameters import build_hyperparameters
from adbench.metrics.table import METRICS
from adbench.registry import load_method
from adbench.report.own_runs import OwnRun
from adbench.report.reported import ReportedColumn
from adbench.report.tables import MEAN, SPREAD

UNCOMPARED = frozenset({"image_size", "crop", "backbone"})
"""Hyper-parameters that the protocol has, too, where they are compared."""


@dataclass(frozen=True)
class Difference:
    """One reason why two numbers are not comparable, as texts."""

    what: str
    ours: str
    reported: str


def differences(
    column: ReportedColumn, run: OwnRun, expected: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """All that sets a run of ours apart from a reported column; `expected` are the published
    hyper-parameters. What the paper does not state counts as different where it must agree."""
    protocol, first = run.protocol, run.first
    found = [
        _unless_equal("version", protocol["dataset_version"], column.dataset_version),
        _unless_equal("scope", protocol["scope"], column.scope),
        _trained(protocol, column),
        _unless_equal(
            "image size",
            size_text(protocol["image_size"], protocol["crop"]),
            size_text(column.image_size, column.crop),
        ),
        _unless_equal("backbone", protocol.get("backbone") or "none", column.backbone),
        _unless_equal("limit", str(protocol["limit"]), "None"),
    ]
    if first["preset"] in ("fast", "smoke"):
        found.append(Difference("preset", first["preset"], "paper"))
    else:
        found += [
            Difference(name, _text(run.hyperparameters[name]), _text(expected[name]))
            for name in sorted(expected)
            if name not in UNCOMPARED and not same(run.hyperparameters, expected, name)
        ]
    return tuple(difference for difference in found if difference is not None)


def cell_difference(
    column: ReportedColumn, run: OwnRun, category: str, metric: str
) -> Difference | None:
    """What sets one number apart beyond `differences`: a mean over other categories, or, for pixel
    metrics, another resize of the masks where the paper states its own."""
    if category in (MEAN, SPREAD) and run.categories != column.categories:
        return Difference("categories", _listed(run.categories), _listed(column.categories))
    ours, reported = run.protocol["mask_rule"], column.mask_rule
    if METRICS[metric].level == "pixel" and reported and ours != reported:
        return Difference("mask rule", ours, reported)
    return None


def _trained(protocol: Mapping[str, Any], column: ReportedColumn) -> Difference | None:
    """A unified model's categories; a separate model has its own alone on both sides."""
    trained = frozenset(protocol["trained_categories"])
    if column.scope == "separate" or trained == column.categories:
        return None
    ours = _listed(trained) if protocol["scope"] == "unified" else "one"
    return Difference("trained on", ours, _listed(column.categories))


def _unless_equal(what: str, ours: str, reported: str) -> Difference | None:
    return None if ours == reported else Difference(what, ours, reported or "not stated")


def size_text(resize: int, crop: int | None) -> str:
    """The side of the image, with that of a centre crop."""
    return f"{resize} (crop {crop})" if crop else str(resize)


def published_hyperparameters(column: ReportedColumn) -> dict[str, Any]:
    """Those of ours that the column stands for; raises `AdbenchError` where the method is not
    installed or has none of that name."""
    method = load_method(column.method)
    options = selector_options(column.selector)
    return build_hyperparameters(method, column.preset, options).canonical()


def selector_options(selector: str) -> dict[str, str]:
    """`k=v,k2=v2` as a dictionary."""
    return dict(option.split("=", 1) for option in selector.split(",") if option)


def same(own: Mapping[str, Any], expected: Mapping[str, Any], name: str) -> bool:
    """Equal, or unknown to a record of older code, or a file that the user has to provide."""
    if name not in own or name not in expected:
        return True
    is_file = isinstance(own[name], str) and "#sha256:" in own[name]
    return is_file or bool(own[name] == expected[name])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(categories: frozenset[str]) -> str:
    """A few by name, many by their number."""
    return ", ".join(sorted(categories)) if len(categories) < 4 else f"{len(categories)} categories"
