"""The training loop of a network that a method trains from scratch: resumable, seeded, averaged,
in parts and on several devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from adbench.contracts import JSON, Checkpoint, Context, Method, Team
from adbench.contracts.skill import MIN_HELD_OUT
from adbench.errors import MethodError
from adbench.methods.settings import HeldOutSettings, OptimiserSettings

Loss = Callable[[Tensor, torch.Generator], Tensor]
"""Called with the indices (B,) of a batch, or of a part of one, and its generator, which lives on
the context's device; returns the mean loss."""
Finish = Callable[[nn.Module, int], Method]
"""Called with a trained network, frozen, and the steps that trained it; returns a fitted method."""

MAX_HELD_OUT = 32
LOOK_EVERY = 10
"""Steps between looks at the losses: each look makes a GPU wait."""


def chosen_precision(settings: OptimiserSettings, context: Context) -> str:
    """The context's where the settings leave it open."""
    return context.precision if settings.precision == "auto" else settings.precision


def held_out_split(
    num_images: int, settings: HeldOutSettings, context: Context
) -> tuple[Tensor, Tensor]:
    """Indices of the normal images kept from training, as drawn, and of those trained on, sorted.

    Where a fraction is asked for, it is raised to `MIN_HELD_OUT` if as many remain to train on;
    of fewer images, whose skill stays unknown, it is no more than the fraction. At most
    `MAX_HELD_OUT` and half of the images are held out.
    """
    wanted = math.ceil(settings.held_out_fraction * num_images)
    if wanted and num_images >= 2 * MIN_HELD_OUT:
        wanted = max(wanted, MIN_HELD_OUT)
    count = min(wanted, MAX_HELD_OUT, num_images // 2)
    order = torch.randperm(num_images, generator=context.generator("held-out"))
    return order[:count], order[count:].sort().values


def train(
    network: nn.Module,
    loss: Loss,
    num_samples: int,
    settings: OptimiserSettings,
    num_steps: int,
    context: Context,
    finish: Finish | None = None,
) -> list[float]:
    """Train `network` in place by AdamW on batches that may straddle two epochs and are always
    full; returns the loss of every step.

    Afterwards it is frozen and holds the averaged weights, or the last if `ema_decay` is 0.
    Resumes from `context.checkpoint`. All randomness comes from generators named by step or epoch,
    so that a resumed run equals an uninterrupted one bit for bit. Members of `context.team` share
    each batch. `finish` makes the method of `context.snapshot` from a copy of the network. Raises
    `MethodError` where the loss is not finite.
    """
    state = _TrainingState(network, settings, num_steps)
    precision = chosen_precision(settings, context)
    step = state.restore(context.checkpoint.load())
    network.train()

    def cast_loss(indices: Tensor, generator: torch.Generator) -> Tensor:
        with autocast(context.device, precision):
            return loss(indices, generator)

    while step < num_steps:
        if finish is not None and step:
            # Before a step, not after it: what a kill cut off is made up for by the next process.
            context.snapshot(step, num_steps, lambda done=step: finish(state.frozen(), done))
        indices = batch_indices(step, num_samples, settings.batch_size, context)
        state.optimizer.zero_grad(set_to_none=True)
        value = accumulate_gradients(cast_loss, network, indices, step, context)
        state.update(value, step)
        step += 1
        if step % LOOK_EVERY == 0 or step == num_steps:
            state.look(step)
            context.progress("training", step, num_steps, loss=state.losses[-1])
        if step < num_steps and context.checkpoint.due():
            state.look(step)
            context.checkpoint.save(state.dump(step))
    if state.average is not None:
        network.load_state_dict(state.average.state_dict())
    _freeze(network)
    return state.losses


def _freeze(network: nn.Module) -> nn.Module:
    """Kernels, and with them last bits, depend on requires_grad: leave what `load` will make."""
    return network.requires_grad_(False).eval()


@contextmanager
def seeded(context: Context, purpose: str) -> Iterator[None]:
    """A block with a seeded global CPU generator, which initialises networks; then as before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(context.generator(purpose).initial_seed())
        yield


def autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16")


def batch_indices(step: int, num_samples: int, batch_size: int, context: Context) -> Tensor:
    """Indices (B,) of one step: a window on the endless sequence of shuffled epochs."""
    position, end = step * batch_size, (step + 1) * batch_size
    parts = []
    while position < end:
        epoch, start = divmod(position, num_samples)
        order = torch.randperm(num_samples, generator=context.generator("epoch", epoch))
        parts.append(order[start : start + end - position])
        position += len(parts[-1])
    return torch.cat(parts)


def rate_factor(settings: OptimiserSettings, step: int, num_steps: int) -> float:
    """What the learning rate is multiplied by in `step`, from 0: warm-up, then the decay."""
    warm_up = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    if settings.decay == "cosine":
        return warm_up * (1 + math.cos(math.pi * step / num_steps)) / 2
    return warm_up * (0.1 if step >= settings.learning_rate_drop * num_steps else 1.0)


def smoothed_ends(losses: list[float], window: int = 20) -> tuple[float, float]:
    """Mean loss over the first and the last `window` steps (or a tenth of a shorter run)."""
    window = min(window, max(1, len(losses) // 10))
    return sum(losses[:window]) / window, sum(losses[-window:]) / window


def loss_record(losses: list[float], num_images: int) -> dict[str, JSON]:
    """What to record of a training on so many images."""
    first, last = smoothed_ends(losses)
    return {"steps": len(losses), "images": num_images, "loss_first": first, "loss_last": last}


class _TrainingState:
    def __init__(self, network: nn.Module, settings: OptimiserSettings, num_steps: int) -> None:
        self.network, self.settings = network, settings
        self.num_steps = num_steps
        self.parameters: list[nn.Parameter] = list(network.parameters())
        self.losses: list[float] = []
        self._unread: list[Tensor] = []
        self.average = deepcopy(network).requires_grad_(False) if settings.ema_decay else None
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def update(self, value: Tensor, step: int) -> None:
        """One step of the optimiser and of the average, once the gradients are there."""
        own = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = own.learning_rate * rate_factor(own, step, self.num_steps)
        if own.gradient_clip:
            nn.utils.clip_grad_norm_(self.parameters, own.gradient_clip)
        self.optimizer.step()
        self._unread.append(value)
        if self.average is not None:
            # A short run must not average over its random start: the decay warms up.
            decay = min(own.ema_decay, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), [*self.parameters], 1 - decay)
                # What batch normalisation counts is an average already.
                for kept, counted in zip(
                    self.average.buffers(), self.network.buffers(), strict=True
                ):
                    kept.copy_(counted)

    def frozen(self) -> nn.Module:
        """A copy of the network as it would be left here."""
        return _freeze(deepcopy(self.network if self.average is None else self.average))

    def look(self, step: int) -> None:
        """Read the losses of the last steps and stop at the first that is not finite."""
        first = step - len(self._unread)
        self.losses += [float(value) for value in self._unread]
        self._unread.clear()
        for index in range(first, step):
            if not math.isfinite(self.losses[index]):
                raise MethodError(
                    f"the training loss is {self.losses[index]} at step {index} of "
                    f"{self.num_steps}, expected a finite number: try a lower learning rate, a "
                    "smaller largest norm of the gradient or precision=fp32"
                )

    def dump(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "network": self.network.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, saved: dict[str, Any] | None) -> int:
        """Take over a checkpoint's state, if there is one; returns the steps done."""
        if saved is None:
            return 0
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.losses = saved["losses"].tolist()
        return int(saved["step"])


class StageCheckpoint:
    """The `Checkpoint` of one of several trainings that follow each other in a `fit`.

    What earlier stages left, `finished`, is written again with each state, so that a kill in the
    second training does not cost the first. The state that was found is let go of once loaded: it
    may fill much of the memory.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str,
        state: dict[str, Any] | None,
        finished: Mapping[str, Any],
    ) -> None:
        self._checkpoint, self._name = checkpoint, name
        self._state, self._finished = state, finished

    def load(self) -> dict[str, Any] | None:
        state, self._state = self._state, None
        return state

    def due(self) -> bool:
        return self._checkpoint.due()

    def save(self, state: Mapping[str, Any]) -> None:
        self._checkpoint.save({**self._finished, self._name: dict(state)})


# --------------------------------------------------------------------------------- gradients


def accumulate_gradients(
    loss: Loss, network: nn.Module, indices: Tensor, step: int, context: Context
) -> Tensor:
    """Add the gradient of the batch's mean loss to `network`'s; returns that loss, detached.

    The batch is split into `context.batch_parts` near-equal parts, each with its own generator.
    Where a team trains together, member r of n takes the parts r, r + n, ... and all end with
    the same gradient: what the numbers are depends on how many parts there are, not on who
    worked on them. One part draws from the step's own generator. Batch normalisation sees a part
    at a time; members average its running statistics.
    """
    parts = indices.tensor_split(min(context.batch_parts, len(indices)))
    team = context.team
    first, stride = (0, 1) if team is None else (team.rank, team.size)
    total = torch.zeros((), device=context.device)
    for number in range(first, len(parts), stride):
        purpose = ("train", step) if len(parts) == 1 else ("train", step, "part", number)
        generator = context.generator(*purpose, device=context.device)
        value = loss(parts[number], generator)
        if len(parts) > 1:
            value = value * (len(parts[number]) / len(indices))
        value.backward()  # type: ignore[no-untyped-call]
        total = total + value.detach()
    if team is not None:
        total = _sum_over(team, network, total)
    return total


def _running_statistics(network: nn.Module) -> list[Tensor]:
    """What batch normalisation counts: the buffers that a training step changes."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    found = [statistic for norm in norms for statistic in (norm.running_mean, norm.running_var)]
    return [statistic for statistic in found if statistic is not None]


def _sum_over(team: Team, network: nn.Module, total: Tensor) -> Tensor:
    """Replace each gradient and the loss by its sum over the team, in one exchange, and what the
    network counts by its mean.

    A parameter that no member used keeps no gradient, so that the optimiser leaves it alone as
    it does in a single process.
    """
    parameters = list(network.parameters())
    counted = _running_statistics(network)
    used = torch.tensor([float(p.grad is not None) for p in parameters], device=total.device)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    parts = [total.view(1), used, *grads, *counted]
    message = torch.cat([part.detach().float().flatten() for part in parts])
    team.sum(message)
    summed = torch.split(message, [part.numel() for part in parts])
    members = summed[1].tolist()
    for parameter, grad, own, users in zip(
        parameters, grads, summed[2 : 2 + len(grads)], members, strict=True
    ):
        parameter.grad = grad.copy_(own.view_as(grad)) if users else None
    for buffer, own in zip(counted, summed[2 + len(grads) :], strict=True):
        buffer.copy_(own.view_as(buffer) / team.size)
    return summed[0][0].clone()  # a view would keep the whole message
