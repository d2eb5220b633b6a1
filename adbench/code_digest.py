"""A digest of the code that decides a method's numbers, so that a changed method is run again.

It covers the file with the method's class and every module that it imports, transitively and also
inside functions, that is its own code (`adbench.module_files` says which is). Names of modules do
not enter it: a moved module and another import line change nothing, as long as every name that is
used is bound to the same thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from adbench.contracts import Method
from adbench.module_files import ModuleFile, find_module, is_method_code
from adbench.plugin_files import as_written
from adbench.source_text import Import, SourceText, read_source


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
    closure = _Closure([owner], lambda name: is_method_code(name, owner))
    own, whole = closure.digests()
    return MethodCode(
        _digest(method.__qualname__, whole[owner], *sorted(set(whole.values()))),
        {as_written(name): digest for name, digest in sorted(own.items())},
    )


@cache
def modules_digest(*names: str) -> str:
    """One digest (16 hex digits) over the named modules of adbench."""
    _, whole = _Closure([*names], lambda name: name in names).digests()
    return _digest(*sorted(set(whole.values())))


class _Closure:
    """Modules and what they import, as far as `enters` says."""

    def __init__(self, names: list[str], enters: Callable[[str], bool]) -> None:
        self._enters = enters
        self.files: dict[str, ModuleFile] = {}
        self.texts: dict[str, SourceText] = {}
        queue = list(names)
        while queue:
            name = queue.pop()
            file = find_module(name) if name not in self.files else None
            if file is None or not enters(name):
                continue
            self.files[name] = file
            self.texts[name] = _text_of(file)
            parent = name.rpartition(".")[0]  # it is executed before its submodules are
            queue += [parent] if parent else []
            for entry in self.texts[name].imports:
                module = file.absolute(entry.module, entry.level)
                queue.append(module)
                if entry.attribute is not None:
                    queue.append(f"{module}.{entry.attribute}")
        # What is bound and never read has no effect. A module's name may be read from elsewhere,
        # as `module.name`, and by its bare name where somebody takes all of a module.
        texts = self.texts.values()
        self._read = {"*"}.union(*(t.attributes for t in texts))
        if any(e.bound == "*" for t in texts for e in t.imports):
            self._read.update(*(t.names for t in texts))

    def digests(self) -> tuple[dict[str, str], dict[str, str]]:
        """By module: of what stands in it, and of that with all it is bound to.

        Modules without a statement (an `__init__.py` that only imports) are left out.
        """
        bindings = {name: self._bindings(name) for name in self.files}
        names = [n for n in self.files if self.texts[n].text not in ("", "[]")]
        own = {n: _digest(self.texts[n].text, *[label for label, _ in bindings[n]]) for n in names}
        whole = dict(own)
        # Modules may import each other in circles: digests of digests, until no two modules of
        # one text are told apart any further by what they are bound to.
        kinds = -1
        while len(set(whole.values())) > kinds:
            kinds = len(set(whole.values()))
            whole = {
                n: _digest(own[n], *[whole.get(t or "", "") for _, t in bindings[n]]) for n in names
            }
        return own, whole

    def _bindings(self, name: str) -> list[tuple[str, str | None]]:
        """What the used names of a module are bound to: a label without the names of own modules,
        and the own module, if it is one."""
        found: dict[tuple[int, str], list[tuple[str, str | None]]] = {}
        for entry in self.texts[name].imports:
            if entry.bound in self._read or entry.bound in self.texts[name].names:
                module = self.files[name].absolute(entry.module, entry.level)
                label, target = self._resolve(module, entry.attribute)
                own = found.setdefault((entry.block, entry.bound), [])
                binding = (f"{entry.block}:{entry.bound}={label}", target)
                own += [binding] if binding not in own else []
        return [binding for key in sorted(found) for binding in found[key]]

    def _resolve(
        self, module: str, attribute: str | None, depth: int = 0
    ) -> tuple[str, str | None]:
        if attribute is not None and f"{module}.{attribute}" in self.files:
            module, attribute = f"{module}.{attribute}", None
        if module not in self.files:
            if module.partition(".")[0] == "adbench":  # of the harness: it may move
                module = "adbench" if attribute else module.rpartition(".")[2]
            return ".".join([as_written(module), *([attribute] if attribute else [])]), None
        if attribute is not None and depth < len(self.files):
            entry = self._passed_on(module, attribute)
            if entry is not None:
                origin = self.files[module].absolute(entry.module, entry.level)
                return self._resolve(origin, entry.attribute, depth + 1)
        return f"/{attribute or ''}", module

    def _passed_on(self, module: str, attribute: str) -> Import | None:
        """The import by which a module has a name that it passes on."""
        entries = [e for e in self.texts[module].imports if e.bound == attribute]
        return entries[0] if len(entries) == 1 else None


@cache
def _text_of(file: ModuleFile) -> SourceText:
    content = file.content()
    if content is None:
        return SourceText()
    if file.path is not None and file.path.suffix == ".py":
        try:
            return read_source(content)
        except (SyntaxError, ValueError, RecursionError):
            pass  # for another Python, and imported only there
    return SourceText(hashlib.sha256(content).hexdigest())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
