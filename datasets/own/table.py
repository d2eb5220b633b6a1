"""A table of files, one row an image: by hand, by a spreadsheet or by `adbench data table`.

Columns in any order and case: `path` and `label`; `mask`, `category`, `split`, `defect` where there
are any; others are passed over. Separated by commas, semicolons or tabs, as UTF-8 or UTF-16, with
or without a byte order mark; or as Parquet.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adbench.contracts import NORMAL, Sample
from adbench.datasets.folder_words import TEST, TRAIN, is_anomalous_name, is_normal_name, word
from adbench.datasets.text_files import read_text
from adbench.errors import DataError, UsageError, shortened

COLUMNS = ("path", "label", "split", "category", "defect", "mask")
_REQUIRED = {"path", "label"}
_DEFECT = "anomaly"
"""The defect of anomalous images of which the table does not say it."""
_FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
"""How what a spreadsheet would run begins, and what was kept from it by quotation marks."""
_LABELS = "0 or 1, good or bad, ok or ng, normal or anomalous"


class Row(NamedTuple):
    """One image. `line` is where it stands; paths are absolute; texts are empty where the table
    says nothing, and so is `split`, "train" or "test" otherwise."""

    line: int
    path: str
    label: int
    mask: str
    category: str
    split: str
    defect: str


def read_table(file: Path) -> list[Row]:
    """All rows; no image is opened.

    Raises `DataError` that names the first line that cannot be used, or files that are not there.
    """
    rows: list[Row] = []
    lines: dict[str, int] = {}
    gone: list[str] = []
    for line, cells in _parquet(file) if _suffix(file) == ".parquet" else _text(file):
        row = _row(file, line, cells)
        first = lines.setdefault(row.path, line)
        if first != line:
            raise _wrong(file, f"lines {first} and {line} are of one image, {cells['path']}")
        for written, path in ((cells["path"], row.path), (cells.get("mask", ""), row.mask)):
            if path and not os.path.exists(path):
                gone.append(f"{shortened(written)} (line {line})")
        rows.append(row)
    if gone:
        more = f" and {len(gone) - 1} more are not there" if len(gone) > 1 else " is not there"
        raise _wrong(
            file,
            f"the file {gone[0]}{more}; paths are relative to the table's folder {file.parent}",
        )
    if not rows:
        raise _wrong(file, "it has no row")
    _check_splits(file, rows)
    return rows


def read_paths(file: Path) -> list[tuple[str, str]]:
    """Of each image in a table the path as it is written there, with slashes, and as it lies on
    this machine; other columns are passed over. Raises `DataError` for what is no such table."""
    own = _parquet if _suffix(file) == ".parquet" else _text
    rows = (_unguarded(cells["path"]) for _, cells in own(file, {"path"}))
    found = [(text, _absolute(file, text)) for text in dict.fromkeys(rows) if text]
    return [
        (text if where == os.path.normpath(file.parent / text) else text.replace("\\", "/"), where)
        for text, where in found
    ]


def table_text(rows: Sequence[Mapping[str, str]], separator: str) -> str:
    """Rows of `COLUMNS` as text, which `read_table` reads again; a spreadsheet runs none of it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_guarded(row[name]) for name in COLUMNS] for row in rows)
    return buffer.getvalue()


def write_parquet(rows: Sequence[Mapping[str, str]], file: Path) -> None:
    """The same as Parquet; raises `UsageError` where no library for it is installed."""
    import pandas as pd

    try:
        pd.DataFrame.from_records(list(rows), columns=list(COLUMNS)).to_parquet(file, index=False)
    except ImportError:
        raise _no_parquet(file) from None


def table_rows(
    root: Path, samples: Sequence[Sample], of_normals: Mapping[str, str], start: Path
) -> list[dict[str, str]]:
    """These samples as rows of a table that lies in the folder `start`."""

    def relative(path: str | None) -> str:
        if path is None:
            return ""
        found = Path(os.path.relpath(root / path, start)).as_posix()
        return f"./{found}" if _FORMULA.match(found) else found

    return [
        {
            "path": relative(s.path),
            "label": str(s.label),
            "split": s.split,
            "category": s.category,
            "defect": s.defect if s.label else "",
            "mask": relative(s.mask_path or of_normals.get(s.path)),
        }
        for s in samples
    ]


# ---------------------------------------------------------------------------------- one row


def _row(file: Path, line: int, cells: Mapping[str, str]) -> Row:
    label = _label(file, line, cells["label"])
    split, category = cells.get("split", ""), cells.get("category", "")
    if split and word(split) not in TRAIN | TEST:
        raise _wrong(file, f"line {line} has the split {shortened(split)!r}, not train or test")
    if not cells["path"]:
        raise _wrong(file, f"line {line} has no path")
    defect = (_unguarded(cells.get("defect", "")) or _DEFECT) if label else NORMAL
    return Row(
        line,
        _absolute(file, cells["path"]),
        label,
        _absolute(file, cells.get("mask", "")),
        _unguarded(category),
        ("train" if word(split) in TRAIN else "test") if split else "",
        defect,
    )


def _label(file: Path, line: int, text: str) -> int:
    number = re.fullmatch(r"([01])(?:[.,]0*)?", text)
    if number:
        return int(number[1])
    if is_normal_name(text):
        return 0
    if is_anomalous_name(text):
        return 1
    found = f"the label {shortened(text)!r}" if text else "no label"
    raise _wrong(
        file, f"line {line} has {found}, expected {_LABELS}; what is wrong with it is the defect"
    )


def _absolute(file: Path, text: str) -> str:
    """The path as it lies on this machine; backslashes are slashes where such a file is."""
    if not text:
        return ""
    path = os.path.normpath(file.parent / text)
    if "\\" in text and not os.path.lexists(path):
        return os.path.normpath(file.parent / text.replace("\\", "/"))
    return path


def _check_splits(file: Path, rows: Sequence[Row]) -> None:
    """Normal images have a split all or none, and no anomalous one trains."""
    with_split = [r for r in rows if r.split]
    for row in rows:
        if row.label and row.split == "train":
            raise _wrong(file, f"line {row.line} trains on an anomalous image; expected test")
        if with_split and not row.split and not row.label:
            first = with_split[0].line
            raise _wrong(file, f"line {row.line} has no split, though line {first} has one")


# ------------------------------------------------------------------------------- what is read

_Cells = Iterator[tuple[int, dict[str, str]]]


def _text(file: Path, required: Collection[str] = _REQUIRED) -> _Cells:
    """Each row by its columns' names, with the number of its last line."""
    try:
        text = read_text(file)
    except ValueError as error:
        raise _wrong(file, str(error)) from None
    skipped = 0
    if re.match(r"sep=.\r?\n", text):  # a line for Excel
        skipped, text = 1, text.split("\n", 1)[1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    try:
        header = [_column(name) for name in next(reader, [])]
        _check_header(file, header, required)
        for cells in reader:
            line = reader.line_num + skipped
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise _wrong(file, f"line {line} has {len(cells)} of {len(header)} columns")
            yield line, {n: v.strip() for n, v in zip(header, cells, strict=True) if n}
    except csv.Error as error:
        raise _wrong(file, f"line {reader.line_num + skipped}: {error}") from None


def _separator(text: str) -> str:
    """Of `,;` and tab the one that makes most columns of the first line."""
    header = text.split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _column(name: str) -> str:
    return name.strip().strip('"').casefold()


def _check_header(file: Path, header: Sequence[str], required: Collection[str]) -> None:
    if not set(header) >= set(required):
        found = shortened(", ".join(header)) or "nothing"
        raise _wrong(file, f"line 1 names the columns {found}; rename those that are meant")
    for name in COLUMNS:
        if header.count(name) > 1:
            raise _wrong(file, f"line 1 names the column {name} twice")


def _parquet(file: Path, required: Collection[str] = _REQUIRED) -> _Cells:
    import pandas as pd

    if not file.is_file():
        raise _wrong(file, "it is no file")
    try:
        data: Any = pd.read_parquet(file)
    except ImportError:
        raise _no_parquet(file) from None
    except Exception as error:  # whatever the reader makes of a file that is no such table
        raise _wrong(file, f"{type(error).__name__}: {shortened(str(error).strip())}") from None
    header = [_column(str(name)) for name in data.columns]
    _check_header(file, header, required)
    for number, cells in enumerate(data.itertuples(index=False, name=None), start=1):
        texts = ("" if pd.isna(cell) else str(cell).strip() for cell in cells)
        yield number, dict(zip(header, texts, strict=True))


def _no_parquet(file: Path) -> UsageError:
    return UsageError(
        f"{file}: Parquet needs the package pyarrow, which is not installed: install it with: "
        "pip install 'adbench-diffusion[parquet]', or use a .csv file"
    )


def _wrong(file: Path, why: str) -> DataError:
    return DataError(
        f"{file}: {why}; expected one row an image with the columns path and label ({_LABELS}), "
        "and if there are any mask, category, split (train or test) and defect. A table to start "
        "from is written by: adbench data table FOLDER --out FILE"
    )


def _suffix(file: Path) -> str:
    return file.suffix.lower()


def _guarded(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
