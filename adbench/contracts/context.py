"""What a method may use beside its data: device, seed, checkpoint, cache, company."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from adbench.contracts.cards import CategoryCard

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


class Checkpoint(Protocol):
    """A place for a training state that survives a kill. The harness decides when it is due."""

    def load(self) -> dict[str, Any] | None:
        """The last saved state (tensors on the CPU, plain containers), or None."""
        ...

    def due(self) -> bool:
        """True when enough time has passed since the last save, or the run's time is over."""
        ...

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the saved state atomically. Tensors, numbers, strings and containers only.

        Where the run's time is over it does not return, but raises what is no `Exception`: let it
        pass. The same command goes on from this state later. A `fit` that never saves is not
        stopped.
        """
        ...


class ArrayCache(Protocol):
    """Arrays computed once and read back memory-mapped, shared by methods and runs."""

    def array(
        self,
        key: str,
        shape: tuple[int, ...],
        dtype: str,
        fill: Callable[[NDArray[Any]], None],
    ) -> NDArray[Any]:
        """The array stored under `key`; on a miss, `fill` writes it into the array it is given."""
        ...


class Team(Protocol):
    """Processes that train one network together, each on a device of its own.

    Attributes:
        rank: of this process, in [0, size).
        size: how many there are.
    """

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def sum(self, tensor: torch.Tensor) -> None:
        """Replace `tensor` by its sum over all members, in place; every member must call it."""
        ...


@dataclass(frozen=True)
class Context:
    """All that a method may use beside its data; no method touches a global.

    Attributes:
        device: a torch device string, for instance "cpu" or "cuda:0".
        precision: "fp32", or "bf16" where autocast to bfloat16 is fast on `device`.
        seed: the cell's seed.
        checkpoint: where `fit` keeps its training state.
        cache: for features and other derived arrays.
        progress: called as `progress(stage, done, total, **numbers)`; cheap enough for each step.
        category_cards: cards of the trained categories, which tell their `kind` and nothing else.
        batch_parts: parts in which a training batch goes through the network, its gradients
            accumulated: less memory, other random numbers. At least the team's size.
        team: the processes that share the training of this cell, None for one alone. Only its
            member 0 saves and goes on to `predict`.
        snapshot: called as `snapshot(step, num_steps, finish)` where `step` optimiser steps are
            done and before the next begins; cheap enough for each step. Where one is wanted,
            `finish()` gives a `Method` of its own, fitted as if training had ended here: averaged
            weights, scales and later phases as the method would, `skill` measured, and
            `training_flops` of what was trained so far. It is saved, and scored after the training,
            which it must leave as it is. `finish` draws no random number but from generators.
    """

    device: str
    precision: Literal["fp32", "bf16"]
    seed: int
    checkpoint: Checkpoint
    cache: ArrayCache
    progress: Callable[..., None] = field(default=lambda *_args, **_numbers: None)
    category_cards: Mapping[str, CategoryCard] = field(default_factory=dict)
    batch_parts: int = 1
    team: Team | None = None
    snapshot: Callable[..., None] = field(default=lambda *_arguments: None)

    def __getattr__(self, name: str) -> Any:
        what = f"Context has no attribute {name!r}"
        if name == "deadline":
            what += (
                " any more: checkpoint.save() ends a training that is over its time, and "
                "checkpoint.due() is true then; a method needs no code for it"
            )
        raise AttributeError(what)

    def generator(self, *purpose: str | int, device: str = "cpu") -> torch.Generator:
        """A fresh generator for one purpose, a function of the seed and the purpose alone.

        A training loop that asks for `generator("train", step)` needs no random state in its
        checkpoint: a resumed run draws what the uninterrupted one would have drawn.
        """
        import torch

        text = "/".join(map(str, (self.seed, *purpose)))
        digest = hashlib.sha256(text.encode()).digest()
        generator = torch.Generator(device=device)
        generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        return generator
