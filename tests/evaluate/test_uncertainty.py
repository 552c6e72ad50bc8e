"""Intervals and tests against scipy, resample by resample, and against what must be so."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from simgpt.errors import SimgptError
from simgpt.evaluate.uncertainty import (
    _drawn,
    _Ranker,
    bootstrap_spearman,
    compare,
    interval,
)

SIZES = (7, 1, 12)


def toy(seed, pairs=20):
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, 4, pairs).astype(float)  # ties, as raters make them
    first = gold + draw.normal(0, 1, pairs)
    second = np.round(gold + draw.normal(0, 3, pairs))
    return first, second, gold


def judged(first, second, gold, resamples, seed=0):
    drawn = bootstrap_spearman([first, second], gold, [len(gold)], resamples=resamples, seed=seed)
    return compare(first, second, gold, drawn, seed=seed)


def test_every_resample_equals_scipy_on_the_drawn_pairs():
    first, second, gold = toy(1)
    found = bootstrap_spearman([first, second], gold, SIZES, resamples=300, seed=5)
    assert found.shape == (2, 300)
    counts = np.concatenate(list(_drawn(SIZES, 300, 5)))
    for row, count in enumerate(counts):
        places = np.repeat(np.arange(20), count)
        for model, scores in enumerate((first, second)):
            expected = spearmanr(scores[places], gold[places]).statistic
            assert found[model, row] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_pairs_are_drawn_subset_by_subset(monkeypatch):
    monkeypatch.setattr("simgpt.evaluate.uncertainty._BLOCK", 100)  # several blocks
    counts = np.concatenate(list(_drawn(SIZES, 50, 0)))
    assert counts.shape == (50, 20)
    for start, size in ((0, 7), (7, 1), (8, 12)):
        assert (counts[:, start : start + size].sum(axis=1) == size).all()
    assert counts.max() > 2


def test_drawing_each_pair_once_gives_the_ordinary_ranks():
    values = np.array([0.3, 0.1, 0.3, 0.9])
    ranks = _Ranker(values).ranks(np.ones((1, 4), dtype=np.int64))
    assert ranks.tolist() == [[2.5, 1, 2.5, 4]]


def test_the_interval_covers_the_true_value_about_as_often_as_it_says():
    draw = np.random.default_rng(0)
    truth = 6 / np.pi * np.arcsin(0.8 / 2)  # Spearman of a normal pair of correlation 0.8
    covered = 0
    for seed in range(200):
        gold = draw.normal(size=200)
        scores = 0.8 * gold + 0.6 * draw.normal(size=200)
        (values,) = bootstrap_spearman([scores], gold, [200], resamples=300, seed=seed)
        found = interval(values)
        covered += found.low <= truth <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_a_better_model_is_told_from_a_worse_one():
    draw = np.random.default_rng(0)
    gold = draw.normal(size=500)
    good, bad = gold + draw.normal(0, 0.5, 500), gold + draw.normal(0, 2, 500)
    found = judged(good, bad, gold, 999)
    expected = spearmanr(good, gold).statistic - spearmanr(bad, gold).statistic
    assert found.difference == pytest.approx(expected, abs=1e-12)
    assert 0 < found.interval.low < found.difference < found.interval.high
    assert found.p_bootstrap == 2 / 1000
    assert found.p_randomisation == 1 / 1000
    back = judged(bad, good, gold, 999)
    assert back.difference == pytest.approx(-found.difference)
    assert back.interval.high == pytest.approx(-found.interval.low)


def test_a_model_does_not_differ_from_itself_on_another_scale():
    first, _, gold = toy(2, 200)
    found = judged(first, np.exp(first), gold, 200)
    assert found.difference == pytest.approx(0, abs=1e-12)
    assert (found.p_bootstrap, found.p_randomisation) == (1, 1)


def test_equally_good_models_are_told_apart_as_seldom_as_the_p_says():
    draw = np.random.default_rng(3)
    false_alarms = {"bootstrap": 0, "randomisation": 0}
    for seed in range(200):
        gold = draw.normal(size=100)
        one, other = gold + draw.normal(0, 1, 100), gold + draw.normal(0, 1, 100)
        found = judged(one, other, gold, 200, seed)
        false_alarms["bootstrap"] += found.p_bootstrap < 0.05
        false_alarms["randomisation"] += found.p_randomisation < 0.05
    assert all(2 <= count <= 22 for count in false_alarms.values()), false_alarms


def test_exchanging_pairs_is_counted_as_a_plain_loop_counts_it():
    first, second, gold = toy(4)
    found = judged(first, second, gold, 2000).p_randomisation
    draw = np.random.default_rng(9)
    from scipy.stats import rankdata

    one, other, right = rankdata(first), rankdata(second), rankdata(gold)

    def difference(a, b):
        return np.corrcoef(a, right)[0, 1] - np.corrcoef(b, right)[0, 1]

    observed, as_large = abs(difference(one, other)), 0
    for _ in range(2000):
        swap = draw.integers(2, size=20).astype(bool)
        a, b = np.where(swap, other, one), np.where(swap, one, other)
        as_large += abs(difference(a, b)) >= observed - 1e-12
    assert found == pytest.approx(as_large / 2000, abs=0.05)


def test_subsets_that_do_not_make_up_the_pairs_are_refused():
    with pytest.raises(SimgptError, match=r"subsets of \[3\] pairs do not make up 4 pairs"):
        bootstrap_spearman([[1, 2, 3, 4]], [1, 2, 3, 4], [3])
