"""Damage: strategies that turn sound bytes, texts and JSON into unsound ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Draw = st.DrawFn

EDGES = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0")
"""Values at which sizes and offsets overflow."""

NAMES = (
    "", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "x" * 300, "x" * 5000, "größe",
    "漢字", "a\nb",
    "\x1b[2J", "a\0b", "|", "*a*", "_a_", "`", "<b>", "[x](http://x)", "~", "$HOME", "%s", "{}",
    "{0.__class__}", "-n", "--help", "nan", "none", "null", "true", "0", "-1", "1e999", "9" * 50,
    "\ud800", "\u202e", "\u2028", "a b", " ", "\t", "'", '"', "&lt;", "#", "!", ":", ";", "=", ",", "CON", "__proto__",  # noqa: E501
)  # fmt: skip
"""Texts that mean something to somebody."""

anything: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.sampled_from(NAMES),
        st.text(max_size=8),
        st.lists(anything, max_size=3),
        st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), anything, max_size=3),
    )
)
"""Any JSON value, and floats that are none."""

texts = st.one_of(st.sampled_from(NAMES), st.text(max_size=12), st.text(max_size=400))


@st.composite
def damaged_bytes(draw: Draw, sound: Sequence[bytes]) -> bytes:
    """One of `sound`, cut, flipped, overwritten, doubled, spliced with another, or not at all."""
    content = bytearray(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        match draw(st.integers(0, 6)):
            case 0:
                content = content[:place]
            case 1 if content:
                content[place] ^= 1 << draw(st.integers(0, 7))
            case 2:
                edge = draw(st.sampled_from(EDGES))
                content[place : place + len(edge)] = edge
            case 3:
                end = place + draw(st.integers(1, 64))
                content[place:place] = content[place:end]
            case 4:
                del content[place : place + draw(st.integers(1, 64))]
            case 5:
                other = draw(st.sampled_from(sound))
                content = content[:place] + other[draw(st.integers(0, len(other))) :]
            case 6:
                content[place:place] = draw(st.binary(max_size=16))
    return bytes(content)


@st.composite
def damaged_json(draw: Draw, sound: Any) -> Any:
    """A copy of a JSON value in which something is missing, doubled or another thing."""
    value = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 3))):
        path = _path(draw, value)
        if not path:
            continue
        parent = value
        for step in path[:-1]:
            parent = parent[step]
        match draw(st.integers(0, 3)):
            case 0:
                del parent[path[-1]]
            case 1:
                parent[path[-1]] = draw(anything)
            case 2:
                parent[path[-1]] = draw(st.sampled_from([[], {}, "", None, 0, -1, 1.5, True]))
            case 3 if isinstance(parent, dict):
                parent[draw(st.sampled_from(NAMES))] = parent[path[-1]]
    return value


def _path(draw: Draw, value: Any) -> list[Any]:
    """A way down to some place in a JSON value; [] for the value itself."""
    path: list[Any] = []
    while isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        step = draw(st.sampled_from(keys))
        path.append(step)
        value = value[step]
        if draw(st.booleans()):
            break
    return path
