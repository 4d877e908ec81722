"""Shared fixtures: where the larger public data sets are, and quiet single-threaded fits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
ROOT = Path(__file__).resolve().parents[1]


def shared_folder() -> Path | None:
    """The folder with `data/` and `benchmarks/`: beside `TOOLKIT_DATA`, or beside the checkout."""
    named = os.environ.get("TOOLKIT_DATA")
    candidates = [Path(named).parent] if named else []
    candidates.append(ROOT.parent / "shared")
    return next((folder for folder in candidates if (folder / "data").is_dir()), None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with `data/NAME/` and `benchmarks/NAME/`; tests that need it are skipped without it."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("needs the larger data sets: set TOOLKIT_DATA to their folder")
    return folder
