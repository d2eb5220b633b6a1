"""A data set written as a table of files, as `--dataset` reads one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from adbench.contracts import Dataset
from adbench.errors import DataError, UsageError
from adbench.own_paths import TABLES
from adbench.store.files import replacing
from adbench.text import counted


def write_table(
    dataset: Dataset, root: Path, categories: Sequence[str], out: Path
) -> Iterator[str]:
    """Write one row for each image of these categories; gives what there is to say of it.

    What is wrong with single files, masks of other names say, is said and written as it is: the
    table is where it can be mended. A table that is there is not written over.

    Raises:
        UsageError: `out` is there already, or no table by its name.
        DataError: there is nothing to write.
        StoreError: `out` cannot be written.
    """
    from adbench.datasets.own.table import table_rows, table_text, write_parquet

    suffix = out.suffix.lower()
    if suffix not in TABLES:
        raise UsageError(f"--out {out}: expected a file ending in {', '.join(sorted(TABLES))}")
    if out.exists():
        raise UsageError(
            f"--out {out} is there already, and may have been changed by hand; expected a new "
            "file: remove it, or give another name"
        )
    found = {category: dataset.inspect(root, category) for category in categories}
    samples = sorted(s for one in found.values() for s in one.samples)
    if not samples:
        raise DataError(f"{dataset.card.name}: no image found in {root}; nothing was written")
    of_normals = dataset.normal_masks(root, [s for s in samples if not s.label])
    rows = table_rows(root, samples, of_normals, out.absolute().parent)
    with replacing(out) as temporary:
        if suffix == ".parquet":
            write_parquet(rows, temporary)
        else:
            temporary.write_bytes(table_text(rows, "\t" if suffix == ".tsv" else ",").encode())
    for category, one in found.items():
        yield from (f"{p.severity}: {category}: {p.message}" for p in one.problems)
    yield f"wrote {out} ({counted(len(rows), 'image')})"
