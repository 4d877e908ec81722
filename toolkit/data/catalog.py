"""Data sets by name: bundled ones, and those in the folder that TOOLKIT_DATA names."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.data.cards import Card, Roles, read_card, read_roles
from toolkit.data.dataset import Dataset
from toolkit.data.places import bundled
from toolkit.data.readers import read_table
from toolkit.data.roles import as_names
from toolkit.errors import InputError, unknown

__all__ = ["DATA_FOLDER", "card_of", "list_datasets", "load_dataset"]

_TIMED = ("known_ahead", "past_only", "static")
DATA_FOLDER = "TOOLKIT_DATA"  # environment variable: a further folder with NAME/card.yaml and a file
TUPLES = ("known_ahead", "past_only", "static")


def list_datasets() -> pd.DataFrame:
    """Every data set that can be loaded by name.

    Returns
    -------
    DataFrame
        Columns name, rows, columns, task, target, licence, title, place (bundled, or the further folder).
    """
    rows = []
    for name, folder in _folders().items():
        card = _card(folder / "card.yaml")
        place = "bundled" if folder.parent == bundled("datasets") else str(folder.parent)
        rows.append(
            (
                name,
                card.row_count,
                card.column_count,
                card.task,
                ", ".join(card.targets),
                card.licence,
                card.title,
                place,
            )
        )
    names = ["name", "rows", "columns", "task", "target", "licence", "title", "place"]
    return pd.DataFrame(rows, columns=names)


def load_dataset(name: str, **overrides: Any) -> Dataset:
    """A data set by name, with the roles that its card gives.

    Columns that the card drops (identifiers, and columns that leak the target) are not features unless `features` lists
    them; each is named with its reason in `Dataset.notes`.

    Parameters
    ----------
    name : str
        See `list_datasets`. A bundled set wins over one of the same name in the folder of TOOLKIT_DATA.
    **overrides
        Arguments of `Dataset.from_frame`. `drop` and `kinds` add to the card, the others replace what it says; None
        takes a role away.

    Raises
    ------
    InputError
        Unknown name, wrong card, missing file, or a file that is not the one the card describes.
    """
    card, folder = card_of(name)
    frame = read_table(_verified(card, folder), _options(card))
    roles = _roles_of(card)
    settings = _settings(card, roles, frame)
    settings["drop"] = _merged_drop(settings["drop"], overrides)
    settings["kinds"] = {**settings["kinds"], **(overrides.pop("kinds", None) or {})}
    settings.update(overrides)
    target = settings.pop("target")
    # A column that the user drops or gives another role loses the one that the card gave it.
    moved = {*as_names(target), *settings["drop"], *(c for key in _TIMED for c in as_names(overrides.get(key)))}
    for key in (key for key in _TIMED if key not in overrides):
        settings[key] = tuple(c for c in settings[key] if c not in moved)
    settings["kinds"] = {c: kind for c, kind in settings["kinds"].items() if c not in as_names(target)}
    frame, repeats = _one_row_per(frame, roles.one_row_per)
    data = Dataset.from_frame(frame, target, name=name, card=card.model_dump(exclude_none=True), **settings)
    return _with_notes(data, card, roles, repeats)


def card_of(name: str) -> tuple[Card, Path]:
    """The card of a data set and the folder it stands in."""
    folders = _folders()
    if name not in folders:
        hint = "" if os.environ.get(DATA_FOLDER) else f" (more sets can be named by {DATA_FOLDER})"
        raise InputError(f"{unknown('data set', name, folders)}{hint}")
    return _card(folders[name] / "card.yaml"), folders[name]


def _folders() -> dict[str, Path]:
    """Name -> folder with a card, sorted by name; bundled sets first in case of equal names."""
    places = [bundled("datasets")]
    named = os.environ.get(DATA_FOLDER)
    if named:
        if not Path(named).is_dir():
            raise InputError(f"{DATA_FOLDER} names '{named}', which is not a folder")
        places.append(Path(named))
    found: dict[str, Path] = {}
    for place in reversed(places):
        found.update({path.parent.name: path.parent for path in place.glob("*/card.yaml")})
    return dict(sorted(found.items()))


@lru_cache(maxsize=256)
def _card_at(path: Path, changed: int) -> Card:
    return read_card(path)


def _card(path: Path) -> Card:
    return _card_at(path, path.stat().st_mtime_ns)


def _roles_of(card: Card) -> Roles:
    """Roles in the card; for a card without any, those kept under its name in the bundled `roles.yaml`."""
    if card.roles != Roles():
        return card.roles
    path = bundled("datasets") / "roles.yaml"
    return (read_roles(path) if path.is_file() else {}).get(card.name, Roles())


def _verified(card: Card, folder: Path) -> Path:
    """Path of the file, after its hash was compared with the card's."""
    path = folder / card.file
    if not path.is_file():
        raise InputError(f"data set '{card.name}': the card names the file '{card.file}', which is not in {folder}")
    if card.sha256 is not None:
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
        if actual != card.sha256:
            raise InputError(
                f"data set '{card.name}': {path} is not the file that the card describes "
                f"(sha256 {actual[:12]}..., {card.sha256[:12]}... was expected); restore it or mend the card"
            )
    return path


def _options(card: Card) -> dict[str, Any]:
    return {key: value for key, value in card.reading.items() if key != "reader"}


def _settings(card: Card, roles: Roles, frame: pd.DataFrame) -> dict[str, Any]:
    """Arguments of `Dataset.from_frame` that the card stands for."""
    time = roles.time or (card.time.get("column") if isinstance(card.time, dict) else None)
    split = card.splits.get("column") if isinstance(card.splits, dict) else None
    drop = [*roles.drop, *([split] if split in frame.columns and split not in roles.drop else [])]
    return {
        "target": roles.target or card.targets,
        "time": time if time in frame.columns else None,  # some cards describe a time that no single column holds
        "series": roles.series or card.series_id or None,
        "groups": roles.groups or None,
        "weights": roles.weights,
        "drop": drop,
        "kinds": dict(roles.kinds),
        "target_kind": roles.target_kind,
        **{key: tuple(getattr(roles, key)) for key in TUPLES},
    }


def _merged_drop(by_card: list[str], overrides: dict[str, Any]) -> list[str]:
    """What the card drops, less what the user names as feature or target, and what the user drops."""
    wanted = {*as_names(overrides.get("features")), *as_names(overrides.get("target"))}
    return list(dict.fromkeys([*(c for c in by_card if c not in wanted), *as_names(overrides.pop("drop", ()))]))


def _one_row_per(frame: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, int]:
    if not columns:
        return frame, 0
    again = frame.duplicated(columns)
    return frame[~again], int(again.sum())


def _with_notes(data: Dataset, card: Card, roles: Roles, repeats: int) -> Dataset:
    """Say which columns and rows the card leaves out, and why."""
    notes = [
        {
            "finding": "left_out_column",
            "column": column,
            "message": f"'{column}' is not a feature: {why}",
            "advice": "list it under data.features if you want it all the same",
        }
        for column, why in roles.drop.items()
        if column not in (*data.features, *data.targets, data.time, data.series)
    ]
    if card.leakage not in (None, "none") and not roles.drop and not repeats:
        notes.append({
            "finding": "leakage_warning", "column": None, "message": f"the card warns: {card.leakage}",
            "advice": "name what is not known in advance under data.drop",
        })  # fmt: skip
    dropped = dict(data.dropped)
    if repeats:
        dropped[f"repeats an earlier {', '.join(roles.one_row_per)}"] = repeats
    return replace(data, notes=(*notes, *data.notes), dropped=dropped)
