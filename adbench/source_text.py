"""What a source file says: its syntax tree, without what changes no number.

Left out are comments, formatting, docstrings and other texts that stand alone, `pass`, blocks for
type checkers, the words of cards for people, and import lines; what these bind is kept apart.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

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


class SourceText:
    """Attributes:
    text: the tree; equal on all supported versions of Python.
    imports: in the order of the source.
    names: that occur in it by themselves.
    attributes: that occur in it, after a dot.
    """

    def __init__(self, source: bytes) -> None:
        """Raises SyntaxError, ValueError or RecursionError for no Python of this version."""
        tree = ast.parse(source)
        self.imports: list[Import] = []
        self.names: set[str] = set()
        self.attributes: set[str] = set()
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
        self.text = "".join(self._parts)

    def _block(self, statements: list[ast.stmt]) -> None:
        number, self._blocks = self._blocks, self._blocks + 1
        self._parts.append("[")
        for statement in statements:
            match statement:
                case ast.Import(names):
                    for alias in names:
                        self._import(alias, number)
                case ast.ImportFrom(module, names, level):
                    self.imports += [
                        Import(number, a.asname or a.name, module or "", a.name, level)
                        for a in names
                    ]
                case ast.If(ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                    if statement.orelse:
                        self._block(statement.orelse)
                case ast.Pass() | ast.Expr(ast.Constant()):
                    pass
                case _:
                    self._node(statement)
        self._parts.append("]")

    def _import(self, alias: ast.alias, block: int) -> None:
        """`import a.b` binds a; that b is a module too, another entry says."""
        head = alias.name if alias.asname else alias.name.partition(".")[0]
        if head != alias.name:
            self.imports.append(Import(block, "", alias.name, None, 0))
        self.imports.append(Import(block, alias.asname or head, head, None, 0))

    def _node(self, node: ast.AST) -> None:
        """Append `Kind(field=value,...)`."""
        if isinstance(node, ast.Constant):
            self._parts.append(_constant(node.value))
            return
        if isinstance(node, ast.Name):
            self.names.add(node.id)
        elif isinstance(node, ast.Attribute):
            self.attributes.add(node.attr)
        elif isinstance(node, ast.Call):
            node = self._call(node)
        self._parts.append(f"{type(node).__name__}(")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in _UNREAD:
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

    def _call(self, node: ast.Call) -> ast.Call:
        """Without the words of a card; of a module that is imported by its name, with an edge."""
        match node:
            case ast.Call(
                ast.Name("import_module" | "__import__")
                | ast.Attribute(attr="import_module" | "__import__"),
                [ast.Constant(str(name)), *_],
            ) if module := name.lstrip("."):
                self.imports.append(Import(0, "", module, None, len(name) - len(module)))
            case ast.Call(ast.Name(name)) if name in self._cards:
                kept = [k for k in node.keywords if k.arg in self._cards[name]]
                return ast.Call(node.func, node.args, kept)
        return node


def _constant(value: object) -> str:
    # Not repr: what it escapes depends on Python's tables of characters; long numbers it refuses.
    text = hex(value) if type(value) is int else ascii(value)
    return f"{type(value).__name__}:{len(text)}:{text};"
