"""`FILE.py`: a module loaded by its path, that imports what lies beside it.

Its folder becomes a package of a private name. What a module of that folder imports is looked for
there first, and found under the private name: two plug-ins with a `helper.py` each have their own,
and the rest of the process sees neither.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

_PREFIX = "adbench_plugin_"
_PRIVATE = re.compile(rf"{_PREFIX}[0-9a-f]{{8}}\.?")


def load_file(path: Path) -> ModuleType:
    """The module of this file, executed once a process; raises whatever it raises."""
    resolved = path.resolve()
    stem = resolved.stem
    if not stem.isidentifier():  # a dot would make a parent of what is before it
        stem = f"file_{_short_digest(stem.encode())}"
    name = f"{_package_of(resolved.parent)}.{stem}"
    if name not in sys.modules:
        loader = _Loader(name, str(resolved))
        spec = importlib.util.spec_from_file_location(name, resolved, loader=loader)
        assert spec is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def is_private(module: str) -> bool:
    """Whether a module is a plug-in file or lies beside one."""
    return module.startswith(_PREFIX)


def as_written(text: str) -> str:
    """A module's name, or a message with such names, as the plug-in's author wrote them."""
    return _PRIVATE.sub("", text)


def name_for(importer: str, name: str) -> str:
    """The module that `import name` means in the module `importer`: private where it lies beside
    that; a module of the standard library never does."""
    if not is_private(importer):
        return name
    package, head = importer.partition(".")[0], name.partition(".")[0]
    return f"{package}.{name}" if _is_beside(package, head) else name


@cache
def _is_beside(package: str, head: str) -> bool:
    if head in sys.stdlib_module_names or head == "adbench":
        return False
    spec = PathFinder.find_spec(f"{package}.{head}", sys.modules[package].__path__)
    if spec is None:
        return f"{package}.{head}" in sys.modules
    # Any folder can be imported, one of data too: an installed module comes before it.
    return spec.origin is not None or importlib.util.find_spec(head) is None


@cache
def _package_of(folder: Path) -> str:
    """Name of the package that stands for a folder."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    name = _PREFIX + _short_digest(bytes(folder))
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[name] = importlib.util.module_from_spec(spec)
    return name


def _short_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


class _Finder(MetaPathFinder):
    """Finds what is below a private package, and has it executed by `_Loader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if is_private(fullname) else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Compiles the source itself, and gives the module an `__import__` of its own.

    A stale file in `__pycache__` can be taken for the source (its time is in whole seconds), and
    the digest of the code would not tell; nor is one written into the user's folder.
    """

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """`__import__` of modules that lie beside a plug-in file, and of the file itself."""
    if globals is None:  # called as a function, by the module's own code
        globals = sys._getframe(1).f_globals
    meant = name if level else name_for(str(globals.get("__name__", "")), name)
    try:
        found = builtins.__import__(meant, globals, locals, fromlist or (), level)
    except ModuleNotFoundError as error:
        error.msg = as_written(error.msg)
        raise
    if meant == name or fromlist:
        return found
    return sys.modules[f"{meant.partition('.')[0]}.{name.partition('.')[0]}"]
