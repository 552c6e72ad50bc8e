"""Does a cosine of 0.8 mean what raters mean by 0.8? Before and after isotonic regression.

Spearman does not ask: it is the same for every cosine that rises with another. Who sets a threshold
or shows the cosine to people needs to know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from simgpt.evaluate.scores import Cosines
from simgpt.evaluate.slices import equal_bins
from simgpt.evaluate.tasks import Task
from simgpt.evaluate.uncertainty import Floats

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Pairs of like prediction: their mean prediction and their mean gold score (0 to 1)."""

    predicted: float
    gold: float
    pairs: int


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error: the bins' mean |predicted - gold|, weighted by their pairs."""

    error: float
    bins: list[Bin]


@dataclass(frozen=True)
class Recalibration:
    """One task as the cosines stand, and after isotonic regression fitted on other pairs."""

    plain: Calibration
    fitted: Calibration


def unit_gold(task: Task) -> Floats:
    """Gold scores from 0 (nothing in common) to 1: SICK's raters began at 1, all others at 0."""
    lowest = 1.0 if "sickr" in task.name else 0.0
    return (np.asarray(task.gold) - lowest) / (5 - lowest)


def calibrate(predicted: ArrayLike, gold: ArrayLike, *, bins: int = BINS) -> Calibration:
    """Mean gold score in bins of the prediction, about as many pairs in each.

    Args:
        predicted: Shape (pairs,).
        gold: From 0 to 1, shape (pairs,).
        bins: How many; fewer where predictions are equal, since equal ones share a bin.
    """
    predicted, gold = np.asarray(predicted, dtype=float), np.asarray(gold, dtype=float)
    places = equal_bins(predicted, bins)
    pairs = np.bincount(places)
    means, golds = (np.bincount(places, weights=one) / pairs for one in (predicted, gold))
    error = float(np.average(np.abs(means - golds), weights=pairs))
    rows = zip(means.tolist(), golds.tolist(), pairs.tolist(), strict=True)
    return Calibration(error, [Bin(*row) for row in rows])


def fit_isotonic(cosines: ArrayLike, gold: ArrayLike) -> Callable[[ArrayLike], Floats]:
    """The rising function from cosine to gold score that is closest to the given pairs.

    Returns:
        A function of cosines: linear between the fitted ones, constant beyond them.
    """
    places, of_pair, counts = np.unique(
        np.asarray(cosines, dtype=float), return_inverse=True, return_counts=True
    )
    means = np.bincount(of_pair, weights=np.asarray(gold, dtype=float)) / counts
    heights = isotonic_regression(means, weights=counts).x
    return lambda values: np.interp(np.asarray(values, dtype=float), places, heights)


def recalibrate(
    tasks: Sequence[Task], development: Sequence[Task], cosines: Mapping[str, Cosines]
) -> dict[str, Recalibration]:
    """Calibration of each task, and of all their pairs together under `overall`.

    The regression sees development pairs only. Where these are all there is, it is fitted on every
    second pair and tested on the others, both ways round.

    Args:
        tasks: What is tested.
        development: What the regression is fitted on.
        cosines: Of both, by task.
    """
    predicted = {task.name: cosines[task.name].astype(float) for task in tasks}
    gold = {task.name: unit_gold(task) for task in tasks}
    if set(gold) & {task.name for task in development}:
        fitted = {name: _by_halves(predicted[name], gold[name]) for name in gold}
    else:
        fit = fit_isotonic(
            np.concatenate([cosines[task.name] for task in development]),
            np.concatenate([unit_gold(task) for task in development]),
        )
        fitted = {name: fit(values) for name, values in predicted.items()}
    for values in (predicted, gold, fitted):
        values["overall"] = np.concatenate(list(values.values()))
    return {
        name: Recalibration(calibrate(predicted[name], of), calibrate(fitted[name], of))
        for name, of in gold.items()
    }


def _by_halves(cosines: Floats, gold: Floats) -> Floats:
    found = np.empty_like(cosines)
    for half in (0, 1):
        fit = fit_isotonic(cosines[1 - half :: 2], gold[1 - half :: 2])
        found[half::2] = fit(cosines[half::2])
    return found
