"""What the site says of every method, data set and command, made when it is built.

All of it is what the command line prints: cards by `adbench methods NAME --json` and `adbench
datasets NAME --json`, measurements by `adbench report` on `results/reference`, options by `--help`.
mkdocs calls the functions that begin with `on_`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Described = dict[str, Any]
NO_FIGURE = "?"
TRAINED = 200
"""Images that the cost of a training is said for."""


def pages() -> dict[str, str]:
    """Path to text (Markdown) of the pages that no file holds."""
    made = {f"methods/{card['name']}.md": _method(card) for card in _cards("methods")}
    made |= {f"datasets/{card['name']}.md": _dataset(card) for card in _cards("datasets")}
    return made | {"commands.md": _commands()}


def filled(text: str) -> str:
    """A page with the tables of all methods and data sets where it asks for them."""
    for mark, table in (("methods", _methods_table), ("datasets", _datasets_table)):
        place = f"<!-- table of {mark} -->"
        if place in text:
            text = text.replace(place, table())
    return text


# ------------------------------------------------------------------------- what mkdocs calls


def on_config(config: Any) -> Any:
    """Name the pages in the navigation, below the hand-written page of their section."""
    for entry in config.nav:
        for title, kind in (("Methods", "methods"), ("Data sets", "datasets")):
            if title in entry:
                entry[title] += [{c["title"]: f"{kind}/{c['name']}.md"} for c in _cards(kind)]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those that files hold."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_rest: Any) -> str:
    """Put the tables in."""
    return filled(markdown)


# --------------------------------------------------------------------------------- the pages


def _method(card: Described) -> str:
    name, scope = card["name"], card["scope"]
    one = "one model for all categories" if scope == "unified" else "one model a category"
    steps = (card["selection"] or {}).get("steps", ())
    parts = [
        f"# {card['title']}",
        card["summary"],
        f"- **On the command line**: `{name}`, in the group `{card['group']}`.",
        f"- **Paper**: [{_text(card['paper'])}]({card['url']}), {card['year']}.",
        f"- **Its tables**: {one} (`--scope {scope}`).",
        _commands_block(
            "needs data",
            f"adbench run --methods {name} --dataset mpdd --preset fast --data-root DIR",
        ),
        _commands_block("", f"adbench methods {name}", f"adbench cite {name}"),
        "## What deviates from the paper",
        *([f"- {_text(line)}" for line in card["deviations"]] or ["Nothing that is known."]),
        "## Cost",
        _cost(card),
        "## Measured",
        _measured(name),
        "## Settings",
        f"`--methods '{name}[NAME=VALUE]'` or `--set {name}.NAME=VALUE` sets one. A preset has the "
        "default wherever its column is empty.",
        _settings(card),
    ]
    if steps:
        chosen = ", ".join(f"`{step['name']}`" for step in steps)
        parts += [
            "## Chosen without test images",
            f"[`adbench select`](../select.md) chooses {chosen}, in this order.",
        ]
    parts += ["## Cite", f"```bibtex\n{card['citation']}\n```"]
    return _joined(parts)


def _cost(card: Described) -> str:
    """What each preset asks of a machine, before anything runs."""
    from adbench.hyperparameters import build_hyperparameters
    from adbench.registry import load_method

    method = load_method(card["name"])
    rows = []
    for preset in card["presets"]:
        own = method(build_hyperparameters(method, preset, {}))
        training, image = own.training_flops(TRAINED), own.inference_flops(TRAINED)
        size = f"{own.geometry.size} x {own.geometry.size}"
        rows.append((f"`{preset}`", size, _figure(training / 1e12), _figure(image / 1e9)))
    about = (
        f"Rough figures for {TRAINED} training images. `adbench plan` says what a command will "
        "take on your machine."
    )
    heads = ("preset", "pixels seen", "training, TFLOP", "an image, GFLOP")
    return f"{about}\n\n{_table(heads, rows)}"


def _measured(name: str) -> str:
    """The method's part of the report on the reference records, its notes folded away."""
    words = ("report", "--results", str(ROOT / "results" / "reference"))
    found = printed(*words, "--method", name, "--format", "markdown", accept=(0, 2))
    if not found:
        return "No record of it is in `results/reference` yet."
    tables, _, notes = found.partition("\n- ")
    folded = f"- {notes}".strip().replace("\n", "\n    ")
    about = (
        "Records of `results/reference`, as `adbench report` shows them. [The reference "
        "table](../reference-results.md) has all methods side by side and says how far to trust "
        "it; [skill](../metrics.md#skill) says whether a network learned."
    )
    return f'{about}\n\n{tables}\n\n??? note "Protocols and notes"\n\n    {folded}'


def _settings(card: Described) -> str:
    presets = {name: own for name, own in card["presets"].items() if own}
    rows = [
        (
            f"`{name}`",
            f"{_text(field['description'])} {_valid(field['valid'])}",
            _value(field["default"]),
            *(_value(own[name]) if name in own else "" for own in presets.values()),
        )
        for name, field in card["hyperparameters"].items()
    ]
    same = [f"`{name}`" for name, own in card["presets"].items() if not own]
    default = f"default ({', '.join(same)})" if same else "default"
    return _table(("", "what it is", default, *(f"`{name}`" for name in presets)), rows)


def _dataset(card: Described) -> str:
    name, found = card["name"], ", ".join(f"`{n}`" for n in card["directory_names"])
    rendered = name == "synthetic"
    kind = "" if rendered else "needs data"
    where = "" if rendered else " --data-root DIR"
    rows = [
        (_text(category), own["kind"], *map(_count, _counts(own)), _defects(own))
        for category, own in card["categories"].items()
    ]
    page = card["page"]
    return _joined(
        [
            f"# {card['title']}",
            f"- **On the command line**: `{name}`, version {card['version']}.",
            f"- **From**: {f'<{page}>' if '://' in page else 'rendered on first use'}",
            f"- **Licence**: {_text(card['licence'])}.",
            f"- **Found as** {found} below `--data-root`, or that folder itself.",
            f"- **Anomalous**: mask values greater than {card['mask_threshold']}.",
            _commands_block("", f"adbench datasets {name}"),
            _commands_block(kind, f"adbench data verify {name}{where}"),
            "## Categories",
            _table(
                ("category", "kind", "train", "test, normal", "test, anomalous", "defects"), rows
            ),
            "## Folders",
            f"```text\n{card['layout'].rstrip()}\n```",
            "## To know",
            *([f"- {_text(note)}" for note in card["notes"]] or ["Nothing in particular."]),
            "## Cite",
            f"```bibtex\n{card['citation'].rstrip()}\n```",
        ]
    )


def _commands() -> str:
    """The help of every command, as it is printed."""
    parts = [
        "# Commands",
        "What `--help` prints, command by command. Exit codes are on the page of "
        "[runs](running.md#exit-codes).",
    ]
    for words in commands():
        parts += [f"## adbench {' '.join(words)}", f"```text\n{printed(*words, '--help')}```"]
    return _joined(parts)


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command, groups opened, in the order of `adbench --help`."""
    from typer.main import get_command

    from adbench.cli.app import app

    def below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in group.commands.items():
            inner = (*words, name)
            yield from below(command, inner) if hasattr(command, "commands") else [inner]

    yield from below(get_command(app), ())


def _methods_table() -> str:
    return _table(
        ("method", "paper", "group", "in short"),
        [
            (
                f"[`{c['name']}`]({c['name']}.md)",
                f"{_text(c['title'])}, {c['year']}",
                c["group"],
                _text(c["summary"]),
            )
            for c in _cards("methods")
        ],
    )


def _datasets_table() -> str:
    return _table(
        ("data set", "what", "categories", "found under the names", "from"),
        [
            (
                f"[`{c['name']}`]({c['name']}.md)",
                _text(c["title"]),
                str(len(c["categories"])),
                " ".join(f"`{n}`" for n in c["directory_names"]),
                f"<{c['page']}>" if "://" in c["page"] else "rendered on first use",
            )
            for c in _cards("datasets")
        ],
    )


# ------------------------------------------------------------------- what they are made from


@cache
def _cards(kind: str) -> tuple[Described, ...]:
    """The cards of all methods or data sets, of methods with settings and presets."""
    listed = json.loads(printed(kind, "--json"))
    return tuple(json.loads(printed(kind, card["name"], "--json")) for card in listed)


def printed(*words: str, accept: Sequence[int] = (0,)) -> str:
    """What `adbench WORDS` prints; raises RuntimeError for an exit code that is not accepted."""
    from adbench.cli import main

    out, err, argv, width = io.StringIO(), io.StringIO(), sys.argv, os.environ.get("COLUMNS")
    sys.argv, os.environ["COLUMNS"] = ["adbench", *words], "90"
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = argv
        os.environ.pop("COLUMNS")
        os.environ |= {} if width is None else {"COLUMNS": width}
    if code not in accept:
        raise RuntimeError(f"adbench {' '.join(words)}: exit code {code}: {err.getvalue()}")
    return out.getvalue()


def _commands_block(needs: str, *lines: str) -> str:
    title = f' title="{needs}"' if needs else ""
    return "\n".join((f"```sh{title}", *lines, "```"))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _joined(parts: Sequence[str]) -> str:
    return "\n".join(part if part.startswith("- ") else f"\n{part}\n" for part in parts)


def _text(text: str) -> str:
    """Text as it is, whatever Markdown would make of it; `code` stays code."""
    return re.sub(r"([\\*_\[\]<>|{}])", r"\\\1", text)


def _value(value: Any) -> str:
    return "none" if value is None else f"`{json.dumps(value).strip(chr(34))}`"


def _figure(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _valid(valid: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words = []
    for option in [valid, *valid.get("anyOf", [])]:
        if "enum" in option:
            words.append(" or ".join(f"`{value}`" for value in option["enum"]))
        words += [f"{sign} {option[key]}" for key, sign in signs.items() if key in option]
    return f"({', '.join(words)})" if words else ""


def _counts(category: Mapping[str, Any]) -> Iterator[int | None]:
    yield from (category[key] for key in ("train_good", "test_good", "test_anomalous"))


def _count(count: int | None) -> str:
    return NO_FIGURE if count is None else str(count)


def _defects(category: Mapping[str, Any]) -> str:
    return ", ".join(f"{_text(name)} {count}" for name, count in category["defects"].items())
