"""Where fits run changes nothing but the time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit.data.dataset import Dataset
from toolkit.data.splits import choose_splits
from toolkit.errors import InputError
from toolkit.evaluation import engine
from toolkit.evaluation.engine import Cache, check_engine
from toolkit.evaluation.evaluate import evaluate
from toolkit.models.arms import ArmContext, build_arms

ARMS: dict[str, dict[str, Any]] = {
    "linear": {},
    "regression": {},
    "boosting": {},
    "neural": {"preset": "quick", "members": 2, "epochs": 2},
}


@pytest.fixture(scope="module")
def rows() -> Dataset:
    rng = np.random.default_rng(0)
    x, level = rng.normal(size=120), rng.choice(["a", "b"], 120)
    y = x + (level == "a") * x**2 + rng.normal(size=120) * 0.1
    return Dataset.from_frame(pd.DataFrame({"x": x, "level": level, "y": y}), "y")


def predictions(rows: Dataset, names: tuple[str, ...], **options: Any) -> pd.DataFrame:
    context = ArmContext(dict(rows.kinds), rows.target_kind, "rmse", 0)
    arms = build_arms("table", {name: ARMS[name] for name in names}, context)
    return evaluate(rows, choose_splits(rows, "kfold", folds=2, repeats=1), arms, "rmse", **options).predictions


def test_results_do_not_depend_on_the_workers(rows: Dataset) -> None:
    """Every kind of arm, in this process, in two processes and in two threads: the same numbers to the last bit."""
    alone = predictions(rows, tuple(ARMS), workers=1)
    pd.testing.assert_frame_equal(predictions(rows, tuple(ARMS), workers=2), alone)
    few = ("linear", "boosting")
    in_threads = predictions(rows, few, workers=2, backend="threading")
    pd.testing.assert_frame_equal(in_threads, alone[alone["arm"].isin(few)].reset_index(drop=True))


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_another_engine_gives_the_same_numbers(rows: Dataset, name: str) -> None:
    pytest.importorskip(engine.ENGINES[name])
    few = ("linear", "boosting")
    pd.testing.assert_frame_equal(predictions(rows, few, workers=2, backend=name), predictions(rows, few, workers=1))


def test_an_engine_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown engine 'lokky', did you mean 'loky'"):
        check_engine("lokky")
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    for name, package in (("dask", "distributed"), ("ray", "ray")):
        with pytest.raises(InputError, match=rf"'{package}' is not installed; pip install .*\[{name}\]"):
            check_engine(name)
    check_engine("loky")
    check_engine("threading")
    monkeypatch.setattr(engine, "find_spec", importlib.util.find_spec)


def test_a_kept_fit_that_cannot_be_read_is_fitted_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for number, content in enumerate((b"", b"\x80\x04garbage", b"not a pickle at all", b"cnowhere\nMissing\n.")):
        (tmp_path / f"{number}.pickle").write_bytes(content)
        assert cache.get(str(number)) is None
        assert not (tmp_path / f"{number}.pickle").exists()
    cache.put("kept", {"x": 1.0})
    assert cache.get("kept") == {"x": 1.0}
    cache.clear()
    assert not tmp_path.exists()
