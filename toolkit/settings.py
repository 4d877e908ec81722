"""A pipeline file: what may stand in it, and exact words about what may not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from toolkit.errors import InputError, nearest
from toolkit.models.arms import check_arm

__all__ = [
    "DataSettings",
    "Pipeline",
    "SplitSettings",
    "TrackingSettings",
    "json_schema",
    "margin_record",
    "read_pipeline",
    "validate",
    "with_changes",
]

SERIES_SCHEMES = ("rolling_origin", "official")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SqlSettings(_Strict):
    url: str
    query: str


class DataSettings(_Strict):
    """Where the rows come from and what the columns are for."""

    dataset: str | None = None
    file: str | None = None
    sql: SqlSettings | None = None
    target: str | list[str] | None = None
    features: list[str] | None = None
    drop: list[str] = Field(default_factory=list)
    kinds: dict[str, str | list[str]] = Field(default_factory=dict)  # a list: the levels of an ordinal, low to high
    target_kind: Literal["auto", "real", "positive", "count", "binary"] = "auto"
    time: str | None = None
    series: str | list[str] | None = None
    groups: str | list[str] | None = None
    weights: str | None = None
    known_ahead: list[str] = Field(default_factory=list)
    past_only: list[str] = Field(default_factory=list)
    static: list[str] = Field(default_factory=list)
    freq: str | None = None
    periods: list[int] | None = None
    country: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        named = [key for key in ("dataset", "file", "sql") if getattr(self, key) is not None]
        if len(named) != 1:
            raise ValueError(f"name one of dataset, file and sql; got {', '.join(named) or 'none'}")
        return self


class SplitSettings(_Strict):
    """Who trains, who judges; left out, the scheme is chosen from the data."""

    scheme: Literal["auto", "kfold", "group", "time", "holdout", "table", "rolling_origin", "official"] = "auto"
    folds: int | None = Field(None, ge=2)
    repeats: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    group: str | None = None
    test_size: float | None = Field(None, gt=0, lt=1)
    table: str | None = None
    horizon: int | None = Field(None, ge=1)
    origins: int | None = Field(None, ge=1)
    step: int | None = Field(None, ge=1)
    window: int | None = Field(None, ge=1)
    refit: int | None = Field(None, ge=1)

    @field_validator("test_size", mode="before")
    @classmethod
    def _fraction(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class TrackingSettings(_Strict):
    uri: str | None = None
    experiment: str | None = None


class Pipeline(_Strict):
    """Everything that a comparison needs to know."""

    name: str = "comparison"
    question: str = ""
    data: DataSettings
    splits: SplitSettings = Field(default_factory=SplitSettings)
    metric: str | None = None
    margin: str | float = "1%"
    arms: dict[str, Any] = Field(default_factory=lambda: {name: {} for name in DEFAULT_ARMS})
    compare: list[str] | None = Field(None, min_length=2, max_length=2)
    coverage: float = Field(0.9, gt=0.5, lt=1)
    gap: bool | str | None = None  # the ledger: from the compared regression, or from the arm that is named
    effect: str | None = None  # a column whose coefficient is estimated with the net in control of the others
    learning_curve: bool = False
    stress: list[Literal["extrapolation", "groups", "noise"]] = Field(default_factory=list)
    remedy: bool = False
    tracking: TrackingSettings = Field(default_factory=TrackingSettings)

    @field_validator("margin", mode="before")
    @classmethod
    def _margin(cls, value: Any) -> Any:
        record = margin_record(value)
        return str(value).strip() if record["unit"] == "percent" else record["value"]

    @field_validator("arms", mode="before")
    @classmethod
    def _arms(cls, value: Any) -> Any:
        if isinstance(value, list):
            value = dict.fromkeys(value)
        if not isinstance(value, dict) or not value:
            raise ValueError("expected arm names with their settings, such as  regression: {}")
        for name, settings in value.items():
            if settings is not None and not isinstance(settings, dict):
                raise ValueError(f"expected settings of arm '{name}' as key: value, got {settings!r}")
        return {name: settings or {} for name, settings in value.items()}

    @property
    def face(self) -> str:
        """series for forecasts from an origin, table for everything else."""
        return "series" if self.splits.scheme in SERIES_SCHEMES else "table"

    @property
    def margin_record(self) -> dict[str, Any]:
        return margin_record(self.margin)


DEFAULT_ARMS = ("naive", "linear", "regression", "boosting", "neural")


def margin_record(value: str | float) -> dict[str, Any]:
    """`1%` or a number in units of the metric, as {"value", "unit": "percent" | "absolute"}."""
    text = str(value).strip()
    number = text.removesuffix("%")
    if isinstance(value, bool) or not re.fullmatch(r"\d+(\.\d*)?(e-?\d+)?|\.\d+", number):
        raise InputError(f"margin: expected a share such as 1% or a number in units of the metric, got {value!r}")
    return {"value": float(number), "unit": "percent" if text.endswith("%") else "absolute"}


def read_pipeline(path: str | Path, changes: Sequence[str] = ()) -> Pipeline:
    """Read and validate a pipeline file.

    Parameters
    ----------
    path : path
        A YAML file.
    changes : sequence of str
        `key=value` with a dotted key, such as `arms.neural.members=5`; applied before validation.

    Raises
    ------
    InputError
        With file, line, column, key and the nearest valid key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a pipeline file ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; a pipeline file is YAML") from None
    try:
        content = yaml.safe_load(text)
        marks = _marks(yaml.compose(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise InputError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of settings such as  data: {{dataset: bike_sharing_hourly}}")
    content = with_changes(content, changes)
    content.setdefault("name", path.stem)
    return validate(content, str(path), marks)


def with_changes(content: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Settings with each `key=value` applied."""
    content = deepcopy(content)
    for change in changes:
        _apply(content, change)
    return content


def validate(content: dict[str, Any], source: str, marks: dict[tuple, tuple[int, int]] | None = None) -> Pipeline:
    """Settings as a `Pipeline`, or one line that says what is wrong and where."""
    try:
        settings = Pipeline.model_validate(content)
    except ValidationError as error:
        raise InputError(_in_words(error.errors()[0], source, marks or {})) from None
    for arm, keys in settings.arms.items():
        for key in [None, *keys]:
            try:
                check_arm(settings.face, arm, {} if key is None else {key: keys[key]})
            except InputError as error:
                raise InputError(f"{where(source, marks or {}, ('arms', arm, key))}: {error}") from None
    return settings


def where(source: str, marks: dict[tuple, tuple[int, int]], location: tuple) -> str:
    """`file:line:column` of a setting, or of the nearest enclosing one that stands in the file."""
    while location and location not in marks:
        location = location[:-1]
    return f"{source}:{marks[location][0]}:{marks[location][1]}" if location in marks else source


def json_schema() -> dict[str, Any]:
    """The JSON schema of a pipeline file, for completion in editors."""
    return Pipeline.model_json_schema()


def _marks(node: yaml.Node | None, location: tuple = ()) -> dict[tuple, tuple[int, int]]:
    """Path of every key -> its line and column, both from 1."""
    found: dict[tuple, tuple[int, int]] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*location, key.value)
            found[here] = (key.start_mark.line + 1, key.start_mark.column + 1)
            found.update(_marks(value, here))
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            found[(*location, position)] = (value.start_mark.line + 1, value.start_mark.column + 1)
    return found


def _apply(content: dict[str, Any], change: str) -> None:
    key, sign, text = change.partition("=")
    steps = key.strip().split(".")
    if not sign or not all(steps):
        raise InputError(f"--set {change}: expected key=value with a dotted key, such as arms.neural.members=5")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"--set {change}: the value is not valid YAML") from None
    place = content
    for step in steps[:-1]:
        if place.get(step) is None:
            place[step] = {}
        place = place[step]
        if not isinstance(place, dict):
            raise InputError(f"--set {change}: '{step}' is not a group of settings")
    place[steps[-1]] = value


def _in_words(problem: dict[str, Any], source: str, marks: dict[tuple, tuple[int, int]]) -> str:
    location = tuple(part for part in problem["loc"] if not _is_union_tag(part))
    place, key = where(source, marks, location), ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        guess = nearest(location[-1], known)
        hint = f", did you mean {guess}?" if guess else f". Known: {', '.join(known)}"
        return f"{place}: {key}: unknown key{hint}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("margin: ").splitlines()[0]
    message = message[0].lower() + message[1:]
    got = "" if problem["type"] in ("value_error", "missing") else f", got {problem['input']!r}"
    return f"{place}: {key + ': ' if key else ''}{message}{got}"


def _is_union_tag(part: Any) -> bool:
    """pydantic names the branch of a union in its location: `str`, `list[str]`, ..."""
    return isinstance(part, str) and bool(re.match(r"(str|float|int|bool|list\[.*|dict\[.*)$", part))


def _known_keys(location: tuple) -> list[str]:
    """Keys that are valid in the group at `location`."""
    groups: dict[tuple, type[BaseModel]] = {
        (): Pipeline,
        ("data",): DataSettings,
        ("data", "sql"): SqlSettings,
        ("splits",): SplitSettings,
        ("tracking",): TrackingSettings,
    }
    return sorted(groups[location].model_fields) if location in groups else []
