import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbench.errors import AdbenchError, UsageError
from adbench.selectors import (
    parse_dataset,
    parse_methods,
    parse_overrides,
    parse_seeds,
    parse_shard,
    split_categories,
)


def test_methods_are_split_outside_brackets_and_options_inside() -> None:
    lafite, patchcore = parse_methods("lafite[tau=300,num_neighbours=1|5], patchcore")
    assert (lafite.name, patchcore.name) == ("lafite", "patchcore")
    assert list(lafite.combinations()) == [
        {"tau": "300", "num_neighbours": "1"},
        {"tau": "300", "num_neighbours": "5"},
    ]
    assert list(patchcore.combinations()) == [{}]


def test_a_reference_to_a_file_keeps_its_colon() -> None:
    (selector,) = parse_methods("my/own.py:Mine[k=v]")
    assert selector.name == "my/own.py:Mine"


@pytest.mark.parametrize(
    "text", ["", "a[", "a]", "a[b]", "a[[b=1]]", "a[k=1,k=2]", "a[=1]", ",,", "a[k=1]b"]
)
def test_unreadable_methods_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_methods(text)


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


@pytest.mark.parametrize("text", ["", ":a", "mpdd:", "mpdd:,"])
def test_unreadable_datasets_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_dataset(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", (0,)), ("0-4", (0, 1, 2, 3, 4)), ("3,1,3", (3, 1)), ("0-1, 7", (0, 1, 7))],
)
def test_seeds(text: str, expected: tuple[int, ...]) -> None:
    assert parse_seeds(text) == expected


@pytest.mark.parametrize("text", ["", "a", "-1", "4-0", "1.5", "0-99999999"])
def test_unreadable_seeds_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_seeds(text)


def test_overrides_and_shards() -> None:
    assert parse_overrides(("lafite.tau=300", "lafite.weights=a=b")) == {
        "lafite": {"tau": "300", "weights": "a=b"}
    }
    assert parse_shard("2/8") == (2, 8)
    for bad in ("0/2", "3/2", "1", "a/b"):
        with pytest.raises(UsageError):
            parse_shard(bad)
    for bad in ("tau=3", "lafite.tau", ".a=1"):
        with pytest.raises(UsageError):
            parse_overrides((bad,))


@given(st.text("ab, :é\u0301", max_size=12), st.sets(st.text("ab, é\u0301", max_size=4)))
def test_a_known_category_can_be_written_as_it_is(text: str, known: set[str]) -> None:
    assert "" not in split_categories(text, known)
    for name in filter(str.strip, known):
        assert split_categories(name, known) == (name,)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_a_usage_error(text: str) -> None:
    for parse in (parse_methods, parse_dataset, parse_seeds, parse_shard):
        try:
            parse(text)
        except AdbenchError:
            pass
