"""Saving and loading what UniAD has learned: tensors and JSON, no pickled code."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from adbench.contracts import JSON, Context
from adbench.methods.uniad.fitting import (
    UniADDetector,
    create_editor,
    create_extractor,
    create_network,
)
from adbench.methods.uniad.hyperparameters import UniADHyperparameters

TENSORS, STATE = "uniad.safetensors", "uniad.json"
"""Names that a method which stands on UniAD leaves free in its own folder."""
CENTERS = "coreset.centers"


def save_base(folder: Path, detector: UniADDetector, diagnostics: dict[str, JSON]) -> None:
    """Write everything but the backbone, of which the digest is kept."""
    tensors = {name: t.contiguous() for name, t in detector.network.state_dict().items()}
    if detector.editor is not None:
        tensors[CENTERS] = detector.editor.search.bank.contiguous()
    save_file(tensors, folder / TENSORS)
    state = {"weights_sha256": detector.extractor.weights_sha256, "diagnostics": diagnostics}
    (folder / STATE).write_text(json.dumps(state, indent=1, allow_nan=False) + "\n")


def load_base(
    folder: Path, hyperparameters: UniADHyperparameters, context: Context
) -> tuple[UniADDetector, dict[str, JSON]]:
    """What `save_base` wrote, with the backbone that it was trained on.

    Raises:
        MethodError: the backbone's weights are others than in training.
    """
    state = json.loads((folder / STATE).read_text())
    extractor = create_extractor(hyperparameters, context.device)
    extractor.require_weights(state["weights_sha256"])
    tensors = load_file(folder / TENSORS, device=context.device)
    centers = tensors.pop(CENTERS, None)
    network = create_network(hyperparameters, extractor.channels, context)
    network.load_state_dict(tensors)
    network.requires_grad_(False).eval()
    editor = None if centers is None else create_editor(hyperparameters, centers, context.device)
    return UniADDetector(extractor, network, editor), state["diagnostics"]
