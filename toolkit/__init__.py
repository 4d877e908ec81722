"""A properly specified regression beside a well-trained neural net, compared so that the answer can be trusted.

Reading order: `toolkit.pipeline` tells the whole story; each room it calls is one folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from toolkit._version import __version__

if TYPE_CHECKING:
    from toolkit.analysis import Analysis
    from toolkit.data.catalog import list_datasets, load_dataset
    from toolkit.data.dataset import Dataset
    from toolkit.errors import InputError
    from toolkit.judging import judge
    from toolkit.models.formula import FormulaRegression
    from toolkit.models.neural.regression import NeuralClassifier, NeuralRegression
    from toolkit.models.regression import SpecifiedRegression
    from toolkit.pipeline import compare, run

# Public name -> where it lives; looked up on first use, so that importing the package stays cheap.
_PLACES = {
    "Dataset": "toolkit.data.dataset",
    "load_dataset": "toolkit.data.catalog",
    "list_datasets": "toolkit.data.catalog",
    "compare": "toolkit.pipeline",
    "run": "toolkit.pipeline",
    "judge": "toolkit.judging",
    "Analysis": "toolkit.analysis",
    "SpecifiedRegression": "toolkit.models.regression",
    "FormulaRegression": "toolkit.models.formula",
    "NeuralRegression": "toolkit.models.neural.regression",
    "NeuralClassifier": "toolkit.models.neural.regression",
    "InputError": "toolkit.errors",
}

__all__ = [
    "Analysis",
    "Dataset",
    "FormulaRegression",
    "InputError",
    "NeuralClassifier",
    "NeuralRegression",
    "SpecifiedRegression",
    "__version__",
    "compare",
    "judge",
    "list_datasets",
    "load_dataset",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'toolkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
