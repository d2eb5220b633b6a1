"""Options that several commands share, declared once for Typer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from adbench.errors import UsageError
from adbench.metrics.table import shown
from adbench.request import Request, declared
from adbench.text import at_home


def _out_file(path: Path | None) -> Path | None:
    path = at_home(path)
    if path is not None and path.is_dir():
        raise UsageError(f"--out {path} is a folder: expected a file to write")
    return path


ExplainCache = Annotated[
    bool, typer.Option("--explain-cache", help="say why each cell is or is not reused")
]
Grid = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.yaml",
        help="take the options from a file, as every run leaves one in RESULTS/runs; those given "
        "here count instead",
    ),
]
"""For the help alone: `grid_files.expanded` has put the file's words in its place."""
Yes = Annotated[bool, typer.Option("--yes", help="run even where it takes days")]
Json = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else, on stdout")]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="draw the curves: .png or .pdf", callback=at_home),
]

MetricNames = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help=f"default: {','.join(shown())}",
    ),
]
TextFormat = Annotated[str, typer.Option("--format", metavar="NAME", help="terminal or markdown")]
OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="write there instead of to stdout", callback=_out_file
    ),
]


NEEDED = frozenset({
    "methods", "datasets", "preset", "overrides", "seeds", "scope", "data_root", "results",
    "executor", "figures", "help",
})  # fmt: skip
"""Of the options of commands that run cells, those that most people need: help shows them first."""


class CommandInPanels(TyperCommand):
    """A command whose help has `NEEDED` options, then the others under a heading of their own."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {"Options": [], "Advanced": []}
        for option in self.get_params(ctx):
            line = option.get_help_record(ctx)
            if line is not None:
                panels["Options" if option.name in NEEDED else "Advanced"].append(line)
        for heading, lines in panels.items():
            with formatter.section(heading):
                formatter.write_dl(lines)


Command = Callable[..., None]
Only = Mapping[str, str | None]
"""What a record has to be of, None being anything."""


def _taking(
    name: str, make: Callable[..., Any], shared: Sequence[Parameter]
) -> Callable[[Command], Command]:
    """Gives a command the options `shared` where it has the parameter `name`, and what `make`
    makes of them as that argument.

    Typer reads options off a signature, so one is put together: commands cannot differ in them.
    """

    def decorate(command: Command) -> Command:
        own = _parameters(command)
        place = next(i for i, parameter in enumerate(own) if parameter.name == name)
        own[place : place + 1] = shared

        def called(**values: Any) -> None:
            chosen = {p.name: values.pop(p.name) for p in shared}
            command(**{name: make(**chosen)}, **values)

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__annotations__ = {p.name: p.annotation for p in own}
        called.__signature__ = Signature(own)  # type: ignore[attr-defined]
        return called

    return decorate


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    found = signature(function).parameters.values()
    return [p.replace(annotation=hints[p.name], kind=Parameter.KEYWORD_ONLY) for p in found]


def _request_parameters() -> list[Parameter]:
    """The fields of `Request` as options: what is a tuple there is a list to Typer."""
    found = []
    for name, (kind, option, default) in declared().items():
        typed: Any = list[str] if kind == tuple[str, ...] else kind
        default = Parameter.empty if default is MISSING else default
        default = [] if default == () else default
        annotation = Annotated[typed, option]
        found.append(
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    return found


def _request(**values: Any) -> Request:
    given: Any = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    return Request(**given)


def _only(
    method: Annotated[str | None, typer.Option(metavar="NAME", help="only this method")] = None,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="only this data set")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="only this preset")] = None,
) -> Only:
    return {"method": method, "dataset": dataset, "preset": preset}


_REQUEST = _request_parameters()
_OF_NORMALS = (
    "methods", "datasets", "preset", "overrides", "scope", "limit", "data_root", "results",
    "cache_folder", "device", "normal", "masks",
)  # fmt: skip
running_cells = _taking("request", _request, _REQUEST)
"""All that a request can say."""
searching_cells = _taking("request", _request, [p for p in _REQUEST if p.name in _OF_NORMALS])
"""What it says of cells on training images alone."""
selecting_records = _taking("only", _only, _parameters(_only))
"""The options of commands on finished records."""
