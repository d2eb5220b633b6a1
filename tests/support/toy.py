"""A tiny data set in the MVTec layout and ways to run the command line, for tests."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from warm import Warm

PIXEL = "adbench.testing:PixelGaussian"
CONTENT = (("train", "good", 6), ("test", "good", 4), ("test", "hole", 4))
TOY_CARD = """
from adbench.contracts import DatasetCard
from adbench.datasets.mvtec_layout import MVTecLayout


class Toy(MVTecLayout):
    card = DatasetCard(
        name="toy", title="Toy", licence="CC0", page="none", citation="",
        layout="<category>/train/good", directory_names=("toy",), categories={},
    )
"""


@dataclass(frozen=True)
class Toy:
    """A small data set: two categories, 6 training, 4 good and 4 defect test images each."""

    folder: Path
    reference: str

    @property
    def root(self) -> Path:
        return self.folder / "toy"

    def arguments(self, *categories: str) -> list[str]:
        """Options of the command line that select it."""
        name = self.reference + (":" + ",".join(categories) if categories else "")
        return ["--dataset", name, "--data-root", str(self.folder)]


def write_toy(
    folder: Path,
    categories: tuple[str, ...] = ("a", "b"),
    side: int = 40,
    content: tuple[tuple[str, str, int], ...] = CONTENT,
) -> Toy:
    """Write the toy data set below `folder`; `content`: so many images of a split and defect."""
    rng = np.random.default_rng(0)
    for category in categories:
        for split, defect, count in content:
            for index in range(count):
                _write_sample(folder / "toy" / category, split, defect, index, side, rng)
    plugin = folder / "toy_dataset.py"
    plugin.write_text(TOY_CARD)
    return Toy(folder, f"{plugin}:Toy")


def _write_sample(
    root: Path, split: str, defect: str, index: int, side: int, rng: np.random.Generator
) -> None:
    pixels = rng.normal(120, 8, (side, side, 3)).clip(0, 255).astype(np.uint8)
    path = root / split / defect / f"{index:03d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    if defect != "good":
        mask = np.zeros((side, side), np.uint8)
        top, left = rng.integers(3, side - 12, 2)
        mask[top : top + 8, left : left + 8] = 255
        pixels[mask > 0] += 30
        target = root / "ground_truth" / defect / f"{index:03d}_mask.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(target)
    Image.fromarray(pixels).save(path)


def forget_plugins() -> None:
    """Load plug-in files anew, as the next process would."""
    from adbench import code_digest, plugin_files, registry

    for module, names in (
        (registry, ("_load",)),
        (code_digest, ("method_code", "find_module", "_source_of")),
        (plugin_files, ("_package_of", "_is_beside")),
    ):
        for name in names:
            getattr(module, name).cache_clear()
    for name in [name for name in sys.modules if name.startswith("adbench_plugin_")]:
        del sys.modules[name]


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


Invoke = Callable[..., Outcome]


def spawn(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Warm:
    """Start `adbench ARGUMENTS` as a process of its own."""
    return Warm(list(arguments), cwd, env)


def spawn_cold(*arguments: str, cwd: Path, **options: object) -> subprocess.Popen[str]:
    """The same with all that a start of Python does."""
    command = [sys.executable, "-m", "adbench.cli", *arguments]
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and what it starts would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )
