"""The net as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from toolkit.errors import InputError
from toolkit.models.neural.base import NeuralBase
from toolkit.models.neural.losses import LOSSES
from toolkit.models.neural.rows import usable_rows

__all__ = ["NeuralClassifier"]


class NeuralClassifier(ClassifierMixin, NeuralBase):
    """A neural net for a binary target: average probability of a stack of members.

    The members minimise the log loss. Their logits are divided by one temperature, learned by maximum likelihood on the
    inner rows that each member held out (Guo et al., "On calibration of modern neural networks", ICML 2017), then
    their probabilities are averaged.

    Parameters
    ----------
    metric : str
        log_loss, brier or auc; all are served by calibrated probabilities.
    others
        As for `NeuralRegression`.

    Attributes
    ----------
    classes_ : [2]
        Labels; column 1 of `predict_proba` is the probability of the second.
    temperature_ : float
        Above 1 where the members are too sure of themselves.
    fit_info_ : dict
        As for `NeuralRegression`.
    """

    def __init__(
        self,
        preset: str = "standard",
        architecture: str | None = None,
        members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        width: int | None = None,
        dropout: float | None = None,
        metric: str = "log_loss",
        target_kind: str = "auto",
        kinds: dict | None = None,
        tune: int = 0,
        accelerator: str = "auto",
        threads: int | None = None,
        random_state: int = 0,
        progress: Any = None,
    ) -> None:
        super().__init__(
            preset=preset,
            architecture=architecture,
            members=members,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            width=width,
            dropout=dropout,
            metric=metric,
            target_kind=target_kind,
            kinds=kinds,
            tune=tune,
            accelerator=accelerator,
            threads=threads,
            random_state=random_state,
            progress=progress,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = True  # as for the regression
        return tags

    def fit(self, X, y, sample_weight=None, groups=None) -> NeuralClassifier:
        """Learn from X [n, p] and labels y [n] of two classes."""
        tasks = self._begin(X, y, sample_weight, groups)
        return self._end(tasks, self._train(tasks))

    def _begin(self, X, y, sample_weight=None, groups=None) -> list:
        """Everything before the training; nothing is to be trained when there is one class only."""
        frame = self._frame(X, reset=True)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = column_or_1d(y, warn=True)
        check_consistent_length(frame, y)
        check_classification_targets(y)
        frame, y, weight, groups = usable_rows(frame, y, sample_weight, groups)
        self.classes_ = np.unique(y)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {type_of_target(y)}, "
                f"with {len(self.classes_)} classes; two were expected."
            )
        if self.metric not in ("log_loss", "brier", "auc", "deviance"):
            raise InputError(f"metric '{self.metric}' is not for a binary target; known: auc, brier, log_loss")
        if len(self.classes_) == 1:
            return self._one_class()
        target = (y == self.classes_[1]).astype(np.float32)[:, None]
        self.only_probability_ = None
        return self._tasks(frame, target, weight, LOSSES["bernoulli"], groups)

    def _end(self, tasks: list, trained: list) -> NeuralClassifier:
        """Everything after it."""
        if tasks:
            self._keep(tasks, trained)
            self.temperature_ = _temperature(self.stacks_, tasks, trained)
            self.fit_info_["notes"].append(f"logits are divided by the temperature {self.temperature_:.3f}")
        return self

    def _one_class(self) -> list:
        """Nothing to learn: the only label is certain. Labels 0 and 1 keep both columns of `predict_proba`."""
        only = self.classes_[0]
        if only in (0, 1):
            self.classes_ = np.array([0, 1], dtype=np.asarray(self.classes_).dtype)
        self.only_probability_ = float(only == self.classes_[-1])
        self.temperature_ = 1.0
        message = f"All training rows have the label {only!r}; the net predicts it for every row."
        finding = {"finding": "one_class", "column": None, "message": message, "advice": "Check the split."}
        empty: dict[str, list] = {"best_epochs": [], "curves": [], "notes": [], "restarts": []}
        self.fit_info_ = {"members": 0, "parameters": 0, "findings": [finding], **empty}
        self.stacks_ = []
        return []

    def predict_members(self, X) -> np.ndarray:
        """Probability of the second class from each member, [K, n]."""
        check_is_fitted(self, "stacks_")
        if self.only_probability_ is not None:
            return np.full((1, len(self._frame(X, reset=False))), self.only_probability_)
        return expit(self._member_responses(X, LOSSES["bernoulli"], raw=True)[..., 0].astype(float) / self.temperature_)

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities of the classes, [n, classes]."""
        p = self.predict_members(X).mean(axis=0)
        return np.column_stack([1 - p, p]) if len(self.classes_) == 2 else np.ones((len(p), 1))

    def predict(self, X) -> np.ndarray:
        """The more probable label, [n]."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _temperature(stacks: list, tasks: list, trained: list) -> float:
    """The temperature that minimises the log loss of every member on the rows it held out."""
    logits, labels, weights = [], [], []
    for stack, task, one in zip(stacks, tasks, trained, strict=True):
        raw = stack.on_inputs(task.table.inputs, task.table.codes, LOSSES["bernoulli"], raw=True)[..., 0]
        for k, member in enumerate(one.members):
            logits.append(raw[k, member.hold])
            labels.append(task.table.target[member.hold, 0])
            weights.append(task.table.weight[member.hold])
    z, y, w = np.concatenate(logits), np.concatenate(labels), np.concatenate(weights)
    if len(z) == 0 or y.min() == y.max():
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = z / np.exp(log_temperature)
        return float(np.average(np.logaddexp(0, scaled) - y * scaled, weights=w))

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 2.5), method="bounded").x))
