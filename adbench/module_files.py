"""From the names of modules to their files, without importing them, and to whose code they are."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from adbench.plugin_files import is_private, name_for

_PACKAGE = Path(__file__).parent
_METHODS_CODE = ("adbench.methods", "adbench.datasets", "adbench.testing")
"""Of adbench itself these decide a method's numbers; the rest is keyed apart, or changes none."""
_LIBRARIES = {
    "PIL", "accelerate", "diffusers", "faiss", "jinja2", "matplotlib", "numpy", "pandas",
    "pydantic", "rich", "safetensors", "scipy", "sklearn", "timm", "torch", "torchvision", "typer",
}  # fmt: skip
"""What adbench stands on. Told by name, because a checkout of torch has thousands of modules."""
_INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class ModuleFile:
    """A module that is there.

    Attributes:
        name: under which this process imports it.
        path: its file, or None for a folder without `__init__.py`.
        folders: where its submodules are; empty where it is no package.
    """

    name: str
    path: Path | None
    folders: tuple[str, ...] = ()

    def content(self) -> bytes | None:
        """The bytes of the file: of a compiled one without its header, which holds a time."""
        if self.path is None:
            return None
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        return content[16:] if self.path.suffix == ".pyc" else content

    def absolute(self, module: str, level: int) -> str:
        """The name of what `from ..module import` (level 2) means in this module."""
        if not level:
            return name_for(self.name, module)
        package = self.name if self.folders else self.name.rpartition(".")[0]
        parents = package.split(".")[: len(package.split(".")) - level + 1]
        return ".".join([*parents, *([module] if module else [])])


@cache
def find_module(name: str) -> ModuleFile | None:
    """The module of this name, or None; imports nothing, neither its parents nor itself."""
    parent, _, leaf = name.rpartition(".")
    if name.partition(".")[0] == "adbench":
        return _of_adbench(name)
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if spec is None:
        spec = _search(name, parent)
    if spec is None:
        return None
    path = Path(spec.origin) if spec.has_location and spec.origin else None
    return ModuleFile(name, path, tuple(spec.submodule_search_locations or ()))


def _search(name: str, parent: str) -> ModuleSpec | None:
    try:
        if not parent:
            return importlib.util.find_spec(name)
        package = find_module(parent)
        return PathFinder.find_spec(name, package.folders) if package and package.folders else None
    except (ImportError, ValueError):  # somebody's finder, or a module that has no spec
        return None


def _of_adbench(name: str) -> ModuleFile | None:
    path = _PACKAGE.joinpath(*name.split(".")[1:])
    if (path / "__init__.py").is_file():
        return ModuleFile(name, path / "__init__.py", (str(path),))
    path = path.with_name(f"{path.name}.py")
    return ModuleFile(name, path) if path.is_file() else None


def is_method_code(name: str, owner: str) -> bool:
    """Whether a module belongs to the code of the method whose class is in the module `owner`.

    Not the standard library, nor what is installed beside the method's own distribution, nor
    adbench without its methods: contracts and errors change no number.
    """
    if name == owner or is_private(name):
        return True
    head = name.partition(".")[0]
    if head == "adbench":
        return any(f"{name}.".startswith(f"{own}.") for own in _METHODS_CODE)
    return not _is_foreign(head, owner.partition(".")[0])


@cache
def _is_foreign(head: str, own: str) -> bool:
    """Whether a top-level module is a library to the one that `own` names."""
    if head in sys.stdlib_module_names or head in _LIBRARIES:
        return True
    module = find_module(head)
    if module is None:
        return True
    return head != own and _is_installed(module) and head not in _installed_with(own)


def _is_installed(module: ModuleFile) -> bool:
    """Whether it lies where packages are installed; a checkout installed to be edited does not."""
    root = _root(module)
    return root is None or bool(_INSTALLED & set(root.parts)) or any(root.glob("*.dist-info"))


@cache
def _installed_with(head: str) -> frozenset[str]:
    """Top-level modules of the distribution that installed this one."""
    module = None if is_private(head) else find_module(head)
    root = _root(module) if module is not None else None
    for record in root.glob("*.dist-info/RECORD") if root is not None else ():
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
        heads = {line.split(",")[0].split("/")[0].removesuffix(".py") for line in lines}
        if head in heads:
            return frozenset(heads)
    return frozenset()


def _root(module: ModuleFile) -> Path | None:
    """The folder that holds a top-level module."""
    folders: Sequence[str] = module.folders
    if folders:
        return Path(folders[0]).parent
    return module.path.parent if module.path is not None else None
