"""`--executor ray`: the table of serial, also when a node dies in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ends import PATIENCE, ROUGH, arguments, claims, interrupt, records, table, until
from outcomes import the_error
from toy import PIXEL, Invoke, Toy, spawn

pytest.importorskip("ray", reason="needs the extra 'ray'")

SCRIPT = Path(__file__).parents[1] / "support" / "ray_cluster.py"


class Cluster:
    """Nodes of one processor each, in a process of their own."""

    def __init__(self, nodes: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self._answer("address ")

    def kill_node(self) -> None:
        """Kill one node with its workers."""
        assert self._process.stdin is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        self._answer("killed")

    def close(self) -> None:
        """End all."""
        self._process.communicate(timeout=PATIENCE)

    def _answer(self, start: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(start):
                return line.removeprefix(start).strip()
        raise AssertionError("the cluster did not start")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes."""
    started = Cluster(3)
    yield started
    started.close()


def checkpoints(results: Path) -> list[Path]:
    return list(results.glob("cells/*/checkpoint.pt"))


def _ray(cluster: Cluster) -> tuple[str, str]:
    return "--executor", f"ray[address={cluster.address}]"


def test_an_interrupt_ends_the_tasks_and_releases_their_claims(
    cluster: Cluster, toy: Toy, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    slow = f"{PIXEL}[steps=20000,step_seconds=0.1]"
    process = spawn(*arguments(toy, slow, results, *_ray(cluster)), cwd=tmp_path)
    until(lambda: process.poll() is not None or len(checkpoints(results)) == 2)
    assert process.poll() is None, process.communicate()
    code, err = interrupt(process, signal.SIGINT)
    assert code == 130 and "error: interrupted" in err, err
    assert claims(results) == [] and records(results, "*") == []
    assert not (results / "workers").exists()


def test_a_node_that_dies_in_the_middle_changes_nothing(
    cluster: Cluster, invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    one, two = tmp_path / "serial", tmp_path / "ray"
    method = f"{ROUGH}[steps=10,step_seconds=0.2,noise=0.5,fate=none|kill,seed=1]"
    command = arguments(toy, method, two, "--seeds", "0-2", *_ray(cluster))
    process = spawn(*command, cwd=tmp_path)
    until(lambda: records(two) and len(claims(two)) == 3)
    finished = {p: p.stat().st_mtime_ns for p in two.glob("cells/*/record-*.json")}
    cluster.kill_node()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, err  # the killed ones, and no other
    failures = [r["failure"]["message"] for r in records(two, "failed")]
    assert failures == ["its process was killed by SIGKILL (Killed)"] * 2
    assert len(records(two)) == 10 and claims(two) == []
    assert all(p.stat().st_mtime_ns == t for p, t in finished.items()), "none was done twice"
    assert invoke(*arguments(toy, method, one, "--seeds", "0-2", "--executor", "local")).code == 3
    assert table(invoke, one) == table(invoke, two)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("adress=auto", "unknown option 'adress'; valid: address, cpus, gpus"),
        ("cpus=many", "ray[cpus=many]: expected a number, 0 or more"),
        ("gpus=-1", "ray[gpus=-1]: expected a number, 0 or more"),
    ],
)
def test_wrong_options_are_told(
    invoke: Invoke, toy: Toy, tmp_path: Path, options: str, said: str
) -> None:
    command = arguments(toy, PIXEL, tmp_path / "r", "--executor", f"ray[{options}]")
    assert said in the_error(invoke(*command), 2)
