"""`adbench methods` and `adbench datasets`: cards in words or JSON, without importing torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from adbench.contracts import Dataset, Method
from adbench.errors import PluginError
from adbench.registry import dataset_names, load_dataset, load_method, method_names
from adbench.text import show, show_lines


def methods(name: str | None, as_json: bool) -> None:
    """All methods in a line each, or one in full."""
    if name is not None:
        _print_one(describe_method(load_method(name)), _method_text, as_json)
        return
    listed = [_try(describe_method, load_method, n) for n in method_names()]
    _print_all(listed, _method_line, as_json)
    if not as_json:
        show("groups: all, diffusion, baselines. `adbench methods NAME` describes one.")


def datasets(name: str | None, as_json: bool) -> None:
    """All data sets in a line each, or one in full."""
    if name is not None:
        _print_one(describe_dataset(load_dataset(name)), _dataset_text, as_json)
        return
    listed = [_try(describe_dataset, load_dataset, n) for n in dataset_names()]
    _print_all(listed, _dataset_line, as_json)
    if not as_json:
        show("`adbench datasets NAME` tells licence, source and layout.")


def _print_one(card: dict[str, Any], text: Callable[[dict[str, Any]], str], as_json: bool) -> None:
    show_lines((json.dumps(card, indent=1) if as_json else text(card)) + "\n")


def _print_all(
    cards: list[dict[str, Any]], line: Callable[[dict[str, Any]], str], as_json: bool
) -> None:
    if as_json:
        show_lines(json.dumps(cards, indent=1) + "\n")
        return
    for card in cards:
        broken = card.get("error")
        text = f"cannot be imported: {broken}" if broken else line(card)
        show(f"{card['name']:14s} {text}")


def _method_line(card: dict[str, Any]) -> str:
    return f"{card['group']:10s} {card['scope']:9s} {card['title']}"


def _dataset_line(card: dict[str, Any]) -> str:
    return f"{len(card['categories']):2d} categories  {card['title']}"


def describe_method(method: type[Method]) -> dict[str, Any]:
    """Card, hyper-parameters and presets as plain values."""
    return {
        **method.card.model_dump(mode="json"),
        "hyperparameters": _fields(method),
        "presets": {k: _plain(v) for k, v in method.presets.items()},
    }


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """The card as plain values."""
    return dataset.card.model_dump(mode="json")


def _try(describe: Any, load: Any, name: str) -> dict[str, Any]:
    try:
        described: dict[str, Any] = describe(load(name))
    except PluginError as error:
        return {"name": name, "error": str(error)}
    return described


def _fields(method: type[Method]) -> dict[str, Any]:
    schema = method.Hyperparameters.model_json_schema().get("properties", {})
    fields: dict[str, Any] = {}
    for name, entry in schema.items():
        limits = {k: v for k, v in entry.items() if k not in ("title", "default", "description")}
        default = entry.get("default")
        fields[name] = {
            "description": entry.get("description", ""),
            "default": default,
            "valid": limits,
        }
    return fields


def _plain(values: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), default=str))
    return plain


def _method_text(card: dict[str, Any]) -> str:
    lines = [
        f"{card['title']} ({card['name']}, {card['group']}, scope {card['scope']})",
        f"  {card['summary']}",
        f"  {card['paper']} ({card['year']}), {card['url']}",
        "",
        "Deviations from the publication:",
        *(f"  - {d}" for d in card["deviations"] or ["none known"]),
        "",
        "Hyper-parameters (NAME[k=v] or --set NAME.k=v):",
    ]
    for name, field in card["hyperparameters"].items():
        valid = _valid_text(field["valid"])
        lines.append(f"  {name} = {json.dumps(field['default'])}  {field['description']} {valid}")
    lines += ["", "Presets, as differences from these defaults:"]
    lines += [f"  {name}: {json.dumps(values)}" for name, values in card["presets"].items()]
    return "\n".join(lines)


def _valid_text(valid: dict[str, Any]) -> str:
    words = []
    for option in [valid, *valid.get("anyOf", [])]:
        if "enum" in option:
            words.append(" | ".join(map(str, option["enum"])))
        names = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
        words += [f"{sign} {option[key]}" for key, sign in names.items() if key in option]
    return f"({', '.join(words)})" if words else ""


def _dataset_text(card: dict[str, Any]) -> str:
    lines = [
        f"{card['title']} ({card['name']}, version {card['version']})",
        f"  home page  {card['page']}",
        f"  licence    {card['licence']}",
        f"  searched   {', '.join(card['directory_names'])} under --data-root, or the root itself",
        f"  masks      anomalous where the value is > {card['mask_threshold']}",
        "",
        "Categories (kind; train, test normal, test anomalous):",
    ]
    for name, own in card["categories"].items():
        numbers = (own[k] for k in ("train_good", "test_good", "test_anomalous"))
        counts = "/".join("?" if n is None else str(n) for n in numbers)
        lines.append(f"  {name:14s} {own['kind']:8s} {counts}")
    lines += ["", "Expected tree:", *(f"  {line}" for line in card["layout"].splitlines())]
    lines += ["", "Notes:", *(f"  - {note}" for note in card["notes"] or ["none"])]
    lines += ["", "Cite:", card["citation"]]
    return "\n".join(lines)
