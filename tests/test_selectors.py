"""The words of the command line: selectors, presets, options, and how their text becomes values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from adbench.contracts import Hyperparameters
from adbench.errors import UsageError
from adbench.hyperparameters import build_hyperparameters, variant_name
from adbench.registry import load_method
from adbench.selectors import (
    parse_dataset,
    parse_methods,
    parse_overrides,
    parse_seeds,
    parse_shard,
    split_categories,
)
from adbench.testing import PixelGaussian

UNREADABLE: dict[Callable[[str], object], list[str]] = {
    parse_methods: ["", "a[", "a]", "a[b]", "a[[b=1]]", "a[k=1,k=2]", "a[=1]", ",,", "a[k=1]b"],
    parse_dataset: ["", ":a", "mpdd:", "mpdd:,"],
    parse_seeds: ["", "a", "-1", "4-0", "1.5", "0-99999999"],
    parse_shard: ["0/2", "3/2", "1", "a/b"],
    lambda text: parse_overrides((text,)): ["tau=3", "lafite.tau", ".a=1"],
}


@pytest.mark.parametrize(("parse", "texts"), UNREADABLE.items())
def test_what_cannot_be_read_is_a_usage_error(
    parse: Callable[[str], object], texts: list[str]
) -> None:
    for text in texts:
        with pytest.raises(UsageError):
            parse(text)


def test_methods_are_split_outside_brackets_and_options_inside() -> None:
    lafite, patchcore, own = parse_methods(
        "lafite[tau=300,num_neighbours=1|5], patchcore,my/own.py:Mine[k=v]"
    )
    assert (lafite.name, patchcore.name, own.name) == ("lafite", "patchcore", "my/own.py:Mine")
    assert list(lafite.combinations()) == [
        {"tau": "300", "num_neighbours": "1"},
        {"tau": "300", "num_neighbours": "5"},
    ]
    assert list(patchcore.combinations()) == [{}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mpdd", ("mpdd", None)),
        ("mpdd:tubes", ("mpdd", "tubes")),
        ("mpdd:tubes, connector,tubes", ("mpdd", "tubes, connector,tubes")),
        ("own.py:Mine", ("own.py:Mine", None)),
        ("own.py:Mine:a,b", ("own.py:Mine", "a,b")),
        ("pack.age:Mine:a:b[c]", ("pack.age:Mine", "a:b[c]")),
    ],
)
def test_dataset_selector(text: str, expected: tuple[str, str | None]) -> None:
    assert parse_dataset(text) == expected


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("tubes, connector,tubes", {"tubes", "connector"}, ("tubes", "connector")),
        ("tubes,,other", {"tubes"}, ("tubes", "other")),
        ("a,b", {"a", "b", "a,b"}, ("a,b",)),
        ("b,a", {"a", "b", "a,b"}, ("b", "a")),
        ("c,a,b", {"a,b", "c"}, ("c", "a,b")),
        ("a, b:c[d],x", {"a, b:c[d]", "x"}, ("a, b:c[d]", "x")),
        (" a", {" a", "a"}, (" a",)),
        ("gro\u0308ße", {"größe"}, ("größe",)),
        ("größe", {"gro\u0308ße"}, ("gro\u0308ße",)),
        ("größe", {"gro\u0308ße", "größe"}, ("größe",)),
        ("", {"a"}, ()),
    ],
)
def test_categories_are_split_by_the_names_there_are(
    text: str, known: set[str], expected: tuple[str, ...]
) -> None:
    assert split_categories(text, known) == expected


def test_seeds_overrides_and_shards() -> None:
    texts = ("0", "0-4", "3,1,3", "0-1, 7")
    assert [*map(parse_seeds, texts)] == [(0,), (0, 1, 2, 3, 4), (3, 1), (0, 1, 7)]
    assert parse_overrides(("lafite.tau=300", "lafite.weights=a=b")) == {
        "lafite": {"tau": "300", "weights": "a=b"}
    }
    assert parse_shard("2/8") == (2, 8)


@given(st.text("ab, :é\u0301", max_size=12), st.sets(st.text("ab, é\u0301", max_size=4)))
def test_a_known_category_can_be_written_as_it_is(text: str, known: set[str]) -> None:
    assert "" not in split_categories(text, known)
    for name in filter(str.strip, known):
        assert split_categories(name, known) == (name,)


# ------------------------------------------------------------------------------ hyper-parameters


def test_none_is_a_value_where_the_field_has_it_and_no_value_elsewhere() -> None:
    lafite = load_method("lafite")
    scaled = build_hyperparameters(lafite, "smoke", {"feature_scaling": "none", "steps": "none"})
    assert scaled.canonical()["feature_scaling"] == "none"
    assert scaled.canonical()["steps"] is None
    with pytest.raises(UsageError, match="tau"):
        build_hyperparameters(lafite, "smoke", {"tau": "none"})


def test_text_and_python_values_build_the_same() -> None:
    text = build_hyperparameters(PixelGaussian, "smoke", {"noise": "0.5", "steps": "3"})
    python = build_hyperparameters(PixelGaussian, "smoke", {"noise": 0.5, "steps": 3})
    assert text == python and variant_name(PixelGaussian, "smoke", text) == "noise=0.5,steps=3"


class _WithFile(Hyperparameters):
    file: Path = Field(description="any file")


def test_a_path_counts_by_name_and_content_and_never_by_folder(tmp_path: Path) -> None:
    for folder, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.pth").write_text(content)
    one, same, other = (_WithFile(file=tmp_path / folder / "w.pth").canonical() for folder in "abc")
    assert one == same != other
    assert str(tmp_path) not in str(one)
