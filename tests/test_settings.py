"""Pipeline files: what is read, and the one line that each mistake gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import InputError, nearest, unknown
from toolkit.settings import json_schema, read_pipeline, validate, with_changes

GOOD = """
question: Does it?
data:
  dataset: insurance_charges
  target: charges
splits: {scheme: kfold, folds: 3}
margin: 2%
arms:
  linear: {}
  boosting: {max_iter: 50}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file(tmp_path: Path) -> None:
    settings = read_pipeline(write(tmp_path, GOOD))
    assert settings.name == "pipeline"
    assert settings.margin_record == {"value": 2.0, "unit": "percent"}
    assert settings.arms == {"linear": {}, "boosting": {"max_iter": 50}}
    assert settings.face == "table"


def test_changes_are_applied_before_validation(tmp_path: Path) -> None:
    settings = read_pipeline(write(tmp_path, GOOD), ["splits.folds=7", "margin=0.5", "arms.naive={}"])
    assert settings.splits.folds == 7
    assert settings.margin_record == {"value": 0.5, "unit": "absolute"}
    assert list(settings.arms) == ["linear", "boosting", "naive"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("target:", "targt:"), "pipeline.yaml:5:3: data.targt: unknown key, did you mean target?"),
        (GOOD.replace("folds: 3", "folds: three"), "pipeline.yaml:6:25: splits.folds: input should be a valid integer"),
        (GOOD.replace("folds: 3", "folds: 1"), "splits.folds: input should be greater than or equal to 2, got 1"),
        (GOOD.replace("2%", "large"), "pipeline.yaml:7:1: margin: expected a share such as 1%"),
        (GOOD.replace("boosting:", "bosting:"), "pipeline.yaml:10:3: unknown arm 'bosting', did you mean 'boosting'?"),
        (
            GOOD.replace("max_iter", "max_itr"),
            ":10:14: unknown key 'max_itr' of arm 'boosting', did you mean 'max_iter'?",
        ),
        (GOOD.replace("linear: {}", "linear: 3"), "expected settings of arm 'linear' as key: value, got 3"),
        (GOOD.replace("  dataset: insurance_charges\n", ""), "data: name one of dataset, file and sql; got none"),
        (GOOD.replace("scheme: kfold", "scheme: kfolds"), "pipeline.yaml:6:10: splits.scheme: input should be"),
        ("- a\n- b\n", "expected a mapping of settings"),
        ("data: {dataset: a\n", "pipeline.yaml:2:1: not valid YAML"),
        ("", "expected a mapping of settings"),
    ],
)
def test_each_mistake_gets_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        read_pipeline(write(tmp_path, text))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("folds", "--set folds: expected key=value"),
        ("splits..folds=3", "expected key=value"),
        ("data.dataset.x=3", "'dataset' is not a group of settings"),
        ("margin=[1", "the value is not valid YAML"),
        ("splits.fold=3", "splits.fold: unknown key, did you mean folds?"),
    ],
)
def test_a_bad_change_gets_one_line(tmp_path: Path, change: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        read_pipeline(write(tmp_path, GOOD), [change])
    assert line in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_pipeline(tmp_path / "nothing.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="not a text file"):
        read_pipeline(binary)


def test_changes_leave_the_settings_they_start_from() -> None:
    content = {"data": {"dataset": "a"}}
    with_changes(content, ["data.target=y"])
    assert content == {"data": {"dataset": "a"}}


def test_a_forecast_scheme_makes_a_series_pipeline() -> None:
    content = {"data": {"dataset": "a"}, "splits": {"scheme": "rolling_origin", "horizon": 3}}
    assert validate({**content, "arms": ["seasonal_naive"]}, "here").face == "series"


def test_the_schema_knows_every_key() -> None:
    assert {"data", "splits", "metric", "margin", "arms", "compare"} <= set(json_schema()["properties"])


def test_the_nearest_name() -> None:
    assert nearest("TARGET", ["target", "time"]) == "target"
    assert nearest("zzz", ["target", "time"]) is None
    assert "did you mean 'rmse'" in str(unknown("metric", "rsme", ["rmse", "mae"]))
