"""A finished fit is used again only when data, settings and code are what they were."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from toolkit.data.dataset import Dataset
from toolkit.data.splits import choose_splits
from toolkit.evaluation.evaluate import make_cells
from toolkit.evaluation.provenance import code_of, sources
from toolkit.models.table import Boosting, Wrapped


def frame() -> pd.DataFrame:
    x = np.random.default_rng(0).normal(size=60)
    return pd.DataFrame({"x": x, "z": x**2, "y": np.sin(x)})


def keys(table: pd.DataFrame | None = None, arm: Any = None, seed: int = 0, metric: str = "rmse") -> list[str]:
    dataset = Dataset.from_frame(frame() if table is None else table, "y")
    splits = choose_splits(dataset, "kfold", folds=3, repeats=1, seed=seed)
    return [cell.key for cell in make_cells(dataset, splits, {"arm": arm or Boosting()}, metric, ("arm",))]


def test_the_same_work_has_the_same_key() -> None:
    assert keys() == keys()
    assert len(set(keys())) == 4  # three folds and the fit on all rows


def test_everything_that_can_change_a_fit_changes_its_key() -> None:
    one_value = frame()
    one_value.loc[17, "z"] += 1e-9
    others = [
        keys(one_value),
        keys(frame().rename(columns={"z": "w"})),
        keys(frame()[["z", "x", "y"]]),
        keys(arm=Boosting(learning_rate=0.07)),
        keys(arm=Boosting(kinds={"z": "category"})),
        keys(metric="mae"),
    ]
    for other in others:
        assert not set(other) & set(keys())
    assert not set(keys(seed=1)[:3]) & set(keys()[:3])  # other folds; the fit on all rows is the same


def module(folder: Path, body: str) -> ModuleType:
    path = folder / "mine.py"
    path.write_text(
        f"from sklearn.linear_model import Ridge\nclass Mine(Ridge):\n    def predict(self, X):\n        {body}\n",
        encoding="utf-8",
    )
    spec = importlib.util.spec_from_file_location(f"mine_{len(body)}", path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    made.Mine.__module__ = "mine"
    return made


def test_an_edited_class_of_the_users_own_is_other_code(tmp_path: Path, monkeypatch: Any) -> None:
    import sys

    found = []
    for body in ("return super().predict(X)", "return super().predict(X) + 1.0"):
        made = module(tmp_path, body)
        monkeypatch.setitem(sys.modules, "mine", made)
        found.append(code_of(Wrapped(made.Mine())))
    assert found[0] != found[1]
    assert any("+ 1.0" in source for source in found[1])


def test_steps_and_functions_count_too() -> None:
    def halve(x: np.ndarray) -> np.ndarray:
        return x / 2

    told = " ".join(code_of(Wrapped(make_pipeline(FunctionTransformer(halve), Ridge()))))
    assert "return x / 2" in told
    assert "sklearn " in told  # the library with its version


def test_any_edit_of_a_source_shows(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("x = 1\n", encoding="utf-8")
    before = sources(tmp_path)
    (tmp_path / "notes.txt").write_text("not code", encoding="utf-8")
    assert sources(tmp_path) == before
    (tmp_path / "room" / "a.py").write_text("x = 2\n", encoding="utf-8")
    edited = sources(tmp_path)
    (tmp_path / "room" / "a.py").rename(tmp_path / "room" / "b.py")
    assert len({before, edited, sources(tmp_path)}) == 3
