"""Which code made a result: part of the key under which a finished fit is kept."""

from __future__ import annotations

import hashlib
import inspect
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

__all__ = ["code_of", "sources", "toolkit_code"]

LIBRARIES = ("numpy", "pandas", "scipy", "scikit-learn", "statsmodels", "torch", "formulaic", "statsforecast")


@lru_cache(maxsize=1)
def toolkit_code() -> str:
    """Hash of the sources of the package and of the versions of what computes beneath it.

    The version number alone would call two states of a working copy the same.
    """
    libraries = " ".join(f"{library} {_version(library)}" for library in LIBRARIES)
    return f"{sys.version} {libraries} {sources(Path(__file__).resolve().parents[1])}"


def sources(folder: Path) -> str:
    """SHA-256 of the names and contents of all Python files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def code_of(estimator: BaseEstimator) -> tuple[str, ...]:
    """Where the classes and functions that a user hands over come from: their source, or their library's version.

    A pickled estimator names its class; that the class was edited between two runs does not show in it.
    """
    parts = [estimator, *estimator.get_params(deep=True).values()]
    steps = [step for part in parts if isinstance(part, (list, tuple)) for step in part]
    steps = [item for step in steps for item in (step if isinstance(step, tuple) else (step,))]
    kinds = {part if inspect.isroutine(part) or inspect.isclass(part) else type(part) for part in [*parts, *steps]}
    return tuple(sorted({_source(kind) for kind in kinds}))


def _source(kind: Any) -> str:
    package = (getattr(kind, "__module__", None) or "").split(".")[0]
    name = f"{package}.{getattr(kind, '__qualname__', kind)}"
    if package in ("builtins", "toolkit"):
        return package  # toolkit_code() speaks for it
    if (number := _version(package)) is not None:
        return f"{package} {number}"
    try:
        return f"{name}\n{inspect.getsource(kind)}"
    except (OSError, TypeError):  # no source at hand: built in, or typed at a prompt
        return name


@lru_cache(maxsize=256)
def _version(package: str) -> str | None:
    try:
        return version({"sklearn": "scikit-learn"}.get(package, package))
    except (PackageNotFoundError, ValueError):
        return None
