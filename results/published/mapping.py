"""From a transcription of the papers' result tables to the files beside this module.

    python -m adbench.published.mapping TRANSCRIPTION.csv FOLDER

The transcription has one number a row, as printed: method, variant, dataset, category, metric,
value, std, unit, scope, image_size, source. The tables below put every word of it in ours. A word
that they lack is an error, so that no row is lost or guessed at.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from adbench.errors import UsageError
from adbench.report.reported import Reported
from adbench.store.files import write_text

COLUMNS = tuple(name for name in Reported.model_fields if name != "paper")
EFFICIENTNET = "tf_efficientnet_b4.aa_in1k"
"""UniAD's EfficientNet-b4 checkpoint under timm's name."""


@dataclass(frozen=True)
class Paper:
    """One source, and what holds for all its tables. An empty text means: the paper is silent.

    `presets` are, of methods of ours, those with the settings of these tables where not `paper`;
    `seeds` those of the numbers that are printed with a standard deviation.
    """

    file: str
    title: str
    presets: Mapping[str, str] = field(default_factory=dict)
    backbones: Mapping[str, str] = field(default_factory=dict)
    mask_rule: str = ""
    seeds: str = ""


# How a source begins in the transcription; what follows is the table.
PAPERS = {
    "TransFusion paper, ": Paper(
        "transfusion",
        "TransFusion (arXiv:2311.09999)",
        presets={"transfusion": "paper_text"},
        backbones={"TransFusion": "none"},
    ),
    "MaticFuc/ECCV_TransFusion ": Paper(
        "transfusion_code",
        "TransFusion's official code and weights (github.com/MaticFuc/ECCV_TransFusion)",
        backbones={"TransFusion": "none"},
        mask_rule="bilinear_any",  # resizes bilinearly with antialias, keeps any touched pixel
    ),
    "LafitE arXiv:2307.08059 ": Paper(
        "lafite",
        "LafitE (arXiv:2307.08059)",
        backbones={"LafitE": EFFICIENTNET, "UniAD": EFFICIENTNET},
        mask_rule="nearest",
        seeds="5",
    ),
    "DRDC arXiv:2407.01905 (CVPR-anon version) ": Paper(
        "drdc",
        "DRDC (arXiv:2407.01905, anonymous version)",
        backbones={"DRDC": EFFICIENTNET, "UniAD": EFFICIENTNET},
        mask_rule="nearest",
    ),
}
NOT_PRINTED = " (not in paper)"
"""How some sources end."""

METHODS = {name: name.lower() for name in ("DRDC", "LafitE", "PatchCore", "TransFusion", "UniAD")}
"""Published name to the registry's; any other method keeps its published name."""

SELECTORS = {
    "TransFusion": {
        "full": "",
        "official weights": "",
        "w/o PE": "positional_encoding=none",
        "w/o Simulated Mask": "previous_mask=none",
        "w/o L_n (normal appearance loss)": "loss_normal=false",
        "w/o L_m (mask loss)": "loss_mask=false",
        "w/o L_a (anomaly appearance loss)": "loss_anomaly=false",
        "w/o L_c (consistency loss)": "loss_consistency=false",
        "Only M_1": "final_mask=last",
        "Only M_disc": "final_mask=disc",
        "Only M_recon": "final_mask=recon",
        "5 steps": "num_steps=5",
        "10 steps": "num_steps=10",
        "50 steps": "num_steps=50",
        "schedule: Quadratic": "schedule=quadratic",
        "schedule: Root": "schedule=root",
    },
    "LafitE": {"w/o F.E.": "feature_editing=false"},
    "UniAD": {
        "w/ F.E.": "feature_editing=true",
        "28x28": "feature_size=28",
        "56x56": "feature_size=56",
    },
    "DRDC": {
        "full (ablation table)": "",
        "no model-cond, no multi-scale-base (STF + test-time cond)": "model_condition=false",
        "no test-time-cond, no multi-scale-base (STF + model cond)": "test_time_condition=false",
        "no spatio-temporal fusion (both conds)": "spatio_temporal_fusion=false",
        "multi-scale in base heatmap + STF + both conds": "multiscale_base=true",
    },
}
"""Published variant to our hyper-parameters; a variant that we lack is a method of its own."""

OTHER_VARIANTS = {("UniAD", "+VAE"), ("UniAD", "+GAN"), ("UniAD", "+UNet")}

BOUNDS = {
    f"GT mask rescaled {scale}": f"ground truth at {scale} of the size"
    for scale in ("1", "1/2", "1/4", "1/8", "1/16")
}
"""No detector: what the ground truth itself scores after downscaling."""

DATASETS = {name: name for name in ("mvtec", "mpdd", "visa", "btad", "all")}
DATASETS["average_visa_mvtec"] = "visa+mvtec"
CATEGORIES = {"average": "mean", "single_image_A100": ""}
"""Words of the transcription that are no category; categories are called as in our cards."""
DEVICES = {"single_image_A100": "NVIDIA A100"}
METRICS = {
    "image_auroc": ("image_auroc", "value"),
    "image_aupr": ("image_aupr", "value"),
    "pixel_auroc": ("pixel_auroc", "value"),
    "pixel_aupr": ("pixel_aupr", "value"),
    "aupro": ("aupro@0.3", "value"),
    "image_auroc_delta_pp": ("image_auroc", "difference"),
    "aupro_delta_pp": ("aupro@0.3", "difference"),
    "inference_seconds": ("seconds_per_image", "value"),
}
IMAGE_SIZES = {"224": ("224", ""), "256": ("256", ""), "256 (crop 224)": ("256", "224")}
"""To the side after the resize and that of the centre crop."""
DECIMAL_SHIFTS = {"percent": -2, "second": 0}


def convert(rows: Iterable[Mapping[str, str]]) -> dict[str, list[dict[str, str]]]:
    """File stem to its rows, in the transcription's order; as many rows out as in.

    Raises ValueError that names the row of the first word without a translation.
    """
    files: dict[str, list[dict[str, str]]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            file, converted = _convert_row(row)
        except KeyError as error:
            raise ValueError(f"row {number}: no translation of {error}: {dict(row)}") from None
        files.setdefault(file, []).append(converted)
    return files


def _convert_row(row: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    beginning = next((b for b in PAPERS if row["source"].startswith(b)), row["source"])
    paper = PAPERS[beginning]
    method, selector, name = _method(row["method"], row["variant"])
    metric, kind = METRICS[row["metric"]]
    image_size, crop = IMAGE_SIZES[row["image_size"]]
    shift = DECIMAL_SHIFTS[row["unit"]]
    is_ours = method in METHODS.values()
    table = row["source"].removeprefix(beginning).replace(NOT_PRINTED, "")
    return paper.file, {
        "method": method,
        "selector": selector,
        "preset": paper.presets.get(method, "paper") if is_ours else "",
        "name": name,
        "dataset": DATASETS[row["dataset"]],
        "dataset_version": "1",
        "category": CATEGORIES.get(row["category"], row["category"]),
        "metric": metric,
        "kind": "bound" if row["method"] in BOUNDS else kind,
        "value": _shifted(row["value"], shift),
        "std": _shifted(row["std"], shift),
        "seeds": paper.seeds if row["std"] else "",
        "scope": row["scope"],
        "image_size": image_size,
        "crop": crop,
        "backbone": paper.backbones.get(name.split(" ")[0], "") if is_ours else "",
        "mask_rule": paper.mask_rule,
        "device": DEVICES.get(row["category"], ""),
        "source": f"{paper.title}, {table}",
    }


def _method(method: str, variant: str) -> tuple[str, str, str]:
    """Method, selector, and name as printed."""
    if method in BOUNDS or (method, variant) in OTHER_VARIANTS:
        name = BOUNDS.get(method, f"{method} {variant}")
        return name, "", name
    selector = SELECTORS[method][variant] if variant else ""
    return METHODS.get(method, method), selector, f"{method} {variant}" if selector else method


def _shifted(value: str, places: int) -> str:
    """`value` times a power of ten, exactly, with the digits that were printed."""
    return f"{Decimal(value).scaleb(places):f}" if value else ""


def csv_text(rows: Iterable[Mapping[str, str]]) -> str:
    """Rows as the text of a CSV file."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def main(arguments: list[str]) -> None:
    """Write one CSV file a paper into the folder."""
    if len(arguments) != 2:
        raise SystemExit("usage: python -m adbench.published.mapping TRANSCRIPTION.csv FOLDER")
    source, folder = map(Path, arguments)
    if not source.is_file():
        raise UsageError(f"{source} is not there: expected the transcription, a CSV file")
    with source.open(encoding="utf-8", newline="") as stream:
        files = convert(csv.DictReader(stream))
    for stem, rows in files.items():
        write_text(folder / f"{stem}.csv", csv_text(rows))
        print(f"{stem}.csv: {len(rows)} rows")


if __name__ == "__main__":
    main(sys.argv[1:])
