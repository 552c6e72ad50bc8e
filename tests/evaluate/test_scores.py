"""Scores against scipy on data small enough to check by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from simgpt import SimgptError
from simgpt.evaluate import Subset, Task, score_pairs
from simgpt.evaluate.scores import TaskScore, published_average, score_task, spearman, task_cosines


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
