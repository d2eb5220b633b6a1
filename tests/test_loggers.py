"""`run --log`: what tensorboard, mlflow and wandb are told of a run. Their own tests are skipped
where they are not installed: `pip install -e '.[dev]'`."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcomes import the_error
from toy import Invoke, Toy

from adbench import loggers

PLUGIN = """
from adbench.testing import PixelGaussian


class Lossy(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "lossy"})

    def fit(self, train, context):
        for step in range(1, 1001):
            context.progress("training", step, 1000, loss=1.0 / step)
        return super().fit(train, context)
"""


class Heard:
    """A tool that keeps what it is told."""

    runs: list[Heard] = []

    def __init__(self, name: str, config: Mapping[str, Any], tags: Sequence[str], at: Path) -> None:
        self.name, self.config, self.tags = name, config, tags
        self.points: dict[str, list[tuple[int, float]]] = {}
        self.pictures: dict[str, np.ndarray] = {}
        self.ended: list[bool] = []
        Heard.runs.append(self)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.points.setdefault(name, []).append((step, value))

    def picture(self, name: str, pixels: np.ndarray) -> None:
        self.pictures[name] = pixels

    def end(self, failed: bool) -> None:
        self.ended.append(failed)


@pytest.fixture
def lossy(tmp_path: Path) -> str:
    (tmp_path / "lossy.py").write_text(PLUGIN)
    return f"{tmp_path / 'lossy.py'}:Lossy"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Heard]]:
    """What a stand-in for each tool was told."""
    monkeypatch.setattr("adbench.request._require_tool", lambda tool: None)
    for tool in loggers.TOOLS:
        monkeypatch.setitem(loggers.TOOLS, tool, Heard)
    Heard.runs = []
    yield Heard.runs


def words(lossy: str, toy: Toy, *tools: str, categories: Sequence[str] = ("a",)) -> list[str]:
    logs = [word for tool in tools for word in ("--log", tool)]
    common = ["run", "--methods", lossy, *toy.arguments(*categories), "--preset", "smoke"]
    return [*common, "--no-timing", *logs]


def test_a_cell_is_a_run_with_its_losses_scores_and_maps(
    lossy: str, toy: Toy, invoke: Invoke, heard: list[Heard]
) -> None:
    done = invoke(*words(lossy, toy, "mlflow"), "--note", "why", "--tag", "x")
    assert done.code == 0, done.err
    (run,) = heard
    assert "lossy" in run.name and "seed 0" in run.name
    assert run.config["image_size"] == 32 and run.config["note"] == "why" and run.tags == ("x",)
    losses = run.points["training/loss"]
    assert losses[-1] == (1000, 0.001) and 150 < len(losses) <= 1 + loggers.POINTS
    table = json.loads(invoke(*words(lossy, toy), "--json").out)
    (row,) = [row for row in table if row["level"] == "category"]
    assert run.points["a/image_auroc"] == [(0, row["image_auroc"])]
    assert run.points["a/aupro@0.3"] == [(0, row["aupro@0.3"])]
    assert run.pictures["maps/a"].ndim == 3 and run.pictures["maps/a"].dtype == np.uint8
    assert run.ended == [False]


def test_what_is_there_already_is_not_told_again(
    lossy: str, toy: Toy, invoke: Invoke, heard: list[Heard]
) -> None:
    invoke(*words(lossy, toy, "wandb"))
    invoke(*words(lossy, toy, "wandb", categories=("a", "b")))
    assert [run.config["categories"] for run in heard] == ["a", "b"]


def test_workers_are_heard_too(lossy: str, toy: Toy, invoke: Invoke, heard: list[Heard]) -> None:
    local = ["--executor", "local", "--slots", "1"]
    if not _is_installed("mlflow-skinny"):  # the stand-in is one in this process alone
        pytest.skip("a worker refuses a tool that is not installed")
    done = invoke(*words(lossy, toy, "mlflow"), *local)
    assert done.code == 0, done.err
    (run,) = heard
    assert run.points["a/image_auroc"] and run.ended == [False]


def _is_installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def test_a_cell_that_fails_ends_its_run_so(
    toy: Toy, invoke: Invoke, heard: list[Heard], tmp_path: Path
) -> None:
    broken = PLUGIN + "        raise ValueError('no')\n"
    (tmp_path / "broken.py").write_text(broken.replace("return super().fit(train, context)", ""))
    assert invoke(*words(f"{tmp_path / 'broken.py'}:Lossy", toy, "wandb")).code == 3
    assert [run.ended for run in heard] == [[True]]


@pytest.mark.parametrize("broken", ["__init__", "numbers", "picture", "end"])
def test_a_tool_that_fails_stops_no_training(
    lossy: str,
    toy: Toy,
    invoke: Invoke,
    heard: list[Heard],
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(Heard, broken, fail)
    done = invoke(*words(lossy, toy, "mlflow"))
    assert done.code == 0 and "image" in done.out
    assert done.err.count("--log mlflow failed and is left alone") == 1


def test_wrong_and_absent_tools_are_told_before_anything_runs(
    lossy: str, toy: Toy, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "did you mean 'tensorboard'" in the_error(invoke(*words(lossy, toy, "tensorbord")), 2)
    find = importlib.util.find_spec
    without = {"wandb": None}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *m: without[n] if n in without else find(n, *m)
    )
    told = the_error(invoke(*words(lossy, toy, "wandb")), 2)
    assert "pip install 'adbench-diffusion[wandb]'" in told


# --------------------------------------------------------------------------- the tools themselves

NOISY = pytest.mark.filterwarnings("ignore")
"""What a tool warns of is its own."""


@NOISY
def test_tensorboard_reads_it(lossy: str, toy: Toy, invoke: Invoke, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = invoke(*words(lossy, toy, "tensorboard"))
    assert done.code == 0 and "failed" not in done.err, done.err
    (folder,) = (tmp_path / "results" / "logs" / "tensorboard").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    assert {"training/loss", "a/image_auroc"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["maps/a"]


@NOISY
def test_mlflow_keeps_it_in_a_local_store(
    lossy: str, toy: Toy, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = invoke(*words(lossy, toy, "mlflow"), "--tag", "x")
    assert done.code == 0 and "failed" not in done.err, done.err
    store = (tmp_path / "results" / "logs" / "mlflow").as_uri()
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("adbench")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.data.tags["x"] == "true"
    assert "a/image_auroc" in run.data.metrics and "a/aupro_0.3" in run.data.metrics
    assert run.data.params["image_size"] == "32"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["maps"]


@NOISY
def test_wandb_keeps_it_offline(
    lossy: str, toy: Toy, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = invoke(*words(lossy, toy, "wandb"), "--tag", "x")
    assert done.code == 0 and "failed" not in done.err, done.err
    (run,) = (tmp_path / "results" / "logs" / "wandb").glob("offline-run-*")
    assert list(run.glob("*.wandb")) and list(run.rglob("*.png"))
