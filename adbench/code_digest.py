"""A digest of the code that decides a method's numbers, so that a changed method is run again.

It covers the file with the method's class and every module that it imports, transitively and also
inside functions, that is its own code. Names of modules do not enter it: a moved module and
another import line change nothing, as long as every name that is used is bound to the same thing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from adbench.contracts import Method
from adbench.plugin_files import as_written, is_private, name_for
from adbench.source_text import Import, SourceText

_METHODS_CODE = ("adbench.methods.", "adbench.datasets.", "adbench.testing.")
"""Of adbench itself these decide a method's numbers; the rest is keyed apart, or changes none."""
_LIBRARIES = {
    "PIL", "accelerate", "diffusers", "faiss", "jinja2", "matplotlib", "numpy", "pandas",
    "pydantic", "rich", "safetensors", "scipy", "sklearn", "timm", "torch", "torchvision", "typer",
}  # fmt: skip
"""What adbench stands on. Told by name, because a checkout of torch has thousands of modules."""
_INSTALLED = {"site-packages", "dist-packages"}
_Binding = tuple[str, str | None]


@dataclass(frozen=True)
class MethodCode:
    """Attributes:
    digest: of all of it; what the keys hold.
    modules: name to a digest of what stands in that module, for people to see which has changed.
    """

    digest: str
    modules: Mapping[str, str]


@cache
def method_code(method: type[Method]) -> MethodCode:
    """The code of a method: 16 hex digits for the whole and for each module."""
    owner = method.__module__
    own, whole = _Closure([owner], lambda name: _is_method_code(name, owner)).digests()
    return MethodCode(
        _digest(method.__qualname__, whole[owner], *sorted(set(whole.values()))),
        {as_written(name): digest for name, digest in sorted(own.items())},
    )


@cache
def modules_digest(*names: str) -> str:
    """One digest (16 hex digits) over the named modules."""
    _, whole = _Closure([*names], names.__contains__).digests()
    return _digest(*sorted(set(whole.values())))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


# ------------------------------------------------------------------ from names to files and texts


@dataclass(frozen=True)
class ModuleFile:
    """A module that is there: its name in this process, its file (None for a folder without
    `__init__.py`) and where its submodules are (nowhere, if it is no package)."""

    name: str
    path: Path | None
    folders: tuple[str, ...] = ()

    def absolute(self, entry: Import) -> str:
        """The name of the module that an import in this one means."""
        if not entry.level:
            return name_for(self.name, entry.module)
        package = self.name if self.folders else self.name.rpartition(".")[0]
        parents = package.split(".")[: package.count(".") + 2 - entry.level]
        return ".".join([*parents, *([entry.module] if entry.module else [])])

    def root(self) -> Path | None:
        """The folder that holds a top-level module."""
        place = self.folders[0] if self.folders else self.path
        return Path(place).parent if place is not None else None


@cache
def find_module(name: str) -> ModuleFile | None:
    """The module of this name, or None; imports nothing, neither its parents nor itself."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    parent = name.rpartition(".")[0]
    try:
        if spec is None and not parent:
            spec = importlib.util.find_spec(name)
        elif spec is None and (package := find_module(parent)) and package.folders:
            spec = PathFinder.find_spec(name, package.folders)
    except (ImportError, ValueError):  # somebody's finder, or a module that has no spec
        return None
    if spec is None:
        return None
    path = Path(spec.origin) if spec.has_location and spec.origin else None
    return ModuleFile(name, path, tuple(spec.submodule_search_locations or ()))


@cache
def _source_of(path: Path) -> SourceText:
    """What the file says; of what is no Python of this version only that it is another one."""
    try:
        content = path.read_bytes()
    except OSError:
        return SourceText(b"")
    if path.suffix == ".py":
        try:
            return SourceText(content)
        except (SyntaxError, ValueError, RecursionError):
            pass  # for another Python, and imported only there
    elif path.suffix == ".pyc":
        content = content[16:]  # the header holds a time
    source = SourceText(b"")
    source.text = hashlib.sha256(content).hexdigest()
    return source


# ------------------------------------------------------------------------------- whose code it is


def _is_method_code(name: str, owner: str) -> bool:
    """Whether a module belongs to the code of the method whose class is in the module `owner`.

    Not the standard library, nor what is installed beside the method's own distribution, nor
    adbench without its methods: contracts and errors change no number.
    """
    if name == owner or is_private(name):
        return True
    head, own = name.partition(".")[0], owner.partition(".")[0]
    if head == "adbench":
        return f"{name}.".startswith(_METHODS_CODE)
    if head in sys.stdlib_module_names or head in _LIBRARIES or find_module(head) is None:
        return False
    together = _installed_with(head)
    return head == own or together is None or own in together


@cache
def _installed_with(head: str) -> frozenset[str] | None:
    """Top-level modules of the distribution that installed this one; None for one in a checkout,
    be that installed to be edited."""
    module = find_module(head)
    root = module.root() if module is not None else None
    if root is None:
        return frozenset()
    if not _INSTALLED & set(root.parts) and not any(root.glob("*.dist-info")):
        return None
    for record in root.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
        heads = {line.split(",")[0].split("/")[0].removesuffix(".py") for line in lines}
        if head in heads:
            return frozenset(heads)
    return frozenset()


# -------------------------------------------------------------------------------- the whole of it


class _Closure:
    """Modules and what they import, as far as `enters` says."""

    def __init__(self, names: list[str], enters: Callable[[str], bool]) -> None:
        self.files: dict[str, ModuleFile] = {}
        self.sources: dict[str, SourceText] = {}
        queue = list(names)
        while queue:
            name = queue.pop()
            file = find_module(name) if name not in self.files else None
            if file is None or not enters(name):
                continue
            self.files[name] = file
            self.sources[name] = _source_of(file.path) if file.path else SourceText(b"")
            queue.append(name.rpartition(".")[0] or name)  # it is executed before its submodules
            for entry in self.sources[name].imports:
                module = file.absolute(entry)
                queue += [module, *([f"{module}.{entry.attribute}"] if entry.attribute else [])]
        # What is bound and never read has no effect. A module's name may be read from elsewhere,
        # as `module.name`, and by its bare name where somebody takes all of a module.
        sources = self.sources.values()
        self._read = {"*"}.union(*(s.attributes for s in sources))
        if any(e.bound == "*" for s in sources for e in s.imports):
            self._read.update(*(s.names for s in sources))

    def digests(self) -> tuple[dict[str, str], dict[str, str]]:
        """By module: of what stands in it, and of that with all it is bound to.

        Modules without a statement (an `__init__.py` that only imports) are left out.
        """
        bindings = {name: self._bindings(name) for name in self.files}
        texts = {n: s.text for n, s in self.sources.items() if s.text != "[]"}
        own = {n: _digest(text, *[label for label, _ in bindings[n]]) for n, text in texts.items()}
        whole = dict(own)
        # Modules may import each other in circles: digests of digests, until no two modules of
        # one text are told apart any further by what they are bound to.
        kinds = -1
        while len(set(whole.values())) > kinds:
            kinds = len(set(whole.values()))
            whole = {
                n: _digest(own[n], *[whole.get(t or "", "") for _, t in bindings[n]]) for n in own
            }
        return own, whole

    def _bindings(self, name: str) -> list[_Binding]:
        """What the used names of a module are bound to: a label without the names of own modules,
        and the own module, if it is one."""
        found: dict[tuple[int, str], list[_Binding]] = {}
        for entry in self.sources[name].imports:
            if entry.bound in self._read or entry.bound in self.sources[name].names:
                label, target = self._resolve(self.files[name].absolute(entry), entry.attribute)
                own = found.setdefault((entry.block, entry.bound), [])
                binding = (f"{entry.block}:{entry.bound}={label}", target)
                own += [binding] if binding not in own else []
        return [binding for key in sorted(found) for binding in found[key]]

    def _resolve(self, module: str, attribute: str | None, depth: int = 0) -> _Binding:
        """Where a name comes from, past modules that only pass it on."""
        if attribute is not None and f"{module}.{attribute}" in self.files:
            module, attribute = f"{module}.{attribute}", None
        if module not in self.files:
            if module.partition(".")[0] == "adbench":  # of the harness: it may move
                module = "adbench" if attribute else module.rpartition(".")[2]
            return ".".join([as_written(module), *([attribute] if attribute else [])]), None
        if attribute is not None and depth < len(self.files):
            entries = [e for e in self.sources[module].imports if e.bound == attribute]
            if len(entries) == 1:
                origin = self.files[module].absolute(entries[0])
                return self._resolve(origin, entries[0].attribute, depth + 1)
        return f"/{attribute or ''}", module
