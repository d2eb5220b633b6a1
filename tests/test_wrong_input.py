"""Wrong words on the command line: one line that says what was found, what is valid, a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from outcomes import the_error
from scored import scored_record, write_results
from toy import PIXEL, Invoke, Toy

from adbench.errors import AdbenchError, UsageError
from adbench.hyperparameters import build_hyperparameters
from adbench.registry import load_method
from adbench.store.folders import Store
from adbench.testing import PixelGaussian, PixelGaussianHyperparameters


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--methods", "patchcor"], "unknown method 'patchcor': did you mean 'patchcore'?"),
        (["--methods", "patchcor"], "valid: all, baselines, diffusion"),
        (["--preset", "smok"], "'smok': did you mean 'smoke'? valid: fast, paper, smoke"),
        (["--methods", f"{PIXEL}[stepz=1]"], "'stepz': did you mean 'steps'?"),
        (["--methods", f"{PIXEL}[stepz=1]"], "`adbench methods pixel_gaussian` describes each"),
        (["--methods", f"{PIXEL}[steps=0]"], "pixel_gaussian.steps: Input should be greater"),
        (["--methods", f"{PIXEL}[steps=0]"], "(got '0'). `adbench methods pixel_gaussian` lists"),
        (["--methods", f"{PIXEL}[steps=many]"], "a valid integer"),
        (["--methods", f"{PIXEL}[steps=]"], "(got '')"),
        (["--methods", f"{PIXEL}[noise=nan]"], "pixel_gaussian.noise"),
        (["--methods", f"{PIXEL}[steps]"], "cannot read option 'steps'"),
        (["--methods", f"{PIXEL}[steps=1,steps=2]"], "steps=v1|v2 for a cell each"),
        (["--methods", f"{PIXEL}[steps=1"], "a bracket is not closed, expected NAME[k=v]"),
        (["--methods", f"{PIXEL}]["], "brackets do not match, expected NAME[k=v]"),
        (["--methods", "all[steps=1]"], "all takes no options: name the method"),
        (["--methods", " , "], "--methods is empty: expected NAME"),
        (["--set", "steps=3"], "--set 'steps=3': expected METHOD.NAME=VALUE"),
        (["--set", "pixel_gausian.steps=3"], "did you mean 'pixel_gaussian'?"),
        (["--set", "pixel_gaussian.step=3"], "'step': did you mean 'steps'?"),
        (["--seeds", "a"], "--seeds 'a': expected whole numbers, like 0 or 0,3 or 0-4"),
        (["--seeds", "-1"], "--seeds '-1': expected"),
        (["--seeds", "4-1"], "4-1 is no range"),
        (["--shard", "3/2"], "--shard '3/2': expected i/n with 1 <= i <= n, like 2/8"),
        (["--scope", "seperate"], "'seperate': did you mean 'separate'? valid: separate, unified"),
        (["--overwrite", "fail"], "'fail': did you mean 'failed'? valid: all, failed, never"),
        (["--mask-rule", "nearst"], "'nearst': did you mean 'nearest'?"),
        (["--limit", "1"], "--limit 1: expected 2 or more"),
        (["--limit", "few"], "invalid value for '--limit'"),
        (["--nope"], "no such option: --nope"),
        (["surplus"], "unexpected extra argument"),
    ],
)
def test_a_wrong_word_is_told_before_missing_data(
    invoke: Invoke, words: list[str], expected: str
) -> None:
    given = ["--methods", PIXEL, "--preset", "smoke", "--dataset", "mpdd", "--data-root", "absent"]
    for command in ("run", "plan"):
        assert expected in the_error(invoke(command, *given, *words), 2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--methods", PIXEL], "missing option '--dataset'; `adbench run --help` lists"),
        (["data", "verify"], "missing argument"),
        (["nope"], "no such command 'nope'"),
        (["report", "--format", "markdwn"], "'markdwn': did you mean 'markdown'?"),
        (["report", "--out"], "'--out' requires an argument"),
        (["methods", "patchcor"], "did you mean 'patchcore'?"),
        (["datasets", "mvtek"], "unknown data set 'mvtek': did you mean 'mvtec'?"),
        (["data", "verify", "mpd"], "did you mean 'mpdd'?"),
        (["data", "prepare", "mpd"], "did you mean 'mpdd'?"),
        (["data", "verify", "mpdd:tube", "--data-root", "absent"], "did you mean 'tubes'?"),
        (["data", "verify", "mpdd", "--mask-rule", "x"], "valid: area_max, nearest"),
        (["data", "verify", "mpdd", "--evaluation-size", "3"], "'--evaluation-size'"),
    ],
)
def test_a_wrong_command_is_one_line(invoke: Invoke, arguments: list[str], expected: str) -> None:
    assert expected in the_error(invoke(*arguments), 2)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mvtek", "unknown data set 'mvtek': did you mean 'mvtec'?"),
        ("mvtec:botle", "unknown category of mvtec 'botle': did you mean 'bottle'?"),
        ("", "--dataset '': expected NAME or NAME:CATEGORY"),
        ("mvtec:", "no category after the colon"),
        ("absent.py:Toy", "data set file absent.py does not exist; expected FILE.py:Class"),
    ],
)
def test_a_wrong_data_set_is_a_usage_error(invoke: Invoke, dataset: str, expected: str) -> None:
    outcome = invoke("plan", "--methods", PIXEL, "--dataset", dataset, "--data-root", "absent")
    assert expected in the_error(outcome, 2)


def test_a_category_is_a_name_of_one_that_is_there_and_never_a_path(
    invoke: Invoke, toy: Toy
) -> None:
    for name in ("c", "../toy/a", str(toy.root / "a"), ".", "a/train"):
        outcome = invoke("plan", "--methods", PIXEL, *toy.arguments(name))
        assert f"unknown category of toy {name!r}: valid: a, b" in the_error(outcome, 2)


@pytest.mark.parametrize(
    ("device", "expected"),
    [("gpu", "expected auto, cpu or cuda:N"), ("cuda:99", "CUDA devices are visible")],
)
def test_an_unusable_device_is_a_usage_error(
    invoke: Invoke, toy: Toy, device: str, expected: str
) -> None:
    arguments = ["run", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke"]
    outcome = invoke(*arguments, "--device", device)
    assert expected in the_error(outcome, 2)


def test_a_filter_that_matches_nothing_names_what_is_there(invoke: Invoke, tmp_path: Path) -> None:
    write_results(tmp_path / "results", [scored_record(np.arange(8) % 2, np.arange(8.0))])
    message = the_error(invoke("report", "--method", "lafite", "--preset", "paper"), 2)
    there = sorted({r.identity["method"] for r in Store(tmp_path / "results").records()})
    assert f"--method lafite (there: {', '.join(there)})" in message
    assert "--preset paper (there: " in message
    assert "is a folder: expected a file" in the_error(invoke("report", "--out", str(tmp_path)), 2)


def test_results_never_go_into_a_data_set(invoke: Invoke, toy: Toy) -> None:
    before = sorted(toy.root.rglob("*"))
    for results in (toy.root, toy.root / "a" / "results"):
        outcome = invoke("run", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke",
                         "--results", str(results))  # fmt: skip
        assert "inside the data set" in the_error(outcome, 2)
    assert sorted(toy.root.rglob("*")) == before


class Unbounded(PixelGaussian):
    class Hyperparameters(PixelGaussianHyperparameters):
        gain: float = 1.0


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_number_that_no_record_can_hold_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match=f"gain: found {value}, expected a finite number"):
        build_hyperparameters(Unbounded, "smoke", {"gain": value})


def test_an_estimate_of_days_without_a_gpu_stops_and_offers_the_fast_preset(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PixelGaussian, "training_flops", lambda self, num_train: 1e18)
    monkeypatch.setattr("adbench.cli.run.gpu_visible", lambda: False)
    outcome = invoke("run", "--methods", PIXEL, *toy.arguments("a"), "--no-timing")
    message = the_error(outcome, 2)
    assert "--preset fast" in message and "--yes" in message


@pytest.mark.parametrize("name", ["x" * 5000, "a" * 300 + "/b", "a\0b"])
def test_a_path_that_no_system_takes_is_a_usage_error_of_bounded_length(name: str) -> None:
    method = load_method("lafite")
    for call in (
        lambda: load_method(f"{name}.py:A"),
        lambda: load_method(f"{name}:A"),
        lambda: load_method(f"{name}:"),
        lambda: load_method(name),
        lambda: build_hyperparameters(method, "smoke", {"weights": name}),
        lambda: build_hyperparameters(method, "smoke", {name: "1"}),
        lambda: build_hyperparameters(method, name, {}),
    ):
        with pytest.raises(AdbenchError) as caught:
            call()
        assert 20 < len(str(caught.value)) < 1500


def test_a_message_is_bounded_whatever_is_given(invoke: Invoke) -> None:
    with pytest.raises(UsageError, match="multipliers.1: .*; and 297 more. .adbench methods drdc"):
        build_hyperparameters(load_method("drdc"), "smoke", {"multipliers": "x" * 299})
    for words in (("datasets", "a", "x" * 5000), ("x" * 5000,), ("run", "--" + "x" * 5000)):
        assert len(the_error(invoke(*words), 2)) < 1000
