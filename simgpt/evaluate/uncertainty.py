r"""How sure a score is: bootstrap intervals, and tests of one model against another.

A benchmark's pairs are a sample; another sample would give another Spearman. The bootstrap draws
pairs with replacement, subset by subset, so that each subset keeps its share in the 'all' score.
For two models the *same* pairs are drawn, since what one finds hard the other does, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from simgpt.errors import SimgptError

RESAMPLES = 10_000
LEVEL = 0.95
_BLOCK = 1 << 21  # numbers of a block of resamples: 16 MB, small enough for a processor's cache

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A percentile interval: `low` to `high` at the confidence `level`."""

    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True)
class Comparison:
    """One model against another on the same pairs.

    Attributes:
        difference: Spearman of the first minus that of the second.
        interval: Of the difference, from the paired bootstrap.
        p_bootstrap: Two-sided: twice the share of resamples on the other side of zero.
        p_randomisation: Two-sided: how often models that are exchanged at random, pair by pair,
            differ at least as much.
    """

    difference: float
    interval: Interval
    p_bootstrap: float
    p_randomisation: float


def bootstrap_spearman(
    scores: Sequence[ArrayLike],
    gold: ArrayLike,
    sizes: Sequence[int],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    keep: ArrayLike | None = None,
) -> Floats:
    """Spearman of one or more models on resampled pairs, the same pairs for all of them.

    No resample is sorted: pairs are sorted once, and how often each was drawn gives the ranks by
    adding up. Ties share their average rank, among copies of a pair as well.

    Args:
        scores: For each model its scores, shape (pairs,), the subsets one after the other.
        gold: The raters' scores, shape (pairs,).
        sizes: Pairs of each subset; they are drawn subset by subset.
        resamples: How often.
        seed: Of the drawing.
        keep: Shape (pairs,), true or false: of the drawn pairs only these are scored. All are
            drawn, so what is found can be compared with what is found without.

    Returns:
        Shape (models, resamples), each from -1 to 1; NaN where a resample is constant.

    Raises:
        SimgptError: the sizes do not add up to the pairs.
    """
    gold = np.asarray(gold, dtype=float)
    if sum(sizes) != len(gold) or any(len(np.asarray(one)) != len(gold) for one in scores):
        raise SimgptError(f"subsets of {list(sizes)} pairs do not make up {len(gold)} pairs")
    gold_ranker = _Ranker(gold)
    rankers = [_Ranker(np.asarray(one, dtype=float)) for one in scores]
    found = []
    for counts in _drawn(sizes, resamples, seed):
        if keep is not None:
            counts *= np.asarray(keep, dtype=bool)
        right = gold_ranker.ranks(counts)
        found.append(np.stack([_correlation(r.ranks(counts), right, counts) for r in rankers]))
    return np.concatenate(found, axis=1)


def interval(values: ArrayLike, *, level: float = LEVEL) -> Interval:
    """The middle `level` of the values, NaN left out."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(np.asarray(values, dtype=float), [tail, 1 - tail])
    return Interval(float(low), float(high), level)


def compare(
    first: ArrayLike, second: ArrayLike, gold: ArrayLike, drawn: Floats, *, seed: int = 0
) -> Comparison:
    """Test two models on the same pairs.

    Args:
        first: The first model's scores, shape (pairs,).
        second: The other's.
        gold: The raters' scores.
        drawn: Their Spearmans on the same resamples, shape (2, resamples), from
            `bootstrap_spearman`.
        seed: Of the random exchanges, of which there are as many.
    """
    differences = drawn[0] - drawn[1]
    observed, p = _randomisation(first, second, gold, resamples=len(differences), seed=seed)
    return Comparison(
        difference=observed,
        interval=interval(differences),
        p_bootstrap=p_of(differences),
        p_randomisation=p,
    )


def p_of(differences: Floats) -> float:
    """Two-sided p of resampled differences: twice the share on the smaller side of zero.

    Counted with the observed sample itself, so that no p is zero.
    """
    sides = (np.sum(differences <= 0) + 1, np.sum(differences >= 0) + 1)
    return min(1.0, 2 * float(min(sides)) / (len(differences) + 1))


class _Ranker:
    """Average ranks of values under resampling, without sorting again."""

    def __init__(self, values: Floats) -> None:
        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        self.ends = np.append(starts[1:], len(values)) - 1
        group = np.zeros(len(values), dtype=np.intp)
        group[starts[1:]] = 1
        self.group = np.empty_like(group)
        self.group[self.order] = np.cumsum(group)

    def ranks(self, counts: NDArray[np.int64]) -> Floats:
        """Ranks of the values, each drawn so often; shape (resamples, pairs), as `counts`.

        A value's rank is the mean of the places that it and its equals take: those below, and
        half of their own number plus a half.
        """
        up_to = np.cumsum(counts[:, self.order], axis=1)[:, self.ends]
        own = np.diff(up_to, axis=1, prepend=0)
        of_group: Floats = up_to - (own - 1) / 2
        return of_group[:, self.group]


def _correlation(left: Floats, right: Floats, counts: NDArray[np.int64]) -> Floats:
    """Pearson's correlation of ranks, weighted by how often each pair was drawn."""
    middle = (counts.sum(axis=1, keepdims=True) + 1) / 2
    left, right = left - middle, right - middle
    weighted = counts * left
    covariance = np.einsum("rp,rp->r", weighted, right)
    spread = np.einsum("rp,rp->r", weighted, left)
    other = np.einsum("rp,rp,rp->r", counts, right, right)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = covariance / np.sqrt(spread * other)
    return found


def _drawn(sizes: Sequence[int], resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each pair is drawn, block by block: shape (resamples of the block, pairs)."""
    draw = np.random.default_rng(seed)
    pairs = sum(sizes)
    block = max(1, _BLOCK // pairs)
    firsts = np.cumsum([0, *sizes[:-1]])
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        picks = np.concatenate(
            [
                first + draw.integers(size, size=(rows, size))
                for first, size in zip(firsts, sizes, strict=True)
            ],
            axis=1,
        )
        picks += pairs * np.arange(rows)[:, None]
        yield np.bincount(picks.ravel(), minlength=rows * pairs).reshape(rows, pairs)


def _randomisation(
    first: ArrayLike, second: ArrayLike, gold: ArrayLike, *, resamples: int, seed: int
) -> tuple[float, float]:
    """The difference of two Spearmans, and how often chance makes as large a one.

    Under the null hypothesis a pair might have got either model's rank. The ranks are those among
    all pairs, so the two models' different scales of cosine do not matter.

    Returns:
        The observed difference and its two-sided p.
    """
    gold_ranks = rankdata(gold) - (len(np.asarray(gold)) + 1) / 2
    one, other = rankdata(first), rankdata(second)
    middle = (len(one) + 1) / 2
    one, other = one - middle, other - middle
    change = other - one
    # A pair's part in the sum, the sum of squares and the product, as it is and exchanged.
    parts = np.stack([one, one**2, one * gold_ranks], axis=1)
    changes = np.stack([change, other**2 - one**2, change * gold_ranks], axis=1)
    totals = parts.sum(axis=0)
    twin = (parts + changes).sum(axis=0)

    def spearman(sums: Floats) -> Floats:
        spread = sums[..., 1] - sums[..., 0] ** 2 / len(one)
        found: Floats = sums[..., 2] / np.sqrt(spread * np.sum(gold_ranks**2))
        return found

    observed = float(spearman(totals) - spearman(twin))
    draw = np.random.default_rng(seed)
    as_large, block = 1, max(1, _BLOCK // len(one))
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        moved = draw.integers(2, size=(rows, len(one)), dtype=np.int8).astype(float) @ changes
        differences = spearman(totals + moved) - spearman(twin - moved)
        as_large += int(np.sum(np.abs(differences) >= abs(observed) - 1e-12))
    return observed, as_large / (resamples + 1)
