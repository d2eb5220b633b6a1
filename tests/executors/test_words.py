"""`--executor`, `--slots` and `--time-limit` as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ends import arguments
from outcomes import the_error
from toy import PIXEL, Invoke, Toy

from adbench.errors import UsageError
from adbench.request import parse_executor
from adbench.text import parse_duration


def test_a_name_with_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert parse_executor(" ray[address=auto, gpus=0.5]") == (
        "ray",
        {"address": "auto", "gpus": "0.5"},
    )
    assert parse_executor("serial") == ("serial", {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("locl", "did you mean 'local'?"),
        ("local[slots=4]", "takes no options; --slots N"),
        ("submitit[partition]", "cannot read 'partition', expected option=value"),
        ("ray[", "expected NAME or NAME[option=value,...]"),
        ("", "expected NAME or NAME[option=value,...]"),
    ],
)
def test_what_cannot_be_read_is_told(
    invoke: Invoke, toy: Toy, tmp_path: Path, text: str, said: str
) -> None:
    command = arguments(toy, PIXEL, tmp_path / "r", "--executor", text)
    assert said in the_error(invoke(*command), 2)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["submitit", "ray"])
def test_a_missing_package_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=rf"pip install 'adbench-diffusion\[{name}\]'"):
        parse_executor(name)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("1h30m", 5400), ("2d", 172800), ("0.5h", 1800),
     ("12:00:00", 43200), ("1-02:03:04", 93784), (" 8s ", 8)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "-3m", "0s", "h", "1w", "12:00", "1e5s", "nan", "9" * 400]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="expected a duration like 90s"):
        parse_duration(text)


def test_slots_start_at_one(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    command = arguments(toy, PIXEL, tmp_path / "r", "--executor", "local", "--slots", "0")
    assert "--slots" in the_error(invoke(*command), 2)
