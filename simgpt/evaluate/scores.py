"""From cosines to Spearman, by subset and over a whole task, each with its signature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from simgpt.errors import SimgptError
from simgpt.evaluate.benchmarks import Subset, Task
from simgpt.evaluate.encoding import encode
from simgpt.version import __version__

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class TaskScore:
    """A task's Spearman (-1 to 1) under 'all' aggregation, and each subset's own."""

    spearman: float
    subsets: dict[str, float]
    pairs: int
    signature: str


def score_pairs(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of each row of `left` with the same row of `right`, in fp32.

    Args:
        left: Vectors, shape (pairs, dim).
        right: Vectors, shape (pairs, dim).

    Returns:
        Cosines, shape (pairs,). A zero vector has cosine 0 with everything, as in SentEval.
    """
    dots: NDArray[np.float32] = np.einsum("pd,pd->p", left, right)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: NDArray[np.float32] = np.zeros_like(dots)
    np.divide(dots, lengths, out=cosines, where=lengths > 0)
    return cosines


def spearman(predicted: Sequence[float], gold: Sequence[float]) -> float:
    """Spearman's rank correlation, -1 to 1; ties get their average rank.

    Raises:
        SimgptError: there are fewer than two pairs or one side is constant, so that no
            correlation exists.
    """
    if len(gold) < 2 or np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        raise SimgptError("Spearman needs two pairs or more and scores that are not all the same")
    return float(spearmanr(predicted, gold).statistic)


def subset_cosines(subset: Subset, vectors: Vectors) -> NDArray[np.float32]:
    """Cosine of each pair of a subset, shape (pairs,)."""
    left = np.stack([vectors[sentence] for sentence in subset.left])
    right = np.stack([vectors[sentence] for sentence in subset.right])
    return score_pairs(left, right)


def task_cosines(task: Task, vectors: Vectors) -> NDArray[np.float32]:
    """Cosine of each pair of a task, its subsets one after the other, shape (pairs,)."""
    return np.concatenate([subset_cosines(subset, vectors) for subset in task.subsets])


def score_task(task: Task, vectors: Vectors) -> TaskScore:
    """Score one task from its sentences' vectors.

    'all' is one Spearman over the subsets' concatenated pairs: the convention of SimCSE and of
    the paper. It is not the mean of the subsets' own.
    """
    subsets = {
        subset.name: spearman(subset_cosines(subset, vectors).tolist(), subset.gold)
        for subset in task.subsets
    }
    together = spearman(task_cosines(task, vectors).tolist(), task.gold)
    return TaskScore(together, subsets, task.pairs, signature(task))


def encode_tasks(
    model: "SentenceTransformer", tasks: Sequence[Task], *, progress: bool = False
) -> Vectors:
    """Vectors of all sentences of `tasks`; one that several tasks share is encoded once."""
    sentences = (
        sentence for task in tasks for s in task.subsets for sentence in (*s.left, *s.right)
    )
    return encode(model, sentences, progress=progress)


def score_tasks(
    model: "SentenceTransformer", tasks: Sequence[Task], *, progress: bool = False
) -> dict[str, TaskScore]:
    """Score `model` on `tasks`."""
    vectors = encode_tasks(model, tasks, progress=progress)
    return {task.name: score_task(task, vectors) for task in tasks}


def signature(task: Task) -> str:
    """What another must do alike to get the same number; printed with every score."""
    return (
        f"{task.name}|pairs:{task.pairs}|agg:all|text:{task.text}|sim:cos|fp32"
        f"|data:{task.sha256[:8]}|v{__version__}"
    )


def published_average(scores: Mapping[str, TaskScore]) -> float:
    """Mean of the tasks' Spearman x 100, each first rounded to two decimals, as papers print it."""
    rounded = [round(100 * score.spearman, 2) for score in scores.values()]
    return round(sum(rounded) / len(rounded), 2)
