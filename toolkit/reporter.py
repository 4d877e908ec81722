"""Who is told how far the work has come; the command shows it, a script may listen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from toolkit.data.dataset import Dataset
from toolkit.data.splits import Splits

if TYPE_CHECKING:
    from toolkit.analysis import Analysis

__all__ = ["Reporter", "Silent"]


class Reporter(Protocol):
    """Who is told how far the work has come."""

    def planned(
        self,
        dataset: Dataset,
        findings: Sequence[dict[str, Any]],
        splits: Splits,
        metric: str,
        arms: Sequence[str],
        pair: tuple[str, str],
        quick: bool,
    ) -> None: ...
    def stage(self, name: str) -> None: ...
    def fitted(self, label: str, done: int, total: int, seconds_left: float | None) -> None: ...
    def warn(self, message: str) -> None: ...
    def finished(self, analysis: Analysis, folder: Path | None) -> None: ...


class Silent:
    """Tells nobody."""

    def planned(self, *args: Any) -> None: ...
    def stage(self, name: str) -> None: ...
    def fitted(self, *args: Any) -> None: ...
    def warn(self, message: str) -> None: ...
    def finished(self, *args: Any) -> None: ...
