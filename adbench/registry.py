"""From a name on the command line to a plug-in class.

A name is an entry point of the group "adbench.methods" or "adbench.datasets"; anything with a
colon is a reference, `FILE.py:Class` or `package.module:Class`, and needs no installation. A data
set may be a path besides, of a folder or a table of files.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from adbench.contracts import Card, Dataset, DatasetCard, Hyperparameters, Method, MethodCard
from adbench.errors import DataError, PluginError, UnknownNameError, UsageError, shortened
from adbench.own_paths import TABLES, OwnPath, own_path
from adbench.plugin_files import as_written, load_file

METHOD_GROUPS = ("diffusion", "baselines")


class _Kind(NamedTuple):
    """What methods and data sets differ in, here."""

    word: str
    group: str
    base: type
    card: type[Card]
    groups: tuple[str, ...] = ()


_METHODS = _Kind("method", "adbench.methods", Method, MethodCard, ("all", *METHOD_GROUPS))
_DATASETS = _Kind("data set", "adbench.datasets", Dataset, DatasetCard)


@cache
def _entry_points(kind: _Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=kind.group)}


def method_names() -> list[str]:
    """Names of all installed methods, sorted."""
    return sorted(_entry_points(_METHODS))


def dataset_names() -> list[str]:
    """Names of all installed data sets, sorted."""
    return sorted(_entry_points(_DATASETS))


def load_method(reference: str) -> type[Method]:
    """The method class behind a name or a reference.

    Raises `UnknownNameError` for an unknown name, `PluginError` where the import fails or the
    class does not keep the contract.
    """
    method: type[Method] = _load(reference, _METHODS, _working_folder(reference))
    return method


class OwnWords(NamedTuple):
    """What is said of folders of one's own: which are of normal images (`--normal`), and where
    masks lie (`--masks`)."""

    normal: tuple[str, ...] = ()
    masks: Path | None = None


NOTHING_SAID = OwnWords()


def load_dataset(reference: str, said: OwnWords = NOTHING_SAID) -> Dataset:
    """An instance of the data set behind a name, a reference or a path; raises as `load_method`.

    A registered name goes before a path. Raises `DataError` for a path that is neither a folder nor
    a table; nothing is read yet.
    """
    place = path_of(reference)
    if place is None:
        dataset: Dataset = _load(reference, _DATASETS, _working_folder(reference))
        return dataset
    return _own_dataset(reference, place, said)


def path_of(reference: str) -> OwnPath | None:
    """The path that a data set is named by; None for a registered name, or a class."""
    return None if reference in _entry_points(_DATASETS) else own_path(reference)


def _own_dataset(reference: str, place: OwnPath, said: OwnWords) -> Dataset:
    # By their names, as entry points are loaded: what data sets stand on stands above this module.
    folders = importlib.import_module("adbench.datasets.own.dataset")
    path, name = place.path, place.name or folders.own_name(place.path, dataset_names())
    is_table = path.suffix.lower() in TABLES and not path.is_dir()
    if is_table and said != NOTHING_SAID:
        raise UsageError(
            f"{shortened(reference)} is a table, which says itself what is normal and where masks "
            "are; expected neither --normal nor --masks with it"
        )
    if not os.path.lexists(path) or not (is_table or path.is_dir()):
        found = "is a file, and no table" if os.path.lexists(path) else "is not there"
        raise DataError(
            f"{path} {found}; expected a folder of images, or a table of files "
            f"({', '.join(sorted(TABLES))}); a class of your own is FILE.py:Class"
        )
    dataset: Any
    if is_table:
        dataset = importlib.import_module("adbench.datasets.own.files").OwnTable(path, name)
    else:
        dataset = folders.OwnFolder(path, name, *said)
    dataset.reference = reference
    own: Dataset = dataset
    return own


def expand_group(name: str) -> list[str] | None:
    """Method names behind `all` or a group name, or None for anything else.

    A plug-in that cannot be imported has no card and so no group: it is left out of a group, and
    `all` names it, so that the run reports it.
    """
    if name == "all":
        return method_names()
    if name not in METHOD_GROUPS:
        return None
    found = []
    for own in method_names():
        with contextlib.suppress(PluginError):
            found += [own] if load_method(own).card.group == name else []
    return found


def refuse_shared_names(word: str, loaded: Sequence[tuple[str, Any]]) -> None:
    """Raise `UsageError` where two plug-ins or paths have one name: records know no other.

    `loaded` are references and classes (or instances, of data sets); `word` is "method" or
    "data set".
    """
    seen: dict[str, tuple[str, object]] = {}
    for reference, plugin in loaded:
        place = None if isinstance(plugin, type) else path_of(reference)
        own = place.path if place else plugin if isinstance(plugin, type) else type(plugin)
        name = plugin.card.name
        first, other = seen.setdefault(name, (reference, own))
        if other != own:
            way_out = f"write {name}_2=PATH" if place else "change `name` on the card of one"
            raise UsageError(
                f"{shortened(first)} and {shortened(reference)} are two {word}s with one name, "
                f"{name!r}: expected a name each, as their numbers would be mixed; {way_out}"
            )


def _working_folder(reference: str) -> str:
    """Where a reference is read from, if that matters: in another folder it is another file."""
    with contextlib.suppress(OSError):  # it is gone, and the file with it
        if ".py:" in reference and not os.path.isabs(reference):
            return os.getcwd()
    return ""


@cache
def _load(reference: str, kind: _Kind, _folder: str) -> Any:
    """The class of a method, an instance of a data set, checked to keep the contract."""
    plugin = _load_class(reference, kind)
    lacks = [f"`{name}`" for name in sorted(plugin.__abstractmethods__)]
    if not isinstance(getattr(plugin, "card", None), kind.card):
        lacks.append(f"a {kind.card.__name__} as `card`")
    if kind is _METHODS:
        if not _is_subclass(getattr(plugin, "Hyperparameters", None), Hyperparameters):
            lacks.append("a subclass of adbench.contracts.Hyperparameters as `Hyperparameters`")
        presets = getattr(plugin, "presets", None)
        if not (isinstance(presets, Mapping) and "paper" in presets):
            lacks.append("a mapping with at least the preset 'paper' as `presets`")
    if lacks:
        *most, last = lacks
        told = f"{', '.join(most)} and {last}" if most else last
        raise PluginError(f"{kind.word} {reference} lacks {told}; see CONTRIBUTING.md")
    if kind is _METHODS:
        return plugin
    with _explained(kind, reference, "set up"):
        dataset = plugin()
    if hasattr(dataset, "reference"):
        dataset.reference = reference  # so that its messages name a command that works
    return dataset


def _load_class(reference: str, kind: _Kind) -> Any:
    """The class behind a name or a reference, a subclass of the contract."""
    if ":" in reference:
        plugin = _load_reference(reference, kind)
    else:
        installed = _entry_points(kind)
        if reference not in installed:
            hint = "A folder or table of your own is given by its path, like ./parts"
            names = [*installed, *kind.groups]
            raise UnknownNameError(
                kind.word, reference, names, hint=hint if kind is _DATASETS else ""
            )
        with _explained(kind, reference, "imported"):
            plugin = installed[reference].load()
    if not _is_subclass(plugin, kind.base):
        raise PluginError(
            f"{reference} is no {kind.word}: expected a subclass of "
            f"adbench.contracts.{kind.base.__name__}"
        )
    return plugin


def _load_reference(reference: str, kind: _Kind) -> Any:
    where, _, class_name = reference.rpartition(":")
    is_file = where.endswith(".py")
    if is_file and not os.path.isfile(where):
        raise UsageError(
            f"{kind.word} file {shortened(where)} does not exist; expected FILE.py:Class"
        )
    if not (where and class_name):
        raise UsageError(
            f"{kind.word} {shortened(reference)!r}: expected FILE.py:Class or MODULE:Class"
        )
    with _explained(kind, reference, "imported"):
        module = load_file(Path(where)) if is_file else _import_module(where)
        is_there = hasattr(module, class_name)  # a module may answer this by code of its own
    if not is_there:
        own = [n for n, v in vars(module).items() if _is_subclass(v, kind.base)]
        classes = [n for n in own if n != kind.base.__name__]
        raise UnknownNameError(f"{kind.word} class in {where}", class_name, classes)
    return getattr(module, class_name)


def _import_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, but something that it imports is not
        raise UsageError(
            f"there is no module {shortened(error.name)!r}; expected FILE.py:Class or MODULE:Class"
        ) from None


def _is_subclass(value: Any, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)


@contextlib.contextmanager
def _explained(kind: _Kind, reference: str, done: str) -> Iterator[None]:
    """Whatever a plug-in raises meanwhile becomes a `PluginError`; what it prints goes to stderr,
    as stdout may be JSON."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        reason = shortened(" ".join(as_written(str(error)).split()), 1000) or "no message"
        way_out = (
            f"mend {shortened(reference.rpartition(':')[0])}"
            if ":" in reference
            else "mend or uninstall the package that provides it; `adbench doctor` lists all"
        )
        raise PluginError(
            f"{kind.word} {shortened(reference)} could not be {done}: {type(error).__name__}: "
            f"{reason}; {way_out}"
        ) from error
