"""A digest of the code that decides a method's numbers, so that a changed method is run again.

It covers the method's module and everything it imports, transitively, from its own package or
from `adbench.methods`; comments, blank lines and trailing spaces do not count, nor do modules
named `card`, which hold words for people.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import tokenize
from functools import cache
from pathlib import Path

from adbench.contracts import Method


@cache
def method_code(method: type[Method]) -> dict[str, str]:
    """Module name to digest (16 hex digits), for the method and all it imports of its family."""
    module = method.__module__
    is_adbench = module.startswith("adbench.")
    families = {"adbench.methods", module if is_adbench else module.partition(".")[0]}
    found: dict[str, str] = {}
    seen: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        path = _source_of(name)
        if name in seen or path is None:
            continue
        seen.add(name)
        source = path.read_bytes()
        if name == module or name.rpartition(".")[2] != "card":
            found[name] = _digest(source)
        queue += [n for n in _imports(source, name) if _belongs(n, families)]
    # A plug-in file is imported under a name that holds its folder: the record must not.
    return {("plugin" if n.startswith("adbench_plugin_") else n): d for n, d in found.items()}


@cache
def modules_digest(*names: str) -> str:
    """One digest (16 hex digits) over the named modules."""
    parts = []
    for name in names:
        path = _source_of(name)
        assert path is not None, name
        parts.append(_digest(path.read_bytes()))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _belongs(name: str, families: set[str]) -> bool:
    return any(name == family or name.startswith(family + ".") for family in families)


def _source_of(name: str) -> Path | None:
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None):
        path = Path(str(loaded.__file__))
    elif name.startswith("adbench."):
        # Not by find_spec, which imports the parents: scipy, only to digest the metrics' text.
        module = Path(__file__).parent.joinpath(*name.split(".")[1:])
        path = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    else:
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            return None  # `from package.module import name`: the name is no module
        if spec is None or spec.origin is None:
            return None
        path = Path(spec.origin)
    return path if path.suffix == ".py" and path.is_file() else None


def _imports(source: bytes, module: str) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level]
                base = ".".join([*parent, base] if base else parent)
            names.append(base)
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


def _digest(source: bytes) -> str:
    lines = source.decode("utf-8").splitlines()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    text = "\n".join(line.rstrip() for line in lines if line.strip())
    return hashlib.sha256(text.encode()).hexdigest()[:16]
