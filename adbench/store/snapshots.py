"""What is kept along one training of a cell, in `cells/<fit key>/snapshots`:

<step>/                     the model after so many steps, as `model/` is the one at the end
<step>-<predict key>/       its maps, until they are scored
<step>-<score key>.json     what it scores, until the record holds it
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adbench.store import files


class SnapshotFolder:
    """Paths of one cell's snapshots; `keys` are the cell's. A link in its place counts as empty."""

    def __init__(self, path: Path, keys: Mapping[str, str]) -> None:
        self.path, self._keys = path, keys

    def steps(self) -> list[int]:
        """Those after which a model was kept."""
        names = (path.name for path in self._entries())
        return sorted(int(name) for name in names if re.fullmatch(r"\d{8}", name))

    def model(self, step: int) -> Path:
        """The model after so many steps, as `model_files` writes one."""
        return self.path / f"{step:08d}"

    def maps(self, step: int) -> Path:
        """The folder of its maps."""
        return self.path / f"{step:08d}-{self._keys['predict']}"

    def numbers(self, step: int) -> dict[str, Any] | None:
        """What `write_numbers` kept of it, or None."""
        return files.checked(self._numbers(step), files.read_json)

    def write_numbers(self, step: int, numbers: dict[str, Any]) -> None:
        """Keep what it scores; its maps are no longer needed."""
        files.write_json(self._numbers(step), numbers)
        files.remove(self.maps(step))

    def begin(self, *, anew: bool) -> None:
        """Before a training; `anew`: from its first step, so that what is there is of another."""
        if anew or self.path.is_symlink():
            files.remove(self.path)

    def tidy(self) -> None:
        """The record holds the numbers: the models stay."""
        for path in self._entries():
            if path.name.endswith((f"-{self._keys['predict']}", f"-{self._keys['score']}.json")):
                files.remove(path)

    def sweep(self, names: re.Pattern[str]) -> None:
        """Remove what killed writers left, under these names."""
        for path in self._entries():
            if names.fullmatch(path.name):
                files.remove(path)

    def _entries(self) -> Iterator[Path]:
        is_ours = self.path.is_dir() and not self.path.is_symlink()
        return iter(sorted(self.path.iterdir()) if is_ours else ())

    def _numbers(self, step: int) -> Path:
        return self.path / f"{step:08d}-{self._keys['score']}.json"
