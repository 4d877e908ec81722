"""Where the bundled files are: in a wheel, in an editable install, in a bare checkout."""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import InputError

__all__ = ["bundled"]

PACKAGE = Path(__file__).resolve().parents[1]


def bundled(kind: str) -> Path:
    """Folder of the bundled `datasets` or `pipelines`.

    A wheel carries them inside the package. An editable install and a bare checkout have them beside it, where
    `importlib.resources` does not look.
    """
    for folder in (PACKAGE / kind, PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise InputError(f"the bundled folder '{kind}' is neither inside nor beside the package; install it again")
