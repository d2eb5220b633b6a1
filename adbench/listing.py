"""`adbench methods` and `adbench datasets`: cards in words or JSON, without importing torch."""

from __future__ import annotations

import json
from typing import Any

from adbench.contracts import Dataset, Method
from adbench.errors import PluginError
from adbench.registry import dataset_names, load_dataset, load_method, method_names


def methods(name: str | None, as_json: bool) -> None:
    """All methods in a line each, or one in full."""
    if name is not None:
        described = describe_method(load_method(name))
        print(json.dumps(described, indent=1) if as_json else _method_text(described))
        return
    listed = [_try(describe_method, load_method, n) for n in method_names()]
    if as_json:
        print(json.dumps(listed, indent=1))
        return
    for row in listed:
        if "error" in row:
            print(f"{row['name']:12s} cannot be imported: {row['error']}")
        else:
            print(f"{row['name']:12s} {row['group']:10s} {row['scope']:9s} {row['title']}")
    print("groups: all, diffusion, baselines. `adbench methods NAME` describes one.")


def datasets(name: str | None, as_json: bool) -> None:
    """All data sets in a line each, or one in full."""
    if name is not None:
        described = describe_dataset(load_dataset(name))
        print(json.dumps(described, indent=1) if as_json else _dataset_text(described))
        return
    listed = [_try(describe_dataset, load_dataset, n) for n in dataset_names()]
    if as_json:
        print(json.dumps(listed, indent=1))
        return
    for row in listed:
        if "error" in row:
            print(f"{row['name']:14s} cannot be imported: {row['error']}")
        else:
            print(f"{row['name']:14s} {len(row['categories']):2d} categories  {row['title']}")
    print("`adbench datasets NAME` tells licence, source and layout.")


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
