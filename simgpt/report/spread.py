"""What training again with other seeds gives."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t
from scipy.stats import ttest_1samp

from simgpt.errors import SimgptError

LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """A score over runs that differ in their seed.

    Attributes:
        mean: Of the runs.
        deviation: Standard deviation of single runs (divisor n - 1).
        low: Lower end of the mean's interval, by Student's t.
        high: Upper end.
        runs: How many.
    """

    mean: float
    deviation: float
    low: float
    high: float
    runs: int


def seed_spread(values: Sequence[float]) -> Spread:
    """Mean, deviation and interval of the mean of one score over several seeds.

    The bootstrap says what other pairs would have given; this says what other seeds would have. Few
    runs make a wide interval: with two, t is 12.7 standard errors, with five, 2.8.

    Raises:
        SimgptError: there are fewer than two values.
    """
    if len(values) < 2:
        raise SimgptError(f"{len(values)} run(s) have no spread; give the scores of two or more")
    runs, mean, deviation = len(values), statistics.mean(values), statistics.stdev(values)
    half = float(student_t.ppf((1 + LEVEL) / 2, runs - 1)) * deviation / runs**0.5
    return Spread(mean, deviation, mean - half, mean + half, runs)


def p_of_no_difference(differences: Sequence[float]) -> float:
    """Two-sided p of a paired t test: how often chance alone gives a mean as far from zero.

    Args:
        differences: Of two models' scores, seed by seed, two or more.
    """
    if statistics.stdev(differences) == 0:  # t would be 0/0, or without limit
        return 1.0 if differences[0] == 0 else 0.0
    return float(ttest_1samp(differences, 0).pvalue)
