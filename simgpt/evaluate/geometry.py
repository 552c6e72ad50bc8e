r"""How a model's vectors lie on the sphere: alignment and uniformity, by Wang and Isola (2020).

Alignment is the mean of $\lVert x - y \rVert^2$ over pairs that mean the same: lower is better.
Uniformity is the logarithm of the mean of $e^{-2 \lVert x - y \rVert^2}$ over all pairs of
different sentences: the lower, the more evenly the vectors spread. Vectors have length one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simgpt.errors import SimgptError
from simgpt.evaluate.scores import Cosines, Vectors
from simgpt.evaluate.tasks import Task

GOLD_ABOVE = 4.0  # SimCSE: pairs "with a score higher than 4" mean the same
_BLOCK = 1024  # rows; two blocks and their products are 6 MB, however many sentences there are


@dataclass(frozen=True)
class Geometry:
    """Of one task's sentences.

    Attributes:
        alignment: 0 to 4; None where no pair has a gold score above 4.
        aligned_pairs: How many have.
        uniformity: -8 to 0; None without vectors.
        sentences: How many different ones there are.
    """

    alignment: float | None
    aligned_pairs: int
    uniformity: float | None
    sentences: int


def geometry(task: Task, cosines: Cosines, vectors: Vectors | None) -> Geometry:
    """Alignment and, from vectors, uniformity of a task.

    Args:
        task: The pairs.
        cosines: Shape (pairs,); all that alignment needs.
        vectors: A vector for each sentence; None where only cosines were kept.
    """
    unique = list(dict.fromkeys([*task.left, *task.right]))
    meaning_same = np.asarray(task.gold) > GOLD_ABOVE
    return Geometry(
        alignment=alignment(cosines[meaning_same]) if meaning_same.any() else None,
        aligned_pairs=int(meaning_same.sum()),
        uniformity=None if vectors is None else uniformity(np.stack([vectors[t] for t in unique])),
        sentences=len(unique),
    )


def alignment(cosines: Cosines) -> float:
    """Mean squared distance of pairs of unit vectors with these cosines: 2 - 2 cos."""
    return float(np.mean(2 - 2 * cosines.astype(float)))


def uniformity(vectors: NDArray[np.float32]) -> float:
    """Logarithm of the mean Gaussian potential of all pairs of rows, block by block.

    Exact, and its memory does not grow with the square of the sentences.

    Args:
        vectors: Shape (sentences, dim), of any length.

    Raises:
        SimgptError: there are fewer than two.
    """
    if len(vectors) < 2:
        raise SimgptError(f"uniformity needs two sentences or more, not {len(vectors)}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    total = 0.0
    for begin in range(0, len(unit), _BLOCK):
        rows = unit[begin : begin + _BLOCK]
        for other in range(begin, len(unit), _BLOCK):
            # 2 times the squared distance of unit vectors is 4 - 4 cos.
            potential = np.exp(4 * (rows @ unit[other : other + _BLOCK].T) - 4)
            if other == begin:
                potential = np.triu(potential, 1)
            total += float(potential.sum(dtype=np.float64))
    return float(np.log(total / (len(unit) * (len(unit) - 1) / 2)))
