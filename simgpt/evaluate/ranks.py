"""Pair by pair: where a model and the raters part ways, and where two models do.

Cosines and gold scores are on different scales, so pairs are compared by their ranks, as Spearman
compares them: a pair's rank is the share of its task's pairs below it, 0 to 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, rankdata

from simgpt.evaluate.scores import Cosines, spearman
from simgpt.evaluate.tasks import Task
from simgpt.evaluate.uncertainty import Floats


@dataclass(frozen=True)
class Place:
    """Which pair it is, without its text: `pair` counts the scored pairs of the subset from 1."""

    task: str
    subset: str
    pair: int


@dataclass(frozen=True)
class PairError(Place):
    """A pair that the model ranks otherwise than the raters.

    Attributes:
        gold: The raters' score, 0 to 5.
        cosine: The model's.
        gold_rank: Share of the task's pairs that the raters put below it.
        cosine_rank: The same by cosine.
    """

    gold: float
    cosine: float
    gold_rank: float
    cosine_rank: float


@dataclass(frozen=True)
class Move(Place):
    """A pair that the second model ranks otherwise than the first; ranks as in `PairError`."""

    gold: float
    gold_rank: float
    first_rank: float
    second_rank: float


@dataclass(frozen=True)
class Agreement:
    """Two models' cosines on the pairs of one task.

    Attributes:
        spearman: Of the two, -1 to 1.
        kendall: Their Kendall's tau-b.
        ordered_alike: Of any two pairs that neither model ties, the share that both put in the
            same order; 0.5 is chance.
        first_closer: Pairs whose rank by the first is closer to their rank by the raters.
        second_closer: The same for the second; the pairs that are left are equally far.
        moves: The pairs whose ranks differ most, the largest first.
    """

    spearman: float
    kendall: float
    ordered_alike: float
    first_closer: int
    second_closer: int
    moves: list[Move]


def rank_shares(values: ArrayLike) -> Floats:
    """Share of the values below each one, and half of its equals, itself included; 0 to 1."""
    ranks: Floats = rankdata(values)
    return (ranks - 0.5) / len(ranks)


def worst_errors(task: Task, cosines: Cosines, *, count: int) -> list[PairError]:
    """The pairs whose rank by cosine is farthest from their rank by gold, the farthest first."""
    gold, predicted = rank_shares(task.gold), rank_shares(cosines)
    return [
        PairError(
            **vars(_place(task, row)),
            gold=task.gold[row],
            cosine=float(cosines[row]),
            gold_rank=float(gold[row]),
            cosine_rank=float(predicted[row]),
        )
        for row in _largest(predicted - gold, count)
    ]


def worst_of_all(errors: Mapping[str, Sequence[PairError]], *, count: int) -> list[PairError]:
    """The worst over all tasks, from those of each."""
    every = [error for of_task in errors.values() for error in of_task]
    return sorted(every, key=lambda e: -abs(e.cosine_rank - e.gold_rank))[:count]


def pair_text(task: Task, subset: str, pair: int) -> tuple[str, str]:
    """The two sentences of a pair. Those of a benchmark are for reading, not for a file."""
    held = next(one for one in task.subsets if one.name == subset)
    return held.left[pair - 1], held.right[pair - 1]


def agreement(task: Task, first: Cosines, second: Cosines, *, count: int) -> Agreement:
    """How far two models agree on a task's pairs, and where they do not.

    Args:
        task: The pairs.
        first: The first model's cosines, shape (pairs,).
        second: The other's.
        count: How many moves to name.
    """
    gold, one, other = (rank_shares(values) for values in (task.gold, first, second))
    # Ranks that are equal on paper may differ in the last bit.
    nearer = np.round(np.abs(one - gold) - np.abs(other - gold), 9)
    tau = float(kendalltau(first, second).statistic)
    return Agreement(
        spearman=spearman(first, second),
        kendall=tau,
        ordered_alike=_ordered_alike(first, second, tau),
        first_closer=int(np.sum(nearer < 0)),
        second_closer=int(np.sum(nearer > 0)),
        moves=[
            Move(
                **vars(_place(task, row)),
                gold=task.gold[row],
                gold_rank=float(gold[row]),
                first_rank=float(one[row]),
                second_rank=float(other[row]),
            )
            for row in _largest(other - one, count)
        ],
    )


def _ordered_alike(first: Cosines, second: Cosines, tau: float) -> float:
    """From tau-b, which is (alike - opposite) over the root of what each model does not tie."""
    both = np.stack([first, second], axis=1)
    total = len(first) * (len(first) - 1) / 2
    in_first, in_second, in_both = (_ties(values) for values in (first, second, both))
    alike_less_opposite = tau * ((total - in_first) * (total - in_second)) ** 0.5
    untied = total - in_first - in_second + in_both
    return float((1 + alike_less_opposite / untied) / 2)


def _ties(values: NDArray[np.float32]) -> float:
    """Pairs of rows that are equal."""
    counts = np.unique(values, axis=0, return_counts=True)[1].astype(float)
    return float(np.sum(counts * (counts - 1)) / 2)


def _largest(differences: Floats, count: int) -> NDArray[np.intp]:
    return np.argsort(-np.abs(differences), kind="stable")[:count]


def _place(task: Task, row: int) -> Place:
    ends = np.cumsum(task.sizes)
    number = int(np.searchsorted(ends, row, side="right"))
    subset = task.subsets[number]
    return Place(task.name, subset.name, int(row - ends[number] + len(subset.gold)) + 1)
