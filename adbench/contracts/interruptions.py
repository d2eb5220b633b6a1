"""Why a cell may stop without an outcome: nothing is recorded, and somebody goes on with it.

They derive from BaseException, as KeyboardInterrupt does, so that no `except Exception` in a
method takes one for a failure.
"""

from __future__ import annotations


class Interruption(BaseException):
    """A cell stopped; what it has saved is there for whoever goes on."""


class ClaimLost(Interruption):
    """Another owner has taken the cell over: what we have must not be published."""


class TimeLimitReached(Interruption):
    """The deadline has passed and the state is saved."""


class OutOfMemory(Interruption):
    """The host or the device had too little memory: the cell is tried once more, with less."""


_SIGNS = (
    "outofmemoryerror",
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "alloc_failed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, by an error or by what it was raised from."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, MemoryError):  # numpy's too
            return True
        if isinstance(current, RuntimeError):  # torch's OutOfMemoryError is one
            text = f"{type(current).__name__} {current}".lower()
            if any(sign in text for sign in _SIGNS):
                return True
        current = current.__cause__ or current.__context__
    return False
