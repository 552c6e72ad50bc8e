"""Scores against scipy on data small enough to check by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from simgpt import SimgptError
from simgpt.config import Aggregation
from simgpt.evaluate import Subset, Task, score_pairs
from simgpt.evaluate.scores import (
    TaskScore,
    published_average,
    resample_task,
    score_task,
    spearman,
    task_cosines,
)
from simgpt.evaluate.uncertainty import _drawn, bootstrap_spearman


def angle(degrees):
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], dtype=np.float32)


@pytest.fixture
def toy():
    """Two subsets on different scales, with ties on both sides."""
    vectors = {"x": angle(0), "a": angle(10), "b": angle(40), "c": angle(80), "d": angle(60)}
    first = Subset("first", ["x", "x", "x", "x"], ["a", "b", "c", "b"], [5.0, 5.0, 1.0, 2.0])
    second = Subset("second", ["x", "x", "x"], ["a", "d", "c"], [2.0, 1.0, 0.5])
    return Task("toy", [first, second], "plain", "ab" * 32), vectors


def test_all_aggregation_is_one_spearman_over_the_pooled_pairs(toy):
    task, vectors = toy
    cosines = [float(np.cos(np.radians(degrees))) for degrees in (10, 40, 80, 40, 10, 60, 80)]
    gold = [5.0, 5.0, 1.0, 2.0, 2.0, 1.0, 0.5]
    score = score_task(task, task_cosines(task, vectors))
    assert score.spearman == pytest.approx(spearmanr(cosines, gold).statistic, abs=1e-9)
    assert score.subsets["first"] == pytest.approx(
        spearmanr(cosines[:4], gold[:4]).statistic, abs=1e-9
    )
    assert score.spearman != pytest.approx(np.mean(list(score.subsets.values())), abs=1e-3)


def test_the_signature_names_what_another_must_do_alike(toy):
    signature = score_task(toy[0], task_cosines(*toy)).signature
    assert signature.startswith("toy|pairs:7|agg:all|text:plain|sim:cos|fp32|data:abababab|v")


def test_cosines_do_not_depend_on_length_and_a_zero_vector_scores_zero():
    left = np.array([[3, 0], [0, 0], [1, 1]], dtype=np.float32)
    right = np.array([[5, 0], [1, 0], [-2, -2]], dtype=np.float32)
    assert score_pairs(left, right).tolist() == pytest.approx([1, 0, -1])


@pytest.mark.parametrize(("cosines", "gold"), [([0.5], [1.0]), ([0.5, 0.5], [1.0, 2.0])])
def test_no_score_is_made_up_where_no_correlation_exists(cosines, gold):
    with pytest.raises(SimgptError, match="two pairs or more"):
        spearman(cosines, gold)


def test_the_published_average_rounds_each_score_first():
    scores = {str(n): TaskScore(value, {}, {}, 2, "") for n, value in enumerate((0.70004, 0.70004))}
    assert published_average(scores) == 70.0
    assert published_average({"a": TaskScore(0.12346, {}, {}, 2, "")}) == 12.35


def test_the_three_aggregations_equal_scipy(toy):
    task, vectors = toy
    cosines = task_cosines(task, vectors)
    own = [
        spearmanr(cosines[:4], task.gold[:4]).statistic,
        spearmanr(cosines[4:], task.gold[4:]).statistic,
    ]
    found = score_task(task, cosines).aggregations
    assert found["all"] == pytest.approx(spearmanr(cosines, task.gold).statistic)
    assert found["mean"] == pytest.approx(sum(own) / 2)
    assert found["wmean"] == pytest.approx((4 * own[0] + 3 * own[1]) / 7)
    for name in Aggregation:
        score = score_task(task, cosines, aggregation=name)
        assert score.spearman == found[name]
        assert f"|agg:{name}|" in score.signature


def lopsided(gold):
    """Three pairs, and one subset whose gold scores are given."""
    many = Subset("many", ["a"] * 3, ["b"] * 3, [1.0, 2.0, 4.0])
    return Task("toy", [many, Subset("odd", ["a"] * len(gold), ["b"] * len(gold), gold)], "t", "0")


@pytest.mark.parametrize("gold", [[3.0], [3.0, 3.0]])
def test_a_subset_of_one_pair_or_of_equal_scores_counts_under_all_and_has_no_score_of_its_own(gold):
    task = lopsided(gold)
    cosines = np.linspace(0.1, 0.9, task.pairs, dtype=np.float32)
    found = score_task(task, cosines)
    assert found.spearman == pytest.approx(spearmanr(cosines, task.gold).statistic)
    assert found.subsets == {"many": pytest.approx(1), "odd": None}
    assert (found.aggregations["mean"], found.aggregations["wmean"]) == (None, None)
    with pytest.raises(SimgptError, match="subset odd has no Spearman .* no mean over .* all"):
        score_task(task, cosines, aggregation=Aggregation.MEAN)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_cosine_that_is_not_finite_is_refused_with_the_tasks_name(toy, broken):
    task, vectors = toy
    cosines = task_cosines(task, vectors)
    cosines[2] = broken
    with pytest.raises(SimgptError, match="toy: Spearman needs finite scores"):
        score_task(task, cosines)


def test_cosines_that_are_not_one_a_pair_are_refused(toy):
    task, vectors = toy
    with pytest.raises(SimgptError, match="toy: 6 cosines for 7 pairs"):
        score_task(task, task_cosines(task, vectors)[:-1])


def test_vectors_of_two_sizes_are_no_pair():
    with pytest.raises(SimgptError, match=r"vectors of shape \(2, 3\) cannot be paired"):
        score_pairs(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))


def test_resampled_means_are_the_means_of_subsets_resampled_by_themselves(toy):
    task, vectors = toy
    cosines = task_cosines(task, vectors)
    first = bootstrap_spearman([cosines[:4]], task.gold[:4], [4], seed=0)
    second = bootstrap_spearman([cosines[4:]], task.gold[4:], [3], seed=1)
    mean = resample_task(task, [cosines], aggregation=Aggregation.MEAN)
    assert mean == pytest.approx((first + second) / 2, nan_ok=True)
    weighted = resample_task(task, [cosines], aggregation=Aggregation.WMEAN)
    assert weighted == pytest.approx((4 * first + 3 * second) / 7, nan_ok=True)


def test_of_resampled_pairs_only_the_kept_are_scored():
    draw = np.random.default_rng(0)
    gold, scores = draw.integers(0, 4, 12).astype(float), draw.normal(size=12)
    keep = np.arange(12) % 3 > 0
    (found,) = bootstrap_spearman([scores], gold, [12], resamples=100, seed=4, keep=keep)
    counts = np.concatenate(list(_drawn([12], 100, 4)))
    for value, count in zip(found, counts, strict=True):
        places = np.repeat(np.arange(12), count * keep)
        expected = spearmanr(scores[places], gold[places]).statistic
        assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)
