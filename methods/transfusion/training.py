"""Training TransFusion's network on normal images with synthetic anomalies on half of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from adbench.contracts import JSON, Context, Geometry, Images, Method, Skill
from adbench.methods.training import (
    autocast,
    chosen_precision,
    held_out_split,
    smoothed_ends,
    train,
)
from adbench.methods.transfusion.losses import TERMS, transfusion_loss
from adbench.methods.transfusion.network import TransFusionUNet
from adbench.methods.transfusion.process import images_of, transparency_schedule
from adbench.methods.transfusion.settings import TransFusionHyperparameters
from adbench.methods.transfusion.skill import measure
from adbench.methods.transfusion.synthesis import (
    FolderTextures,
    ProceduralTextures,
    SynthesisBatch,
    foreground_masks,
    synthesise,
)


def train_network(
    network: TransFusionUNet,
    own: TransFusionHyperparameters,
    images: Images,
    context: Context,
    after: Callable[[nn.Module, int, Skill], Method],
) -> tuple[dict[str, JSON], dict[str, JSON], Skill]:
    """Train `network` in place. `after` makes a method of a network along the way, of the steps
    that it took and of its skill.

    Returns:
        what makes the numbers comparable, what training did, and what the network learned.
    """
    device, precision = context.device, chosen_precision(own, context)
    schedule = transparency_schedule(own.num_steps, own.schedule).to(device)
    textures = (
        ProceduralTextures(own.size)
        if own.texture_dir is None
        else FolderTextures(own.texture_dir, own.size)
    )
    foreground, sources = foreground_masks(
        images,
        {name: card.kind for name, card in context.category_cards.items()},
        Geometry(own.image_size, own.crop),
        own.foreground_dir or own.foreground,
    )

    held_out, trained_on = held_out_split(len(images), own, context)
    if own.mask_prior is not None:
        # The bias of a focal loss' head (arXiv:1708.02002, section 4.1): else the first steps go
        # into leaving an even chance behind.
        bias = network.mask_head.get_parameter("conv.bias")
        torch.nn.init.constant_(bias, math.log(own.mask_prior / (1 - own.mask_prior)))

    def compose(indices: Tensor, generator: torch.Generator) -> SynthesisBatch:
        return synthesise(
            images_of(images.pixels[indices.numpy()], device),
            foreground[indices].to(device),
            textures,
            schedule,
            # On the CPU, so that every device sees the same anomalies and none waits for a draw.
            torch.Generator().manual_seed(generator.initial_seed()),
            previous_mask=own.previous_mask,
            previous_mask_drop=own.previous_mask_drop,
            rotation_probability=own.rotation_probability,
            max_rotation=own.rotation_degrees,
            match_grey=own.match_grey,
        )

    def losses(
        indices: Tensor, generator: torch.Generator, terms: Collection[str]
    ) -> dict[str, Tensor]:
        batch = compose(indices, generator)
        outputs = network(batch.network_input, batch.t)
        return transfusion_loss(outputs, batch, schedule, terms=terms, ssim_range=own.ssim_range)

    chosen = [term for term in TERMS if getattr(own, f"loss_{term}")]

    def loss(indices: Tensor, generator: torch.Generator) -> Tensor:
        terms = losses(trained_on[indices], generator, chosen)
        return sum(terms.values(), torch.zeros((), device=device))

    @torch.no_grad()
    def probe() -> dict[str, JSON]:
        """Each term of the loss on one fixed batch with fixed anomalies, as in sampling.

        A resumed run starts from the same random network, so that both ends are the same in it.
        """
        network.eval()
        with autocast(device, precision):
            found = losses(trained_on[:8], context.generator("probe"), TERMS)
        return {term: float(value) for term, value in found.items()}

    def learned(trained: nn.Module) -> Skill:
        with autocast(device, precision):
            return measure(trained, compose, held_out, trained_on, context.generator)

    def finish(trained: nn.Module, step: int) -> Method:
        return after(trained, step, learned(trained))

    before = probe()
    steps = own.optimiser_steps(len(trained_on))
    values = train(network, loss, len(trained_on), own, steps, context, finish)
    first, last = smoothed_ends(values)
    protocol: dict[str, JSON] = {
        "texture_source": textures.name,
        "foreground_source": ", ".join(sorted(set(sources.values()))),
        "held_out": len(held_out),
    }
    diagnostics: dict[str, JSON] = {
        "steps": len(values),
        "loss_first": first,
        "loss_last": last,
        "terms_before": before,
        "terms_after": probe(),
        "foreground_share": float(foreground.float().mean()),
        "precision": precision,
    }
    return protocol, diagnostics, learned(network)
