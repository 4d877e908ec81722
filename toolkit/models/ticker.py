"""How far a loop over series, or a training, has come: told to whoever listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["listening", "tell_epoch", "ticking"]

Item = TypeVar("Item")
Tell = Callable[[str, float], None]
_LISTENER: ContextVar[Tell | None] = ContextVar("listener", default=None)
SECONDS_BETWEEN = 1.0


@contextmanager
def listening(tell: Tell) -> Iterator[None]:
    """Within, loops over series of this process call `tell(words, seconds left)`."""
    token = _LISTENER.set(tell)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def ticking(items: Iterable[Item], total: int) -> Iterator[Item]:
    """The items one by one, with word of series per second and time left to the listener, where there is one."""
    tell, begin = _LISTENER.get(), time.monotonic()
    last = begin
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if tell is not None and done < total and now - last >= SECONDS_BETWEEN:
            last, rate = now, done / (now - begin)
            tell(f"{done:,} of {total:,} series, {rate:.1f} series/s", (total - done) / rate)


def tell_epoch(member: int, epoch: int, total: int, seconds_left: float) -> None:
    """Word of a finished epoch of `member` nets that train together, to the listener, where there is one."""
    tell = _LISTENER.get()
    if tell is not None and epoch < total:
        tell(f"epoch {epoch} of {total}, {member} nets", seconds_left)
