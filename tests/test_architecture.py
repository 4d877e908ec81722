"""The house stands: imports run downwards, one heavy library has one room, and importing the package is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    *("_version", "errors", "data", "specification", "models", "evaluation", "diagnostics", "comparison"),
    *(
        "reporting",
        "tracking_items",
        "tracking_views",
        "tracking_model",
        "tracking_server",
        "tracking",
        "dashboard",
        "settings",
        "loading",
        "analysis",
        "assembly",
        "reporter",
        "further",
        "stages",
        "treatment",
        "explaining",
        "pipeline",
        "judging",
        "benchmarks",
        "cli",
    ),
)
RANK = {room: position for position, room in enumerate(ROOMS)}
HEAVY = {
    "mlflow": {"tracking", "tracking_model"},
    "matplotlib": {"reporting"},
    "typer": {"cli"},
    "rich": {"cli"},
    # The benchmark measures Lightning against a bare loop, which it has to write itself.
    "torch": {"models/neural", "benchmarks/_neural_cost.py"},
    "pytorch_lightning": {"models/neural", "benchmarks/_neural_cost.py"},
    "lightning": {"models/neural"},
    "neuralforecast": {"models/neural"},
    "tabm": {"models/neural"},
    "rtdl_num_embeddings": {"models/neural"},
}
LONGEST_FILE = 300
FILES = sorted((ROOT / "toolkit").rglob("*.py"))


def room_of(parts: tuple[str, ...]) -> str:
    """toolkit/data/dataset.py -> data."""
    return parts[1].removesuffix(".py") if len(parts) > 1 else ""


def imported(path: Path) -> list[tuple[str, int]]:
    """Absolute names of everything a file imports, with the line; blocks for type checkers do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    mine = room_of(parts)
    if parts == ("toolkit", "__init__.py"):
        return
    assert mine in RANK, f"{mine} has no place in the house"
    for name, line in imported(path):
        bits = name.split(".")
        if bits[0] == "toolkit" and len(bits) > 1 and bits[1] in RANK:
            assert RANK[bits[1]] <= RANK[mine], f"{path}:{line}: {mine} imports {name}, which is below it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_heavy_library_has_one_room(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    places = {room_of(parts), "/".join(parts[1:3])}
    for name, line in imported(path):
        allowed = HEAVY.get(name.split(".")[0])
        assert allowed is None or allowed & places, f"{path}:{line}: {name} belongs into {allowed}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_the_import_is_cheap() -> None:
    code = (
        "import sys, toolkit; print([m for m in ('torch','mlflow','matplotlib','pandas','typer') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import toolkit

    for name in toolkit.__all__:
        assert getattr(toolkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = toolkit.nothing


def test_datasets_is_no_package() -> None:
    assert not (ROOT / "datasets" / "__init__.py").exists()
    assert not (ROOT / "pipelines" / "__init__.py").exists()


def test_every_test_file_has_a_name_of_its_own():
    """Test folders are no packages: pytest refuses to collect two files of one name."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)
