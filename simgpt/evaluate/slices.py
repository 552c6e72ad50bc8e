"""Where a score comes from: by subset, by the length of a pair, by the words it shares."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simgpt.errors import SimgptError
from simgpt.evaluate.scores import Cosines, parts_of, spearman
from simgpt.evaluate.tasks import Task
from simgpt.evaluate.uncertainty import Floats, Interval, bootstrap_spearman, interval

RESAMPLES = 1000  # of each of many slices; a task's own score gets ten times as many
FEWEST = 20  # pairs of one task in one bin; fewer have no rank correlation worth the name
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class SubsetScore:
    """One subset by itself; no Spearman where one side is constant or there is one pair."""

    subset: str
    pairs: int
    spearman: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Slice:
    """The pairs whose value lies from `low` to `high`, both included.

    Attributes:
        low: Smallest value.
        high: Largest value.
        pairs: How many are scored.
        spearman: Mean over tasks of the Spearman within task and bin, by number of pairs.
        interval: Of it, from the bootstrap within task and bin.
        gold_deviation: Standard deviation of the gold scores (0 to 5), averaged alike. Where
            gold scores lie close together, every model's Spearman is lower.
    """

    low: float
    high: float
    pairs: int
    spearman: float | None
    interval: Interval | None
    gold_deviation: float | None


def words(text: str) -> list[str]:
    """The words of a text in lower case; punctuation is none, tokenised or not."""
    return _WORD.findall(text.lower())


def longer_length(task: Task) -> Floats:
    """Words of the longer sentence of each pair, shape (pairs,)."""
    return np.array(
        [max(len(words(a)), len(words(b))) for a, b in zip(task.left, task.right, strict=True)],
        dtype=float,
    )


def word_overlap(task: Task) -> Floats:
    """Jaccard of the two sets of words of each pair, 0 to 1, shape (pairs,).

    Words that both sentences have, over words that either has; 0 where neither has one.
    """
    left, right = ([set(words(text)) for text in side] for side in (task.left, task.right))
    pairs = zip(left, right, strict=True)
    return np.array([len(a & b) / max(1, len(a | b)) for a, b in pairs])


def equal_bins(values: ArrayLike, count: int) -> NDArray[np.intp]:
    """The bin of each value: about as many values in each, equal values in the same.

    Returns:
        Shape (values,), from 0; fewer than `count` bins where values repeat.
    """
    values = np.asarray(values)
    inner = np.linspace(0, 1, count + 1)[1:-1]
    edges = np.unique(np.quantile(values, inner, method="inverted_cdf"))
    return np.searchsorted(edges[edges < values.max()], values, side="left")


def subset_scores(task: Task, cosines: Cosines) -> list[SubsetScore]:
    """Each subset's own Spearman with its bootstrap interval."""
    return [
        SubsetScore(
            subset.name,
            len(subset.gold),
            *spearman_with_interval(part, subset.gold, [len(subset.gold)]),
        )
        for subset, part in zip(task.subsets, parts_of(task, cosines), strict=True)
    ]


def spearman_with_interval(
    values: ArrayLike, gold: Sequence[float], sizes: Sequence[int]
) -> tuple[float | None, Interval | None]:
    """Spearman of any values with gold, and its interval; None and None where there is none.

    Args:
        values: Shape (pairs,).
        gold: The raters' scores.
        sizes: Pairs of each subset; they are drawn subset by subset.
    """
    try:
        found = spearman(values, gold)
    except SimgptError:
        return None, None
    (drawn,) = bootstrap_spearman([values], gold, sizes, resamples=RESAMPLES)
    return found, interval(drawn)


def score_by(
    tasks: Sequence[Task],
    cosines: Mapping[str, Cosines],
    values: Mapping[str, Floats],
    *,
    bins: int = 6,
) -> list[Slice]:
    """Spearman in bins of a value of the pairs, such as their length.

    The bins are those of all tasks together, so that a bin means the same everywhere. Within a bin
    each task is ranked by itself: raters of different tasks used the scale differently, and to
    rank their scores together would measure which task a pair is from. The tasks' Spearmans are
    averaged by their pairs in the bin; tasks with fewer than `FEWEST` there, or with equal gold
    scores only, are left out.

    Args:
        tasks: Whose pairs are scored.
        cosines: By task, shape (pairs,).
        values: By task, what the bins are made of, shape (pairs,).
        bins: How many, of about equal size.
    """
    every = np.concatenate([values[task.name] for task in tasks])
    of_pair = np.split(equal_bins(every, bins), np.cumsum([task.pairs for task in tasks])[:-1])
    found = []
    for number in range(1 + max(int(bins_of.max()) for bins_of in of_pair)):
        inside = [bins_of == number for bins_of in of_pair]
        held = np.concatenate([values[t.name][at] for t, at in zip(tasks, inside, strict=True)])
        cells = [
            (cosines[task.name][at], np.asarray(task.gold)[at])
            for task, at in zip(tasks, inside, strict=True)
        ]
        cells = [(c, g) for c, g in cells if len(g) >= FEWEST and np.ptp(c) > 0 < np.ptp(g)]
        found.append(_slice(float(held.min()), float(held.max()), cells))
    return found


def _slice(low: float, high: float, cells: Sequence[tuple[Cosines, Floats]]) -> Slice:
    """Average the cells, one a task, by their pairs."""
    if not cells:
        return Slice(low, high, 0, None, None, None)
    pairs = [len(gold) for _, gold in cells]
    drawn = np.concatenate(
        [bootstrap_spearman([c], g, [len(g)], resamples=RESAMPLES) for c, g in cells]
    )
    # A resample of few pairs may be constant in one task: the others then stand for it.
    known = np.isfinite(drawn) * np.asarray(pairs)[:, None]
    with np.errstate(invalid="ignore"):
        average = (np.nan_to_num(drawn) * known).sum(axis=0) / known.sum(axis=0)
    return Slice(
        low,
        high,
        sum(pairs),
        float(np.average([spearman(*cell) for cell in cells], weights=pairs)),
        interval(average),
        float(np.average([np.std(gold) for _, gold in cells], weights=pairs)),
    )
