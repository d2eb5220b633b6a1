"""Saving and loading what DRDC has learned: tensors and JSON, no pickled code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from adbench.contracts import Context
from adbench.methods.drdc.fitting import Detector, choose_precision, create_network
from adbench.methods.drdc.hyperparameters import DRDCHyperparameters
from adbench.methods.uniad.storage import load_base, save_base


def save_detector(folder: Path, detector: Detector) -> None:
    """Write the base branch as UniAD does, the UNet, and the images to calibrate on."""
    save_base(folder, detector.base, {})
    tensors = {name: t.contiguous() for name, t in detector.network.state_dict().items()}
    save_file(tensors, folder / "unet.safetensors")
    np.save(folder / "calibration.npy", detector.calibration_pixels)
    text = json.dumps({"diagnostics": detector.diagnostics}, indent=1, allow_nan=False)
    (folder / "state.json").write_text(text + "\n")


def load_detector(folder: Path, hyperparameters: DRDCHyperparameters, context: Context) -> Detector:
    """What `save_detector` wrote.

    Raises:
        MethodError: the backbone's weights are others than in training.
    """
    base, _ = load_base(folder, hyperparameters.base, context)
    network = create_network(hyperparameters, context)
    network.load_state_dict(load_file(folder / "unet.safetensors"))
    network.requires_grad_(False).eval()
    pixels = np.load(folder / "calibration.npy", allow_pickle=False)
    state = json.loads((folder / "state.json").read_text())
    precision = choose_precision(hyperparameters, context)
    return Detector(base, network, precision, pixels, state["diagnostics"])
