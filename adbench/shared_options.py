"""Options that say which data a run uses, and those that other commands have too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adbench.text import at_home

DataRoot = Annotated[
    Path | None,
    typer.Option(
        envvar="ADBENCH_DATA",
        metavar="DIR",
        help="folder that holds the data sets' folders",
        callback=at_home,
    ),
]
Results = Annotated[
    Path,
    typer.Option(metavar="DIR", help="where records, models and tables are kept", callback=at_home),
]
CacheFolder = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="ADBENCH_CACHE",
        metavar="DIR",
        help="where decoded images and features are kept (default: ~/.cache/adbench)",
        callback=at_home,
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda:N")]
MaskRuleName = Annotated[
    str,
    typer.Option(
        metavar="RULE",
        help="how masks are resized: nearest (as in papers) or area_max (no defect vanishes)",
    ),
]
MaskThreshold = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=254,
        metavar="N",
        help="a mask value is anomalous when it is greater than N, at native size "
        "(default: the data set's own, 0 for most); 127 for masks with grey edges",
    ),
]
NORMAL = typer.Option(
    "--normal",
    metavar="NAME",
    help="of a folder of your own: which folder in it holds normal images, . for those in no "
    "folder; repeatable (default: good, ok, normal, pass and the like)",
)
MasksFolder = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        metavar="DIR",
        help="of a folder of your own: where its masks lie (default: masks, ground_truth and the "
        "like, in it)",
        callback=at_home,
    ),
]
Calibrate = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="hold this share of each category's training normals out of all training, like 0.2: "
        "their scores give p-values and verdicts (`adbench predict`, `report --verdicts`)",
    ),
]
