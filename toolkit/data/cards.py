"""Cards: the YAML file beside a data set that says what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from toolkit.errors import InputError, nearest

__all__ = ["Card", "Roles", "read_card", "read_roles"]

# The same safe loader in C, ten times as fast, where PyYAML was built with it.
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _several(value: Any) -> Any:
    """One name as a list; `none` and nothing as an empty one."""
    if value is None or value == "none":
        return []
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_several)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Roles(_Strict):
    """What the columns are for, as far as targets, time and series_id do not say it."""

    target: Names = Field(default_factory=list)
    drop: dict[str, str] = Field(default_factory=dict)  # column -> why it is not a feature
    kinds: dict[str, str | list[str]] = Field(default_factory=dict)
    time: str | None = None
    series: Names = Field(default_factory=list)
    groups: Names = Field(default_factory=list)
    weights: str | None = None
    known_ahead: Names = Field(default_factory=list)
    past_only: Names = Field(default_factory=list)
    static: Names = Field(default_factory=list)
    target_kind: str = "auto"
    one_row_per: Names = Field(default_factory=list)  # keep the first row of each value of these columns


class Card(_Strict):
    """One data set: file, roles and where it comes from. Only name, targets and file are needed."""

    name: str
    targets: Names = Field(min_length=1)
    file: str
    title: str = ""
    task: str = "tabular"
    row_count: int | None = None
    column_count: int | None = None
    size_bytes: int | None = None
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")  # of the file as it lies there, compressed or not
    reading: dict[str, Any] = Field(default_factory=dict)
    time: str | dict[str, Any] | None = None
    series_id: Names = Field(default_factory=list)
    groups: Any = None  # in words; `roles.groups` names the columns
    leakage: str | None = None
    roles: Roles = Field(default_factory=Roles)
    columns: list[dict[str, Any]] = Field(default_factory=list)
    source: Any = None
    origin: Any = None
    licence: str = "unknown"
    licence_note: str | None = None
    citation: Any = None
    known_facts: Any = None
    reference_fits: Any = None
    checks: Any = None
    splits: Any = None
    other_files: Any = None
    oddities: Any = None
    why: str = ""


def read_card(path: Path) -> Card:
    """Read and validate a card.

    Raises
    ------
    InputError
        Naming the card and the key.
    """
    return _validated(Card, _mapping(path), path)


def read_roles(path: Path) -> dict[str, Roles]:
    """Roles of sets whose cards do not carry them: name -> roles."""
    return {name: _validated(Roles, content or {}, path, (name,)) for name, content in _mapping(path).items()}


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=SAFE_LOADER)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"card {path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"card {path}{line}: not valid YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(content, dict):
        raise InputError(f"card {path}: expected keys and values such as  name: my_data")
    return content


def _validated(model: type[BaseModel], content: Any, path: Path, above: tuple[str, ...] = ()) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
    place = [part for part in problem["loc"] if not str(part).startswith(("str", "list[", "dict["))]
    key = ".".join(map(str, (*above, *place)))
    if problem["type"] == "extra_forbidden":
        fields = Roles if len(place) > 1 or model is Roles else Card
        guess = nearest(place[-1], fields.model_fields)
        raise InputError(f"card {path}: {key}: unknown key" + (f", did you mean {guess}?" if guess else ""))
    if problem["type"] == "missing":
        raise InputError(f"card {path}: {key}: this key is needed")
    raise InputError(f"card {path}: {key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}")
