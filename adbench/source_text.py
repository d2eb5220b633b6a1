"""What a source file says: its syntax tree, without what changes no number.

Left out are comments, formatting, docstrings and other texts that stand alone, `pass`, blocks for
type checkers, the words of cards for people, and import lines; what these bind is kept apart.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

_UNREAD = {"ctx", "kind", "type_comment", "type_ignores"}
_CARDS: dict[str, set[str | None]] = {
    "MethodCard": {"name", "scope", "revision", None},
    "SelectionCard": {None},
}
"""Of calls of these the keywords that are kept, None being `**more`: the rest is for people, and
for `adbench select`, which keeps what it does under keys of its own."""


@dataclass(frozen=True)
class Import:
    """A name that an import statement binds, and what to.

    Attributes:
        block: number of the statement list in which it stands, in the order of the source.
        bound: the name, `*` for all of a module, empty where nothing is bound.
        module: as written, without the dots.
        attribute: of the module, in `from module import attribute`; else None.
        level: the dots before it.
    """

    block: int
    bound: str
    module: str
    attribute: str | None
    level: int


@dataclass
class SourceText:
    """Attributes:
    text: the tree; equal on all supported versions of Python.
    imports: in the order of the source.
    names: that occur in it by themselves.
    attributes: that occur in it, after a dot.
    """

    text: str = ""
    imports: list[Import] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)


def read_source(source: bytes) -> SourceText:
    """Raises SyntaxError, ValueError or RecursionError for what is no Python of this version."""
    tree = ast.parse(source)
    return _Reader(tree).found


class _Reader:
    def __init__(self, tree: ast.Module) -> None:
        self.found = SourceText()
        self._parts: list[str] = []
        self._blocks = 0
        self._cards = {
            alias.asname or alias.name: _CARDS[alias.name]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("adbench.")
            for alias in node.names
            if alias.name in _CARDS
        }
        self._block(tree.body)
        self.found.text = "".join(self._parts)

    def _block(self, statements: list[ast.stmt]) -> None:
        number, self._blocks = self._blocks, self._blocks + 1
        self._parts.append("[")
        for statement in statements:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._import(statement, number)
            elif isinstance(statement, ast.If) and _is_for_type_checkers(statement):
                if statement.orelse:
                    self._block(statement.orelse)
            elif not _says_nothing(statement):
                self._node(statement)
        self._parts.append("]")

    def _import(self, node: ast.Import | ast.ImportFrom, block: int) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                bound = alias.asname or alias.name
                own = Import(block, bound, node.module or "", alias.name, node.level)
            else:
                bound = alias.asname or alias.name.partition(".")[0]
                # `import a.b` binds a; that b is a module too, `name` says of another entry.
                head = alias.name if alias.asname else bound
                own = Import(block, bound, head, None, 0)
                if head != alias.name:
                    self.found.imports.append(Import(block, "", alias.name, None, 0))
            self.found.imports.append(own)

    def _node(self, node: ast.AST) -> None:
        """Append `Kind(field=value,...)`."""
        if isinstance(node, ast.Constant):
            self._parts.append(_constant(node.value))
            return
        if isinstance(node, ast.Name):
            self.found.names.add(node.id)
        elif isinstance(node, ast.Attribute):
            self.found.attributes.add(node.attr)
        elif isinstance(node, ast.Call):
            node = self._read_call(node)
        self._parts.append(f"{type(node).__name__}(")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _UNREAD:
                continue
            self._parts.append(f"{name}=")
            self._value(value)
        self._parts.append(")")

    def _value(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self._node(value)
        elif not isinstance(value, list):
            self._parts.append(f"{value!s},")  # a name or a number of the grammar
        elif isinstance(value[0], ast.stmt):
            self._block(value)
        else:
            self._parts.append("[")
            for item in value:
                self._value(item)
            self._parts.append("]")

    def _read_call(self, node: ast.Call) -> ast.Call:
        """Without the words of a card; of a module that is imported by its name, with an edge."""
        called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        if called in ("import_module", "__import__") and node.args:
            self._dynamic(getattr(node.args[0], "value", None))
        if not (isinstance(node.func, ast.Name) and node.func.id in self._cards):
            return node
        kept = self._cards[node.func.id]
        return ast.Call(node.func, node.args, [k for k in node.keywords if k.arg in kept])

    def _dynamic(self, name: object) -> None:
        if isinstance(name, str) and name.strip("."):
            module = name.lstrip(".")
            self.found.imports.append(Import(0, "", module, None, len(name) - len(module)))


def _is_for_type_checkers(node: ast.If) -> bool:
    names = (getattr(node.test, "id", None), getattr(node.test, "attr", None))
    return "TYPE_CHECKING" in names


def _says_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _constant(value: object) -> str:
    # Not repr: what it escapes depends on Python's tables of characters; long numbers it refuses.
    text = hex(value) if type(value) is int else ascii(value)
    return f"{type(value).__name__}:{len(text)}:{text};"
