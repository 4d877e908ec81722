"""Finished parts of a long benchmark on disk: an interrupted one goes on where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from toolkit.evaluation.engine import Cache, content_hash

__all__ = ["Kept", "code_hash"]

PACKAGE = Path(__file__).resolve().parents[1]
FOLDER = Path("reports") / "benchmarks" / ".unfinished"


def code_hash() -> str:
    """SHA-256 of every Python file of the package: parts that other code has made are not taken over."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


class Kept:
    """Parts of one benchmark, each computed once.

    Parameters
    ----------
    benchmark : str
        Name of the folder below `folder`.
    folder : path
    """

    def __init__(self, benchmark: str, folder: Path = FOLDER):
        self.cache = Cache(folder / benchmark)
        self.code = code_hash()
        self.used: list[str] = []

    def part(self, compute: Callable[..., Any], *arguments: Any) -> Any:
        """`compute(*arguments)`, from disk where this code has already done it."""
        return self.parts(compute, [arguments])[0]

    def parts(self, compute: Callable[..., Any], calls: Sequence[tuple], jobs: int = 1) -> list[Any]:
        """The same for many calls, in their order; each is on disk as soon as it is done."""
        keys = [content_hash(self.code, compute.__qualname__, *arguments) for arguments in calls]
        self.used += keys
        known = {key: self.cache.get(key) for key in keys}
        missing = [k for k, key in enumerate(keys) if known[key] is None]
        done = Parallel(n_jobs=jobs, return_as="generator")(delayed(compute)(*calls[k]) for k in missing)
        for k, result in zip(missing, done, strict=True):
            self.cache.put(keys[k], result)
            known[keys[k]] = result
        return [known[key] for key in keys]

    def forget(self) -> None:
        """Remove the parts that were asked for; called when the benchmark is done."""
        self.cache.drop(self.used)
