"""A wheel carries the bundled pipelines and data, and works where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("toolkit", "pipelines", "datasets", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    place = tmp_path_factory.mktemp("wheel")
    copy = place / "source"
    copy.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / part)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(place), str(copy)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if built.returncode != 0 and "No matching distribution" in built.stderr:
        pytest.skip("needs a package registry, to fetch the build backend")
    assert built.returncode == 0, built.stderr[-2000:]
    return next(place.glob("*.whl"))


def test_a_wheel_carries_what_is_bundled(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in sorted((ROOT / "pipelines").glob("*.yaml")):
        assert f"toolkit/pipelines/{path.name}" in names
    for path in sorted((ROOT / "datasets").glob("*/*")):
        assert f"toolkit/datasets/{path.parent.name}/{path.name}" in names
    for path in sorted((ROOT / "toolkit").rglob("*.py")):
        assert str(path.relative_to(ROOT)) in names
    for path in sorted((ROOT / "toolkit" / "reporting" / "templates").iterdir()):
        assert str(path.relative_to(ROOT)) in names


def test_a_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import toolkit as tk; d = tk.load_dataset('insurance_charges'); print(tk.__file__); "
        "from toolkit.data.places import bundled; print(len(d.frame), len(list(bundled('pipelines').glob('*.yaml'))))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    place, counts = done.stdout.strip().splitlines()
    assert place.startswith(str(tmp_path))
    assert counts.split()[0] == "1338"
    assert int(counts.split()[1]) >= 14
