"""A run as a file: `adbench run --grid FILE.yaml`, the same words as the options.

Every run leaves one of itself in `RESULTS/runs/`, without the places of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, Final

from adbench.errors import UnknownNameError, UsageError, shortened
from adbench.request import Request, declared, flag_of
from adbench.store.files import digest, write_text
from adbench.store.records import now
from adbench.store.regular_files import read_bounded
from adbench.version import __version__

FOLDER: Final = "runs"
OPTION: Final = "--grid"
_PLACES: Final = ("data_root", "results", "cache_folder")
_MOST_BYTES: Final = 1_000_000
_YES, _NO = ("true", "yes", "on"), ("false", "no", "off")


def expanded(words: Sequence[str]) -> list[str]:
    """A command line with the words of its `--grid FILE` in its place; options that the command
    line gives itself count, and those of the file do not.

    Raises `UsageError` for a file that is none, or holds other words.
    """
    found = [i for i, word in enumerate(words) if re.fullmatch(f"{OPTION}(=.*)?", word, re.DOTALL)]
    if not found:
        return list(words)
    if len(found) > 1:
        raise UsageError(f"{OPTION} is given {len(found)} times: expected one file")
    place = found[0]
    _, joined, name = words[place].partition("=")
    rest = list(words[place + (1 if joined else 2) :])
    if not joined:
        name = words[place + 1] if place + 1 < len(words) else ""
    if not name:
        raise UsageError(f"{OPTION} names no file: expected {OPTION} FILE.yaml")
    own = [*words[:place], *rest]
    given = {word.partition("=")[0] for word in own}
    return [*own, *(w for flag, ws in _words_of(Path(name)).items() if not _in(flag, given)
                    for w in ws)]  # fmt: skip


def _in(flag: str, given: set[str]) -> bool:
    return flag in given or f"--no-{flag.removeprefix('--')}" in given


def _words_of(path: Path) -> dict[str, list[str]]:
    """The command line of each option in a file, by its flag."""
    options = {flag_of(name).removeprefix("--"): name for name in declared()}
    words = {}
    for option, value in _read(path).items():
        if option not in options:
            raise UnknownNameError(f"option in {path}", shortened(option), options)
        words[f"--{option}"] = _option_words(path, options[option], value)
    return words


def _option_words(path: Path, name: str, value: Any) -> list[str]:
    kind, flag = declared()[name][0], flag_of(name)
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{path}: {flag[2:]}: expected a value or a list of them")
    if kind is bool:
        if len(texts) != 1 or texts[0].lower() not in (*_YES, *_NO):
            raise UsageError(f"{path}: {flag[2:]}: found {texts}, expected true or false")
        return [flag if texts[0].lower() in _YES else f"--no-{flag[2:]}"]
    if kind == tuple[str, ...]:
        return [word for text in texts for word in (flag, text)]
    return [flag, ",".join(texts)]


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        text = read_bounded(path.expanduser(), _MOST_BYTES).decode()
        # Nothing but texts, lists and mappings: 0-4, no and 1:30:00 are what they look like.
        value = yaml.load(text, yaml.BaseLoader)
    except FileNotFoundError:
        raise UsageError(
            f"{OPTION} {path}: there is no such file; every run leaves one in RESULTS/{FOLDER}/"
        ) from None
    except OSError as error:
        raise UsageError(f"{OPTION} {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = shortened(" ".join(str(error).split()))
        raise UsageError(f"{OPTION} {path} is no YAML: {reason}") from None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UsageError(
            f"{OPTION} {path}: expected lines like `methods: lafite,patchcore`, the words of "
            "`adbench run --help` without their dashes"
        )
    return value


def keep_grid(request: Request) -> Path:
    """Keep a run's words in its results folder; the same words have the same file. Raises
    `StoreError`."""
    import yaml

    request.store().open_for_writing()
    own = {n: v for n, v in _values(request).items() if n not in _PLACES}
    words = {flag_of(name).removeprefix("--"): value for name, value in own.items()}
    body = yaml.safe_dump(words, sort_keys=False, allow_unicode=True, width=96)
    path = request.results / FOLDER / f"{_title(request)}-{digest(words)[:8]}.yaml"
    head = f"# adbench {__version__}, {now()}. To run it again, with the places of your machine:\n"
    head += f"# adbench run {OPTION} {FOLDER}/{path.name} --data-root DIR --results DIR\n"
    write_text(path, head + body)
    return path


def _values(request: Request) -> Mapping[str, Any]:
    """What is not as by default, as YAML has it."""
    found: dict[str, Any] = {}
    for name, (_, _, default) in declared().items():
        value = getattr(request, name)
        if value != default and not (value == () and default is MISSING):
            plain = list(value) if isinstance(value, tuple) else value
            plain = f"{value:.3f}s" if name == "time_limit" else plain
            is_plain = isinstance(plain, bool | int | float | str | list)
            found[name] = plain if is_plain else str(plain)
    return found


def _title(request: Request) -> str:
    """A name for people: methods, data sets and preset."""
    names = [re.sub(r"\[[^\]]*\]", "", request.methods), *request.datasets]
    parts = [re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:40] for name in names]
    return "-".join([*filter(None, parts), request.preset])[:120]
