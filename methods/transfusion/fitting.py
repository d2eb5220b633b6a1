"""Fitting TransFusion: its network from official weights, or trained on synthetic anomalies."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from adbench.contracts import JSON, Context, Images
from adbench.methods.training import TrainingPlan, autocast, seeded, smoothed_ends, train
from adbench.methods.transfusion.hyperparameters import TransFusionHyperparameters
from adbench.methods.transfusion.losses import TERMS, Targets, transfusion_loss
from adbench.methods.transfusion.network import TransFusionUNet
from adbench.methods.transfusion.synthesis import SynthesisBatch
from adbench.methods.transfusion.training_data import TrainingBatches
from adbench.methods.transfusion.weights import load_official_state_dict, read_checkpoint

GPU_CHUNK = 32


@dataclass
class Detector:
    """What TransFusion has learned.

    Attributes:
        network: in evaluation mode, on the context's device.
        precision: of its passes, "fp32" or "bf16".
        protocol: what makes its numbers comparable.
        diagnostics: what training did.
    """

    network: TransFusionUNet
    precision: str
    protocol: dict[str, JSON]
    diagnostics: dict[str, JSON]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def chunk(self) -> int:
        """Images that go through the network together in sampling.

        One image at a time costs a CPU nothing, and keeps a score free of its neighbours'
        rounding, which the threshold in eq. 4 would magnify.
        """
        return GPU_CHUNK if self.device.type == "cuda" else 1


def create_network(hyperparameters: TransFusionHyperparameters, device: str) -> TransFusionUNet:
    """The network that these hyper-parameters describe, with random weights."""
    own = hyperparameters
    network = TransFusionUNet(
        own.width, own.levels, own.blocks, own.attention_levels, own.positional_encoding
    )
    return network.to(memory_format=torch.channels_last).to(device)


def choose_precision(hyperparameters: TransFusionHyperparameters, context: Context) -> str:
    """The context's where the hyper-parameters leave it open."""
    return context.precision if hyperparameters.precision == "auto" else hyperparameters.precision


def fit_detector(
    hyperparameters: TransFusionHyperparameters, images: Images, context: Context
) -> Detector:
    """Train on normal images, or take the weights that are given."""
    with seeded(context, "network"):
        network = create_network(hyperparameters, context.device)
    detector = Detector(network, choose_precision(hyperparameters, context), {}, {})
    if hyperparameters.weights is not None:
        state, digest = read_checkpoint(hyperparameters.weights)
        load_official_state_dict(network, state)
        detector.protocol = {"weights_sha256": digest}
        detector.diagnostics = {"training": "none: weights were given"}
    else:
        _train(detector, hyperparameters, images, context)
    network.eval()
    return detector


def _train(
    detector: Detector,
    hyperparameters: TransFusionHyperparameters,
    images: Images,
    context: Context,
) -> None:
    """Train the detector's network and note what happened."""
    own, network = hyperparameters, detector.network
    batches = TrainingBatches(own, images, context)
    terms = [term for term in TERMS if getattr(own, f"loss_{term}")]

    def loss(indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        batch = batches(indices, generator)
        outputs = network(batch.network_input, batch.t)
        targets = _targets(batch)
        return transfusion_loss(
            outputs, targets, batches.schedule, terms=terms, ssim_range=own.ssim_range
        ).total

    before = _probe(detector, batches, len(images), context)
    losses = train(network, loss, len(images), training_plan(own, len(images), detector), context)
    first, last = smoothed_ends(losses)
    after = _probe(detector, batches, len(images), context)
    detector.protocol = {
        "texture_source": batches.texture_source,
        "foreground_source": batches.foreground_source,
    }
    detector.diagnostics = {
        "steps": len(losses),
        "loss_first": first,
        "loss_last": last,
        "terms_before": before,
        "terms_after": after,
        "foreground_share": batches.foreground_share,
        "precision": detector.precision,
    }


def training_plan(
    hyperparameters: TransFusionHyperparameters, num_train: int, detector: Detector
) -> TrainingPlan:
    """AdamW with one drop of its rate; no averaged weights, as in the official code."""
    own = hyperparameters
    return TrainingPlan(
        steps=own.optimiser_steps(num_train),
        batch_size=own.batch_size,
        learning_rate=own.learning_rate,
        weight_decay=own.weight_decay,
        drop_at=own.learning_rate_drop,
        gradient_clip=own.gradient_clip,
        precision=detector.precision,
    )


@torch.no_grad()
def _probe(
    detector: Detector, batches: TrainingBatches, num_train: int, context: Context
) -> dict[str, JSON]:
    """Each term of the loss on one fixed batch with fixed anomalies, the network as in sampling.

    A resumed run starts from the same random network, so that both ends are the same in it.
    """
    indices = torch.arange(min(8, num_train))
    batch = batches(indices, context.generator("probe"))
    detector.network.eval()
    with autocast(context.device, detector.precision):
        outputs = detector.network(batch.network_input, batch.t)
        found = transfusion_loss(outputs, _targets(batch), batches.schedule)
    return {term: float(value) for term, value in zip(found._fields, found, strict=True)}


def _targets(batch: SynthesisBatch) -> Targets:
    return Targets(batch.anomaly_scaled, batch.normal, batch.mask, batch.x_t, batch.t)
