"""The documentation as a test sees it: pages, what is fenced in them, the command lines there."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from adbench.cli.app import app

ROOT = Path(__file__).parents[2]
NOT_RUN = ("needs ", "takes ")
"""How the title of a block begins whose commands are parsed and not run."""
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@dataclass(frozen=True)
class Block:
    """What stands between fences; `words` are its command lines, split as a shell does."""

    page: str
    language: str
    title: str
    text: str

    @property
    def is_run(self) -> bool:
        return not self.title.startswith(NOT_RUN)

    @property
    def words(self) -> list[list[str]]:
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


@cache
def hook() -> Any:
    """The module that makes pages when the site is built."""
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs/hooks/pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def pages() -> Mapping[str, str]:
    """Path to text: of the site, those that are made included, README and CONTRIBUTING."""
    files = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    written = {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}
    return written | {f"docs/{path}": text for path, text in hook().pages().items()}


def blocks(language: str) -> list[Block]:
    """All that is fenced as this language."""
    return [
        Block(page, *found.groups(""))
        for page, text in pages().items()
        for found in _FENCE.finditer(text)
        if found[1] == language
    ]


def parse(words: Sequence[str]) -> dict[str, Any]:
    """The values of the options of `adbench WORDS`, nothing run; raises as the command line does
    for what it does not know."""
    command: Any = get_command(app)
    context = command.make_context("adbench", list(words))
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    values: dict[str, Any] = context.params
    return values


@cache
def options() -> Mapping[str, frozenset[str]]:
    """The words of each command to its options."""
    return {" ".join(words): _options(words) for words in hook().commands()}


def _options(words: Sequence[str]) -> frozenset[str]:
    command: Any = get_command(app)
    for word in words:
        command = command.commands[word]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return frozenset({*known, "--help"})


def unknown_options(text: str) -> Iterator[str]:
    """Options named in a page that no command has, or not the one that they are named with."""
    prose = _FENCE.sub("", text)
    for span in re.findall(r"`([^`\n]+)`", prose):
        words = span.removeprefix("adbench ").split()
        command = next((c for c in (" ".join(words[:2]), *words[:1]) if c in options()), None)
        known = options()[command] if command else frozenset().union(*options().values())
        if "python" not in words[0]:  # a program of its own
            yield from (f"{span}: {option}" for option in _OPTION.findall(span)
                        if option not in known)  # fmt: skip
