"""Gradients of one step: of the whole batch at once, in parts, or in parts on several devices."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from adbench.contracts import Context, Team

PartLoss = Callable[[Tensor, torch.Generator], Tensor]
"""Mean loss of the images with these indices (b,), drawing from this generator."""


def accumulate_gradients(
    loss: PartLoss, network: nn.Module, indices: Tensor, step: int, context: Context
) -> Tensor:
    """Add the gradient of the batch's mean loss to `network`'s; returns that loss, detached.

    The batch is split into `context.batch_parts` near-equal parts, each with its own generator.
    Where a team trains together, member r of n takes the parts r, r + n, ... and all end with
    the same gradient: what the numbers are depends on how many parts there are, not on who
    worked on them. One part draws from the step's own generator. Batch normalisation sees a part
    at a time; members average its running statistics.

    Args:
        indices: of the batch, (B,), the same for all members.
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


def _sum_over(team: Team, network: nn.Module, total: Tensor) -> Tensor:
    """Replace each gradient and the loss by its sum over the team, in one exchange, and what the
    network counts by its mean.

    A parameter that no member used keeps no gradient, so that the optimiser leaves it alone as
    it does in a single process.
    """
    parameters = list(network.parameters())
    counted = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
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
