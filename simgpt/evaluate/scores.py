"""From vectors to cosines, and from cosines to Spearman: by subset and over a whole task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from simgpt.config import Aggregation, ScoringPrecision
from simgpt.errors import SimgptError
from simgpt.evaluate.tasks import Task
from simgpt.evaluate.uncertainty import Floats, bootstrap_spearman
from simgpt.version import __version__

Vectors = Mapping[str, NDArray[np.float32]]
Cosines = NDArray[np.float32]


@dataclass(frozen=True)
class TaskScore:
    """A task's Spearman (-1 to 1).

    Attributes:
        spearman: Under the aggregation that `signature` names.
        aggregations: Under each of the three; None where a subset has no Spearman of its own.
        subsets: Each subset's own; None for one pair, or where one side is constant.
        pairs: How many were scored.
        signature: What another must do alike to get the same number.
    """

    spearman: float
    aggregations: dict[str, float | None]
    subsets: dict[str, float | None]
    pairs: int
    signature: str


def score_pairs(left: NDArray[np.float32], right: NDArray[np.float32]) -> Cosines:
    """Cosine of each row of `left` with the same row of `right`, in fp32.

    Args:
        left: Vectors, shape (pairs, dim).
        right: Vectors, shape (pairs, dim).

    Returns:
        Cosines, shape (pairs,). A zero vector has cosine 0 with everything, as in SentEval.

    Raises:
        SimgptError: the two sides differ in shape.
    """
    if left.shape != right.shape or left.ndim != 2:
        raise SimgptError(
            f"vectors of shape {left.shape} cannot be paired with vectors of shape {right.shape}; "
            "both must be (pairs, dim)"
        )
    dots: Cosines = np.einsum("pd,pd->p", left, right)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: Cosines = np.zeros_like(dots)
    np.divide(dots, lengths, out=cosines, where=lengths > 0)
    return cosines


def task_cosines(task: Task, vectors: Vectors) -> Cosines:
    """Cosine of each pair of a task, its subsets one after the other, shape (pairs,)."""
    left = np.stack([vectors[sentence] for sentence in task.left])
    right = np.stack([vectors[sentence] for sentence in task.right])
    return score_pairs(left, right)


def spearman(predicted: ArrayLike, gold: ArrayLike) -> float:
    """Spearman's rank correlation, -1 to 1; ties get their average rank.

    Raises:
        SimgptError: there are fewer than two pairs, one side is constant, or a score is not
            finite, so that no correlation exists.
    """
    predicted, gold = np.asarray(predicted, dtype=float), np.asarray(gold, dtype=float)
    if not (np.isfinite(predicted).all() and np.isfinite(gold).all()):
        raise SimgptError("Spearman needs finite scores, and one is infinite or not a number")
    if len(gold) < 2 or np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        raise SimgptError("Spearman needs two pairs or more and scores that are not all the same")
    return float(spearmanr(predicted, gold).statistic)


def score_task(
    task: Task,
    cosines: Cosines,
    *,
    aggregation: Aggregation = Aggregation.ALL,
    precision: ScoringPrecision = ScoringPrecision.FP32,
) -> TaskScore:
    """Score one task from the cosines of its pairs.

    'all' is one Spearman over the subsets' concatenated pairs. It is not the mean of the subsets'
    own, and may lie points away from it.

    Args:
        task: The pairs and their gold scores.
        cosines: Shape (pairs,), the subsets one after the other.
        aggregation: Which score is the task's.
        precision: In what the sentences were embedded; the signature names it.

    Raises:
        SimgptError: the cosines are not one a pair, one of them is not finite, or the score does
            not exist: all pairs score the same or, for `mean` and `wmean`, all of a subset do.
    """
    if len(cosines) != task.pairs:
        raise SimgptError(f"{task.name}: {len(cosines)} cosines for {task.pairs} pairs")
    try:
        together = spearman(cosines, task.gold)
    except SimgptError as error:
        raise SimgptError(f"{task.name}: {error}") from error
    subsets = {
        subset.name: _spearman_or_none(part, subset.gold)
        for subset, part in zip(task.subsets, parts_of(task, cosines), strict=True)
    }
    aggregations = {
        Aggregation.ALL: together,
        Aggregation.MEAN: _mean(list(subsets.values()), [1] * len(subsets)),
        Aggregation.WMEAN: _mean(list(subsets.values()), task.sizes),
    }
    score = aggregations[aggregation]
    if score is None:
        missing = next(name for name, value in subsets.items() if value is None)
        raise SimgptError(
            f"{task.name}: subset {missing} has no Spearman of its own, so there is no "
            f"{aggregation} over subsets; use all"
        )
    plain = {str(name): value for name, value in aggregations.items()}
    told = signature(task, aggregation=aggregation, precision=precision)
    return TaskScore(score, plain, subsets, task.pairs, told)


def resample_task(
    task: Task,
    cosines: Sequence[Cosines],
    *,
    aggregation: Aggregation = Aggregation.ALL,
    keep: ArrayLike | None = None,
) -> Floats:
    """Scores of one or more models on resampled pairs of a task, the same pairs for all of them.

    Pairs are drawn subset by subset.

    Args:
        task: The pairs and their gold scores.
        cosines: For each model, shape (pairs,).
        aggregation: As for `score_task`.
        keep: Shape (pairs,), true or false: of the drawn pairs, only these are scored.

    Returns:
        Shape (models, resamples); NaN where a resample has no Spearman.
    """
    if aggregation is Aggregation.ALL:
        return bootstrap_spearman(cosines, task.gold, task.sizes, keep=keep)
    weights = np.asarray(
        task.sizes if aggregation is Aggregation.WMEAN else [1] * len(task.sizes), dtype=float
    )
    parts = [parts_of(task, np.asarray(one)) for one in cosines]
    kept = None if keep is None else parts_of(task, np.asarray(keep))
    found = [
        bootstrap_spearman(
            [model[place] for model in parts],
            subset.gold,
            [len(subset.gold)],
            seed=place,
            keep=None if kept is None else kept[place],
        )
        for place, subset in enumerate(task.subsets)
    ]
    averaged: Floats = np.average(found, axis=0, weights=weights)
    return averaged


def signature(
    task: Task,
    *,
    aggregation: Aggregation = Aggregation.ALL,
    precision: ScoringPrecision = ScoringPrecision.FP32,
) -> str:
    """What another must do alike to get the same number; printed with every score."""
    return (
        f"{task.name}|pairs:{task.pairs}|agg:{aggregation}|text:{task.text}|sim:cos|{precision}"
        f"|data:{task.sha256[:8]}|v{__version__}"
    )


def published_average(scores: Mapping[str, TaskScore]) -> float:
    """Mean of the tasks' Spearman x 100, each first rounded to two decimals, as papers print it."""
    rounded = [round(100 * score.spearman, 2) for score in scores.values()]
    return round(sum(rounded) / len(rounded), 2)


def parts_of(task: Task, values: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """What belongs to each subset."""
    return np.split(values, np.cumsum(task.sizes)[:-1])


def _spearman_or_none(predicted: ArrayLike, gold: ArrayLike) -> float | None:
    try:
        return spearman(predicted, gold)
    except SimgptError:
        return None


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    products = (value * weight for value, weight in zip(known, weights, strict=True))
    return math.fsum(products) / sum(weights)
