"""The commands that tell what there is: methods, datasets, cite, doctor, data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adbench.cli.app import app, data_app
from adbench.cli.options import Json
from adbench.errors import PluginError, UnknownNameError
from adbench.shared_options import (
    NORMAL,
    DataRoot,
    MaskRuleName,
    MasksFolder,
    MaskThreshold,
    Results,
)
from adbench.text import at_home, print_json, say, show, show_lines

if TYPE_CHECKING:
    from adbench.contracts import Method
    from adbench.data.selection import Found

Described = dict[str, Any]
"""A card, and what else is told of it, as plain values."""
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="describe this one")]


@app.command()
def methods(name: Name = None, as_json: Json = False) -> None:
    """List the methods, or describe one: paper, hyper-parameters, presets, deviations."""
    from adbench.registry import load_method, method_names

    def describe(name: str) -> Described:
        return _described(load_method(name))

    if name is not None:
        _show_one(describe(name), _method_text, as_json)
        return
    _show_all(method_names(), describe, "{group:10s} {scope:9s} {title}", as_json)
    if not as_json:
        show("groups: all, diffusion, baselines. `adbench methods NAME` describes one.")


@app.command()
def datasets(name: Name = None, as_json: Json = False) -> None:
    """List the data sets, or describe one: licence, where to get it, expected folders."""
    from adbench.registry import dataset_names, load_dataset

    def describe(name: str) -> Described:
        return load_dataset(name).card.model_dump(mode="json")

    if name is not None:
        _show_one(describe(name), _dataset_text, as_json)
        return
    _show_all(dataset_names(), describe, "{count:2d} categories  {title}", as_json)
    if not as_json:
        show(
            "`adbench datasets NAME` tells licence, source and layout. Your own images have none: "
            "give their path, --dataset ./parts."
        )


@app.command()
def cite(
    method: Annotated[
        list[str] | None, typer.Argument(metavar="METHOD...", help="names, or a group")
    ] = None,
    dataset: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="a data set to cite; repeatable"),
    ] = [],  # noqa: B006 - Typer reads it once and never changes it
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Print the BibTeX of methods, data sets and adbench.

    Without names: of all that the records in --results were made with.

    \b
    adbench cite lafite patchcore --dataset mpdd >> references.bib
    """
    from adbench.report.cite import cite

    cite(method or [], dataset, results, as_json)


@app.command()
def doctor(
    results: Results = Path("results"),
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Check this installation and say how to mend it; exit code 2 if it is broken."""
    from adbench.cli.doctor import doctor

    doctor(results, data_root, as_json)


Selected = Annotated[str, typer.Argument(metavar="NAME|PATH[:CATEGORY,...]")]
Normals = Annotated[list[str], NORMAL]


@data_app.command("verify")
def verify(
    name: Selected,
    normal: Normals = [],  # noqa: B006 - as above
    masks: MasksFolder = None,
    data_root: DataRoot = None,
    strict: Annotated[bool, typer.Option("--strict", help="warnings fail too")] = False,
    evaluation_size: Annotated[
        int, typer.Option(min=8, max=8192, metavar="PIXELS", help="side of the scored maps")
    ] = 256,
    mask_rule: MaskRuleName = "nearest",
    mask_threshold: MaskThreshold = None,
    as_json: Json = False,
) -> None:
    """Open every image and mask of a data set and say what is wrong; exit code 4 for an error."""
    from adbench.data.findings import with_root
    from adbench.data.verify import verify
    from adbench.plan import MASK_RULES

    rule = next((rule for rule in MASK_RULES if rule == mask_rule), None)
    if rule is None:
        raise UnknownNameError("mask rule", mask_rule, MASK_RULES)
    _, dataset, root, categories, _ = _find(name, data_root, normal, masks)
    found = verify(
        dataset,
        root,
        categories,
        evaluation_size=evaluation_size,
        mask_rule=rule,
        mask_threshold=mask_threshold,
        strict=strict,
    )
    if as_json:
        print_json(found.to_json())
    else:
        show(f"{dataset.card.title} at {root}, layout {found.layout}")
        for line in (*found.summaries, *found.findings):
            show(with_root(str(line), root))
    raise SystemExit(found.exit_code)


@data_app.command("table")
def table(
    name: Selected,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="a .csv, .tsv or .parquet file to write", callback=at_home
        ),
    ],
    normal: Normals = [],  # noqa: B006 - as above
    masks: MasksFolder = None,
    data_root: DataRoot = None,
) -> None:
    """Write a data set as a table of files, to change and to run: one row an image.

    \b
    adbench data table ./parts --out parts.csv
    adbench run --methods patchcore --dataset parts.csv --preset fast
    """
    from adbench.cli.table import write_table

    found = _find(name, data_root, normal, masks)
    for line in write_table(found.dataset, found.root, found.categories, out):
        say(line)


def _find(name: str, data_root: Path | None, normal: Sequence[str], masks: Path | None) -> Found:
    from adbench.data.selection import check_dataset_names, find_categories
    from adbench.registry import OwnWords

    own = OwnWords(tuple(normal), masks)
    check_dataset_names([name], own)
    return find_categories(name, data_root, own)


@data_app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    data_root: DataRoot = None,
) -> None:
    """Render the synthetic set, or say where to get another one and where to put it."""
    from adbench.registry import load_dataset
    from adbench.selectors import parse_dataset

    dataset = load_dataset(parse_dataset(name)[0])
    root = dataset.find_root(data_root)
    categories = ", ".join(dataset.available_categories(root))
    show(f"{dataset.card.title} is ready at {root}: {categories}")


def _show_one(card: Described, text: Callable[[Described], str], as_json: bool) -> None:
    show_lines((json.dumps(card, indent=1) if as_json else text(card)) + "\n")


def _show_all(
    names: list[str], describe: Callable[[str], Described], line: str, as_json: bool
) -> None:
    cards: list[Described] = []
    for name in names:
        try:
            cards.append(describe(name))
        except PluginError as error:
            cards.append({"name": name, "error": str(error)})
    if as_json:
        show_lines(json.dumps(cards, indent=1) + "\n")
        return
    for card in cards:
        broken = card.get("error")
        count = len(card.get("categories", ()))
        text = f"cannot be imported: {broken}" if broken else line.format(count=count, **card)
        show(f"{card['name']:14s} {text}")


def _described(method: type[Method]) -> Described:
    """The card, every hyper-parameter with its default and limits, and the presets."""
    fields = method.Hyperparameters.model_json_schema().get("properties", {})
    presets = {name: dict(values) for name, values in method.presets.items()}
    return {
        **method.card.model_dump(mode="json"),
        "hyperparameters": {
            name: {
                "description": field.pop("description", ""),
                "default": field.pop("default", None),
                "valid": {k: v for k, v in field.items() if k != "title"},
            }
            for name, field in fields.items()
        },
        "presets": json.loads(json.dumps(presets, default=str)),
    }


def _method_text(card: Described) -> str:
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


def _valid_text(valid: Described) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    words = []
    for option in [valid, *valid.get("anyOf", [])]:
        if "enum" in option:
            words.append(" | ".join(map(str, option["enum"])))
        words += [f"{sign} {option[key]}" for key, sign in signs.items() if key in option]
    return f"({', '.join(words)})" if words else ""


def _dataset_text(card: Described) -> str:
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
