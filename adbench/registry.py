"""From a name on the command line to a plug-in class.

A name is an entry point of the group "adbench.methods" or "adbench.datasets"; anything with a
colon is a reference, `FILE.py:Class` or `package.module:Class`, and needs no installation.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from adbench.contracts import Dataset, DatasetCard, Method, MethodCard
from adbench.errors import PluginError, UnknownNameError, UsageError

METHOD_GROUPS = {"diffusion": "diffusion", "baselines": "baselines"}


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def method_names() -> list[str]:
    """Names of all installed methods, sorted."""
    return sorted(_entry_points("adbench.methods"))


def dataset_names() -> list[str]:
    """Names of all installed data sets, sorted."""
    return sorted(_entry_points("adbench.datasets"))


@cache
def load_method(reference: str) -> type[Method]:
    """The method class behind a name or a reference.

    Raises `UnknownNameError` for an unknown name, `PluginError` where the import fails or the
    class does not keep the contract.
    """
    plugin = _load(reference, "method", method_names())
    if not (isinstance(plugin, type) and issubclass(plugin, Method)):
        raise PluginError(f"{reference} is not a subclass of adbench.contracts.Method")
    missing = sorted(getattr(plugin, "__abstractmethods__", ()))
    missing += [a for a in ("card", "Hyperparameters", "presets") if not hasattr(plugin, a)]
    if missing or not isinstance(plugin.card, MethodCard):
        lacks = ", ".join(missing) or "a MethodCard as `card`"
        raise PluginError(f"method {reference} lacks {lacks}; see CONTRIBUTING, 'Add a method'")
    return plugin


@cache
def load_dataset(reference: str) -> Dataset:
    """An instance of the data set behind a name or a reference; raises as `load_method`."""
    plugin = _load(reference, "data set", dataset_names())
    if not (isinstance(plugin, type) and issubclass(plugin, Dataset)):
        raise PluginError(f"{reference} is not a subclass of adbench.contracts.Dataset")
    missing = sorted(getattr(plugin, "__abstractmethods__", ()))
    if missing or not isinstance(getattr(plugin, "card", None), DatasetCard):
        lacks = ", ".join(missing) or "a DatasetCard as `card`"
        raise PluginError(f"data set {reference} lacks {lacks}; see CONTRIBUTING, 'Add a data set'")
    return plugin()


def expand_group(name: str) -> list[str] | None:
    """Method names behind `all` or a group name, or None for anything else.

    A plug-in that cannot be imported has no card and so no group: it is left out of a group, and
    `all` names it, so that the run reports it.
    """
    if name == "all":
        return method_names()
    if name not in METHOD_GROUPS:
        return None
    return [n for n in method_names() if _group_of(n) == name]


def _group_of(name: str) -> str | None:
    try:
        return load_method(name).card.group
    except PluginError:
        return None


def _load(reference: str, kind: str, names: list[str]) -> Any:
    if ":" in reference:
        return _load_reference(reference, kind)
    group = "adbench.methods" if kind == "method" else "adbench.datasets"
    point = _entry_points(group).get(reference)
    if point is None:
        extra = [*METHOD_GROUPS, "all"] if kind == "method" else []
        raise UnknownNameError(kind, reference, [*names, *extra])
    try:
        return point.load()
    except Exception as error:  # a plug-in may raise anything while it is imported
        raise PluginError(_import_failure(kind, reference, error)) from error


def _load_reference(reference: str, kind: str) -> Any:
    where, _, class_name = reference.rpartition(":")
    try:
        is_file = where.endswith(".py")
        module = _load_file(Path(where)) if is_file else importlib.import_module(where)
    except FileNotFoundError:
        raise UsageError(f"{kind} file {where} does not exist; expected FILE.py:Class") from None
    except Exception as error:  # as above
        raise PluginError(_import_failure(kind, reference, error)) from error
    if not hasattr(module, class_name):
        classes = [n for n, v in vars(module).items() if isinstance(v, type)]
        raise UnknownNameError(f"class in {where}", class_name, classes)
    return getattr(module, class_name)


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(path)
    resolved = path.resolve()
    # The digest keeps two files of one stem apart; dataclasses and pydantic look the module up.
    name = f"adbench_plugin_{path.stem}_{hashlib.sha256(bytes(resolved)).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_failure(kind: str, reference: str, error: Exception) -> str:
    reason = " ".join(str(error).split()) or "no message"
    return (
        f"{kind} {reference} could not be imported: {type(error).__name__}: {reason}. "
        "Mend or uninstall the package that provides it; `adbench doctor` names it"
    )
