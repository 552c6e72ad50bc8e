"""A curve through scores by size of the training data, and what it is worth beyond them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit

_PARAMETERS = 3
# A correlation x 100 is at most 100. With an exponent near 0 the curve is a logarithm; beyond 3
# all but the smallest size would score the same.
_EXPONENTS = (0.01, 3.0)


@dataclass(frozen=True)
class PowerLaw:
    """score(n) = ceiling - scale * n ** -exponent.

    Attributes:
        ceiling: What it tends to.
        scale: Below the ceiling, at one triplet.
        exponent: How fast it gets there.
    """

    ceiling: float
    scale: float
    exponent: float

    def __call__(self, count: ArrayLike) -> NDArray[np.float64]:
        """Scores x 100 at these numbers of triplets, of any shape."""
        found: NDArray[np.float64] = self.ceiling - self.scale * np.power(
            np.asarray(count, dtype=float), -self.exponent
        )
        return found


@dataclass(frozen=True)
class HeldOut:
    """The largest size, which a curve through the others had to predict.

    Attributes:
        count: Its number of triplets.
        predicted: Score by that curve.
        measured: Mean score over the runs of this size.
    """

    count: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Predicted minus measured."""
        return self.predicted - self.measured


def fit_power_law(counts: Sequence[int], scores: Sequence[float]) -> PowerLaw | None:
    """The power law with the least squared error; each run is a point.

    A power law is what such curves mostly look like, not what they must be: hence `hold_out`.

    Returns:
        None where there are fewer sizes than four: three numbers go through three of them, always.
    """
    if len(set(counts)) <= _PARAMETERS:
        return None
    first, points = min(counts), np.asarray(scores, dtype=float)

    def law(count: NDArray[np.float64], top: float, gap: float, exponent: float) -> ArrayLike:
        return top - gap * (count / first) ** -exponent  # the gap is that of the smallest size

    (top, gap, exponent), _ = curve_fit(
        law,
        np.asarray(counts, dtype=float),
        points,
        p0=(points.max(), np.ptp(points), 0.5),
        bounds=((0, 0, _EXPONENTS[0]), (100, 1000, _EXPONENTS[1])),
        max_nfev=100_000,
    )
    return PowerLaw(float(top), float(gap * first**exponent), float(exponent))


def hold_out(counts: Sequence[int], scores: Sequence[float]) -> HeldOut | None:
    """Fit all sizes but the largest, and predict that one; None where too few are left."""
    largest = max(counts)
    kept = [(count, score) for count, score in zip(counts, scores, strict=True) if count < largest]
    law = fit_power_law([count for count, _ in kept], [score for _, score in kept])
    if law is None:
        return None
    reached = [score for count, score in zip(counts, scores, strict=True) if count == largest]
    return HeldOut(largest, float(law(largest)), float(np.mean(reached)))
