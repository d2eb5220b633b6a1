"""No file that is data runs code: weights, models, checkpoints; plug-ins only where named."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from outcomes import the_error, warnings_of
from toy import PIXEL, Invoke, Toy

from adbench.contracts import Method
from adbench.errors import MethodError
from adbench.methods.features import load_weights
from adbench.methods.transfusion.weights import load_checkpoint
from adbench.registry import load_method, method_names
from adbench.store.checkpoint import FileCheckpoint


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.target),)


@pytest.fixture
def executed(tmp_path: Path) -> Path:
    """What would exist if any payload had run."""
    return tmp_path / "executed"


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def saved(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def pickled_array(payload: Payload) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([payload], object), allow_pickle=True)
    return buffer.getvalue()


PICKLES: dict[str, Callable[[Payload], bytes]] = {
    "plain": pickle.dumps,
    "state_dict": lambda payload: pickle.dumps({"conv.weight": payload}),
    "torch": lambda payload: saved({"state_dict": {"conv.weight": payload}}),
    "old torch": lambda payload: saved(
        {"conv.weight": payload}, _use_new_zipfile_serialization=False
    ),
    "script": lambda payload: archive(  # what `torch.load` would hand over to TorchScript
        {"x/constants.pkl": pickle.dumps(payload), "x/data.pkl": b"", "x/version": b"3"}
    ),
}


def test_the_payload_is_a_real_one(executed: Path) -> None:
    pickle.loads(PICKLES["plain"](Payload(executed)))
    assert executed.is_dir()


@pytest.mark.parametrize("kind", PICKLES)
def test_weights_and_checkpoints_run_no_code(tmp_path: Path, executed: Path, kind: str) -> None:
    body = PICKLES[kind](Payload(executed))
    for suffix in (".pth", ".pkl", ".safetensors"):
        file = tmp_path / f"weights{suffix}"
        file.write_bytes(body)
        with pytest.raises(MethodError, match="weights"):
            load_weights(torch.nn.Linear(1, 1), "tf_efficientnet_lite0", file)
        with pytest.raises(MethodError, match="weights"):
            load_checkpoint(torch.nn.Linear(1, 1), file)
    (tmp_path / "checkpoint.pt").write_bytes(hashlib.sha256(body).digest() + body)
    try:
        FileCheckpoint(tmp_path / "checkpoint.pt", 0).load()
    except Exception as error:
        assert not isinstance(error, FileExistsError)
    assert not executed.exists()


def test_a_model_of_a_right_digest_runs_no_code(
    invoke: Invoke, toy: Toy, tmp_path: Path, executed: Path
) -> None:
    from adbench.store import files

    command = ["run", "--no-timing", "--methods", PIXEL, "--preset", "smoke", *toy.arguments("a")]
    assert invoke(*command).code == 0
    (record,) = tmp_path.glob("results/cells/*/record-*.json")
    record.unlink()
    file = record.parent / "model" / "mean.npy"
    file.write_bytes(pickled_array(Payload(executed)))
    report = files.read_json(file.with_name("fit.json"))
    report["sizes"]["mean.npy"] = file.stat().st_size
    report["files"]["mean.npy"] = hashlib.sha256(file.read_bytes()).hexdigest()
    report["sizes"]["mean.npy"] = file.stat().st_size
    files.write_json(file.with_name("fit.json"), report)
    outcome = invoke(*command)
    assert outcome.code == 3 and "Traceback" not in outcome.err
    assert not executed.exists()


def test_no_source_of_ours_unpickles() -> None:
    """Every call that can run code names the option that forbids it."""
    import ast

    import adbench

    root = Path(str(adbench.__file__)).parent
    sources = [p for top in (root, root / "methods", root / "datasets") for p in top.rglob("*.py")]
    assert len(sources) > 100
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "dill", "cloudpickle", "joblib", "shelve"}, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                options = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                owner = getattr(node.func.value, "id", "")
                if node.func.attr == "load" and owner == "torch":
                    assert options.get("weights_only") is True, f"{path}:{node.lineno}"
                assert options.get("allow_pickle") is not True, f"{path}:{node.lineno}"


# -------------------------------------------------------------------------------------- plug-ins

PLUGIN = """
from pathlib import Path
Path({marker!r}).mkdir(exist_ok=True)
from adbench.testing import PixelGaussian
class Mine(PixelGaussian):
    pass
"""


PLACES = (
    "plugin.py", "toy.py", "torch.py", "numpy.py", "adbench_plugin.py", "conftest.py",
    "sitecustomize.py", "results/cells/x.py", "data/plugin.py", "data/toy/a/x.py",
)  # fmt: skip


def test_plug_ins_are_imported_only_when_named(toy: Toy, tmp_path: Path, executed: Path) -> None:
    """By the installed command, which has no working folder on its path; nor has `python -P`."""
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(PLUGIN.format(marker=str(executed)))
    words = ["--preset", "smoke", *toy.arguments()]
    commands = [["plan", "--methods", PIXEL, *words], ["report"], ["doctor"], ["methods"]]
    script = (
        f"import sys; from adbench.cli import main\nfor words in {commands!r}:\n"
        "    sys.argv = ['adbench', *words]\n"
        "    try:\n        main()\n    except SystemExit:\n        pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and not executed.exists(), done.stderr
    command = Path(sys.executable).with_name("adbench")
    if not command.exists():
        pytest.skip("adbench is not installed as a command here")
    named = [str(command), "plan", "--methods", "plugin.py:Mine", *words]
    done = subprocess.run(named, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and executed.exists(), done.stderr


def test_installed_plug_ins_are_not_imported_for_another_ones_sake(tmp_path: Path) -> None:
    script = (
        "import sys; from adbench.registry import load_method; load_method('patchcore'); "
        "print([m for m in sys.modules if m.startswith('adbench.methods.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "adbench.methods.patchcore" in done.stdout
    assert "lafite" not in done.stdout and "transfusion" not in done.stdout


@pytest.mark.parametrize("name", method_names())
def test_a_weights_file_that_is_none_is_one_line(
    invoke: Invoke, toy: Toy, tmp_path: Path, executed: Path, name: str
) -> None:
    """From the command line, for each method that takes weights."""
    method: type[Method] = load_method(name)
    if "weights" not in method.Hyperparameters.model_fields:
        pytest.skip("takes no weights")
    (tmp_path / "w.pth").write_bytes(PICKLES["torch"](Payload(executed)))
    words = ["--preset", "smoke", *toy.arguments("a"), "--limit", "2"]
    missing = invoke("plan", "--methods", f"{name}[weights=absent.pth]", *words)
    assert "weights" in the_error(missing, 2)
    outcome = invoke("run", "--methods", f"{name}[weights=w.pth]", "--no-timing", *words)
    assert outcome.code in (2, 3) and "Traceback" not in outcome.err, outcome.err
    assert "w.pth" in outcome.err and not warnings_of(outcome)
    assert not executed.exists()
