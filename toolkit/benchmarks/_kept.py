"""Finished parts of a long benchmark on disk: an interrupted one goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from toolkit.evaluation.engine import Cache, content_hash
from toolkit.evaluation.provenance import toolkit_code

__all__ = ["Kept"]

FOLDER = Path("reports") / "benchmarks" / ".unfinished"


class Kept:
    """Parts of one benchmark, each computed once by the same code.

    Parameters
    ----------
    benchmark : str
        Name of the folder below `folder`.
    folder : path
    """

    def __init__(self, benchmark: str, folder: Path = FOLDER):
        self.cache = Cache(folder / benchmark)
        self.code = toolkit_code()
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
