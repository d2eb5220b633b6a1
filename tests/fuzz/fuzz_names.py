"""Names from data in Markdown: a reader sees the name, and no markup of it works."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mutations import NAMES
from sandbox import guarded

from adbench.report import formats
from adbench.report.report import Report
from adbench.store.records import Record
from adbench.text import printable

_MARKUP = st.sampled_from(
    ["*", "_", "`", "~~", "|", "<", ">", "&", "&lt;", "&#60;", "[", "]", "(", ")", "!", "#", "-",
     "+", "1.", "\\", "http://x.y", "www.x.y", "<img src=x>", "$$", ":smile:", "@x", "a", "b", " ",
     "^", "="]
)  # fmt: skip
names = st.one_of(
    st.lists(_MARKUP, min_size=1, max_size=8).map("".join),
    st.text(min_size=1, max_size=20),
    st.sampled_from(NAMES),
)


@cache
def _reader() -> MarkdownIt:
    return MarkdownIt("gfm-like", {"linkify": False})


def check_name(name: str, folder: Path) -> None:
    """A category of this name is one cell of the table, word for word, and no other token."""
    from fuzz_records import sound_record

    shown = " ".join(printable(name).split())
    if not shown or printable(name) != name or name.startswith("/"):
        return  # refused where data, or records, are read
    value = sound_record()
    identity = value["identity"] | {"categories": [name], "scope": "separate"}
    value = value | {"identity": identity, "metrics": {name: value["metrics"]["a"]}, "data": {}}
    with guarded():
        text = formats.markdown(Report([Record.model_validate(value)]))
    cells = [_text(token) for token in _table_cells(text)]
    assert shown in cells, (shown, cells[:20])
    formats.csv(Report([Record.model_validate(value)]))


def _table_cells(text: str) -> list[Any]:
    tokens = _reader().parse(text)
    return [tokens[i + 1] for i, token in enumerate(tokens) if token.type in ("td_open", "th_open")]


def _text(token: Any) -> str:
    """The characters that a reader sees; markup other than our own emphasis is marked."""
    parts = []
    for child in token.children or []:
        if child.type in ("text", "text_special"):
            parts.append(child.content)
        elif child.type not in ("strong_open", "strong_close"):
            parts.append(f"<{child.type}>")
    return "".join(parts)
