"""The one exception that means: the user's input is wrong, and here is the line that says how."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["InputError", "nearest", "unknown"]


class InputError(ValueError):
    """A mistake in data, settings or files that the user can mend.

    The message is one line: what is wrong, where, what was expected. The command prints it without a traceback and
    leaves with exit status 1.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).splitlines()))  # one line, whatever a name holds


def nearest(name: object, options: Iterable[object]) -> str | None:
    """The option that `name` most likely meant, or None when nothing is close."""
    by_lower = {str(option).lower(): str(option) for option in options}
    close = get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=0.5)
    return by_lower[close[0]] if close else None


def unknown(what: str, name: object, options: Iterable[object]) -> InputError:
    """An `InputError` for a name that is not among `options`, with the nearest valid one.

    Examples
    --------
    >>> str(unknown("metric", "rsme", ["rmse", "mae"]))
    "unknown metric 'rsme', did you mean 'rmse'? Known: mae, rmse"
    """
    known = sorted(str(option) for option in options)
    guess = nearest(name, known)
    hint = f", did you mean '{guess}'?" if guess else "."
    shown = ", ".join(known[:30]) + (", ..." if len(known) > 30 else "")
    return InputError(f"unknown {what} '{name}'{hint} Known: {shown}")
