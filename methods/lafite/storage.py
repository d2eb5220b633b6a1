"""Saving and loading what LafitE has learned: tensors and JSON, no pickled code."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from adbench.contracts import JSON
from adbench.methods.lafite.fitting import Detector, create_editor, create_extractor
from adbench.methods.lafite.hyperparameters import LafitEHyperparameters
from adbench.methods.lafite.network import create_unet
from adbench.methods.lafite.scaling import FeatureScaling


def save_detector(folder: Path, detector: Detector, diagnostics: dict[str, JSON]) -> None:
    """Write everything but the backbone, of which the digest is kept."""
    tensors = {"mean": detector.scaling.mean, "std": detector.scaling.std}
    if detector.editor is not None:
        tensors["centers"] = detector.editor.search.bank
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()},
              folder / "features.safetensors")  # fmt: skip
    if detector.network is not None:
        save_file(detector.network.state_dict(), folder / "network.safetensors")
    state = {
        "unit": detector.scaling.unit,
        "weights_sha256": detector.extractor.weights_sha256,
        "diagnostics": diagnostics,
    }
    (folder / "state.json").write_text(json.dumps(state, indent=1, allow_nan=False) + "\n")


def load_detector(
    folder: Path, hyperparameters: LafitEHyperparameters, device: str
) -> tuple[Detector, dict[str, JSON]]:
    """What `save_detector` wrote, with the backbone that it was trained on.

    Raises:
        MethodError: the backbone's weights are others than in training.
    """
    state = json.loads((folder / "state.json").read_text())
    extractor = create_extractor(hyperparameters, device)
    extractor.require_weights(state["weights_sha256"])
    tensors = load_file(folder / "features.safetensors", device=device)
    scaling = FeatureScaling(tensors["mean"], tensors["std"], state["unit"])
    detector = Detector(extractor, scaling, None, None)
    if hyperparameters.feature_editing:
        detector.editor = create_editor(hyperparameters, tensors["centers"], scaling.unit, device)
    if hyperparameters.reconstruction:
        network = create_unet(
            extractor.channels, hyperparameters.base_width, hyperparameters.map_size
        )
        network.load_state_dict(load_file(folder / "network.safetensors"))
        detector.network = network.to(device).requires_grad_(False).eval()
    return detector, state["diagnostics"]
