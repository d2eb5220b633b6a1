"""Saving and loading what TransFusion has learned: tensors and JSON, no pickled code."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from adbench.contracts import Context
from adbench.methods.training import seeded
from adbench.methods.transfusion.fitting import Detector, choose_precision, create_network
from adbench.methods.transfusion.hyperparameters import TransFusionHyperparameters


def save_detector(folder: Path, detector: Detector) -> None:
    """Write the network and what is known of its training."""
    tensors = {name: t.contiguous() for name, t in detector.network.state_dict().items()}
    save_file(tensors, folder / "network.safetensors")
    state = {"protocol": detector.protocol, "diagnostics": detector.diagnostics}
    (folder / "state.json").write_text(json.dumps(state, indent=1, allow_nan=False) + "\n")


def load_detector(
    folder: Path, hyperparameters: TransFusionHyperparameters, context: Context
) -> Detector:
    """What `save_detector` wrote."""
    state = json.loads((folder / "state.json").read_text())
    with seeded(context, "network"):  # else the weights that are overwritten next cost global draws
        network = create_network(hyperparameters, context.device)
    network.load_state_dict(load_file(folder / "network.safetensors"))
    network.eval()
    precision = choose_precision(hyperparameters, context)
    return Detector(network, precision, state["protocol"], state["diagnostics"])
