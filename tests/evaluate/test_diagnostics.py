"""Each number behind a score against scipy, a loop or a sum by hand; no text in a result."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from typer.testing import CliRunner

from simgpt.cli import app
from simgpt.encoder import load_encoder
from simgpt.errors import SimgptError
from simgpt.evaluate import Scored, Subset, Task, evaluate_model, uncertainty
from simgpt.evaluate.benchmarks import bundled_dev_task
from simgpt.evaluate.calibration import calibrate, fit_isotonic, recalibrate, unit_gold
from simgpt.evaluate.diagnostics import diagnose_model
from simgpt.evaluate.encoding import encode
from simgpt.evaluate.geometry import geometry, uniformity
from simgpt.evaluate.ranks import (
    agreement,
    pair_text,
    rank_shares,
    worst_errors,
    worst_of_all,
)
from simgpt.evaluate.scores import task_cosines
from simgpt.evaluate.slices import (
    equal_bins,
    longer_length,
    score_by,
    subset_scores,
    word_overlap,
)
from tests.tiny import tiny_bert


def toy_task(gold, name="toy", sizes=None, texts=None):
    """A task of subsets `a`, `b`, ... whose sentences are made up."""
    sizes = sizes or [len(gold)]
    texts = texts or [(f"left {number}", f"right {number}") for number in range(len(gold))]
    subsets, start = [], 0
    for letter, size in zip("abcdef", sizes, strict=False):
        rows = slice(start, start + size)
        left, right = ([pair[side] for pair in texts[rows]] for side in (0, 1))
        subsets.append(Subset(letter, left, right, list(gold[rows])))
        start += size
    return Task(name, subsets, "plain", "ab" * 32)


def noisy(pairs, seed=0, noise=1.0):
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, 11, pairs) / 2
    return gold.tolist(), (gold / 5 + draw.normal(0, noise / 5, pairs)).astype(np.float32)


def test_a_subset_has_its_own_spearman_and_interval_or_none():
    gold, cosines = noisy(61)
    task = toy_task(gold, sizes=[60, 1])
    first, single = subset_scores(task, cosines)
    assert first.spearman == pytest.approx(spearmanr(cosines[:60], gold[:60]).statistic)
    assert first.interval.low < first.spearman < first.interval.high
    assert (single.subset, single.pairs, single.spearman, single.interval) == ("b", 1, None, None)


def test_length_and_overlap_count_words_and_no_punctuation():
    texts = [("A dog , runs .", "The dog runs"), ("a b", "A B b!"), ("?", "!"), ("one", "two")]
    task = toy_task([1, 2, 3, 4], texts=texts)
    assert longer_length(task).tolist() == [3, 3, 0, 1]
    assert word_overlap(task).tolist() == [2 / 4, 1, 0, 0]


def test_bins_hold_as_many_values_and_equal_values_stay_together():
    assert equal_bins([5, 1, 4, 2, 3, 6], 3).tolist() == [2, 0, 1, 0, 1, 2]
    assert equal_bins([1, 1, 1, 1, 2, 3], 3).tolist() == [0, 0, 0, 0, 1, 1]
    assert equal_bins([7, 7, 7], 4).tolist() == [0, 0, 0]


def test_a_bins_score_is_the_tasks_own_scores_weighted_by_their_pairs():
    gold_one, one = noisy(100, 1)
    gold_two, two = noisy(60, 2)
    tasks = [toy_task(gold_one, "one"), toy_task(gold_two, "two")]
    values = {"one": np.repeat([0.0, 9.0], [70, 30]), "two": np.repeat([1.0, 9.0], [50, 10])}
    low, high = score_by(tasks, {"one": one, "two": two}, values, bins=2)
    cells = ((one[:70], gold_one[:70]), (two[:50], gold_two[:50]))
    own = [spearmanr(*cell).statistic for cell in cells]
    assert (low.low, low.high, low.pairs) == (0, 1, 120)
    assert low.spearman == pytest.approx((70 * own[0] + 50 * own[1]) / 120)
    assert low.interval.low < low.spearman < low.interval.high
    deviations = np.std(gold_one[:70]), np.std(gold_two[:50])
    assert low.gold_deviation == pytest.approx((70 * deviations[0] + 50 * deviations[1]) / 120)
    # Ten pairs of one task are too few to be ranked.
    assert high.pairs == 30
    assert high.spearman == pytest.approx(spearmanr(one[70:], gold_one[70:]).statistic)


def test_tasks_on_different_scales_do_not_make_up_a_score_in_a_bin():
    draw = np.random.default_rng(0)
    tasks = [toy_task((draw.random(500) + base).tolist(), f"task {base}") for base in (0, 4)]
    cosines = {
        task.name: (draw.random(500) / 10 + place / 2).astype(np.float32)
        for place, task in enumerate(tasks)
    }
    (only,) = score_by(tasks, cosines, {task.name: np.ones(500) for task in tasks})
    assert abs(only.spearman) < 0.1


def test_the_worst_error_is_the_planted_one():
    gold = [5 * number / 39 for number in range(40)]
    cosines = np.array(gold, dtype=np.float32) / 5
    cosines[30] = -1  # the raters' 31st of 40, the model's lowest
    task = toy_task(gold, sizes=[25, 15])
    worst, *others = worst_errors(task, cosines, count=3)
    assert (worst.task, worst.subset, worst.pair) == ("toy", "b", 6)
    assert (worst.gold_rank, worst.cosine_rank) == (30.5 / 40, 0.5 / 40)
    assert pair_text(task, worst.subset, worst.pair) == ("left 30", "right 30")
    assert all(abs(other.cosine_rank - other.gold_rank) <= 1 / 40 + 1e-12 for other in others)
    mild = worst_errors(toy_task([1, 2, 3], "mild"), np.array([1, 3, 2], np.float32), count=2)
    assert worst_of_all({"mild": mild, "toy": [worst]}, count=2) == [worst, mild[0]]


def test_rank_shares_put_equals_in_the_middle_of_their_places():
    assert rank_shares([7, 3, 3, 9]).tolist() == [0.625, 0.25, 0.25, 0.875]


def test_uniformity_equals_the_double_loop(monkeypatch):
    monkeypatch.setattr("simgpt.evaluate.geometry._BLOCK", 7)  # several blocks, the last one torn
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    potentials = [
        np.exp(-2 * np.sum((unit[i] - unit[j]) ** 2)) for i in range(30) for j in range(i)
    ]
    assert uniformity(vectors) == pytest.approx(np.log(np.mean(potentials)), rel=1e-6)
    assert uniformity(np.array([[1, 0], [-2, 0]], np.float32)) == pytest.approx(-8)
    with pytest.raises(SimgptError, match="two sentences or more, not 1"):
        uniformity(vectors[:1])


def test_alignment_is_the_mean_squared_distance_of_pairs_above_four():
    draw = np.random.default_rng(0)
    texts = [("a", "b"), ("a", "c"), ("c", "d")]
    task = toy_task([4.2, 4.0, 5.0], texts=texts)
    vectors = {name: draw.normal(size=4).astype(np.float32) for name in "abcd"}
    found = geometry(task, task_cosines(task, vectors), vectors)
    unit = {name: vector / np.linalg.norm(vector) for name, vector in vectors.items()}
    distances = [np.sum((unit[x] - unit[y]) ** 2) for x, y in ("ab", "cd")]
    assert found.alignment == pytest.approx(np.mean(distances), rel=1e-5)
    assert (found.aligned_pairs, found.sentences) == (2, 4)
    assert found.uniformity == pytest.approx(uniformity(np.stack(list(vectors.values()))))
    none = geometry(toy_task([1, 2, 4], texts=texts), task_cosines(task, vectors), None)
    assert (none.alignment, none.uniformity) == (None, None)


def test_a_perfectly_calibrated_model_has_no_calibration_error():
    gold = np.linspace(0, 1, 101)
    assert calibrate(gold, gold).error == pytest.approx(0, abs=1e-12)
    shifted = calibrate(gold + 0.25, gold)
    assert shifted.error == pytest.approx(0.25)
    assert [row.pairs for row in shifted.bins] == [11, *[10] * 9]
    assert shifted.bins[0].gold == pytest.approx(np.mean(gold[:11]))


def test_the_error_of_two_bins_by_hand():
    found = calibrate([0.1, 0.3, 0.8], [0.0, 0.2, 1.0], bins=2)
    assert found.error == pytest.approx((2 * 0.1 + 1 * 0.2) / 3)


def test_isotonic_regression_equals_scikit_learns():
    from sklearn.isotonic import IsotonicRegression

    gold, cosines = noisy(300, 3, noise=2)
    cosines = np.round(cosines, 1)  # ties
    new = np.linspace(-2, 3, 200)
    expected = IsotonicRegression(out_of_bounds="clip").fit(cosines.astype(float), gold)
    assert fit_isotonic(cosines, gold)(new) == pytest.approx(expected.predict(new), abs=1e-6)


def test_sicks_scale_begins_at_one():
    assert unit_gold(toy_task([1, 5, 3], "sickr")).tolist() == [0, 1, 0.5]
    assert unit_gold(toy_task([1, 5, 0], "stsb")).tolist() == [0.2, 1, 0]


def test_the_regression_repairs_what_the_development_pairs_show_and_sees_no_other():
    gold, _ = noisy(400, 4)
    squared = (np.array(gold) / 5).astype(np.float32) ** 2  # order right, values wrong
    test, development = toy_task(gold, "test"), toy_task(gold, "toy_dev")
    cosines = {"test": squared, "toy_dev": squared}
    found = recalibrate([test], [development], cosines)["test"]
    assert found.plain.error > 0.1
    assert found.fitted.error == pytest.approx(0, abs=1e-6)


def test_without_benchmarks_no_pair_is_tested_by_a_regression_that_saw_it():
    gold, _ = noisy(400, 4)
    task = toy_task(gold, "toy_dev")
    noise = np.random.default_rng(0).random(400).astype(np.float32)  # nothing to be learned
    seen = fit_isotonic(noise, unit_gold(task))(noise)
    assert calibrate(seen, unit_gold(task)).error == pytest.approx(0, abs=1e-6)
    halves = recalibrate([task], [task], {"toy_dev": noise})
    assert halves["toy_dev"].fitted.error > 0.02
    assert halves["overall"] == halves["toy_dev"]


def test_a_model_agrees_with_itself_on_everything():
    gold, cosines = noisy(80)
    found = agreement(toy_task(gold), cosines, np.exp(3 * cosines), count=2)
    assert found.spearman == pytest.approx(1)
    assert found.kendall == pytest.approx(1)
    assert found.ordered_alike == pytest.approx(1)
    assert (found.first_closer, found.second_closer) == (0, 0)


def test_agreement_counts_what_a_plain_loop_counts():
    gold, first = noisy(60, 5)
    _, second = noisy(60, 6)
    first, second = np.round(first, 1), np.round(second, 1)  # ties
    found = agreement(toy_task(gold), first, second, count=1)
    alike = opposite = 0
    for i in range(60):
        for j in range(i):
            product = (first[i] - first[j]) * (second[i] - second[j])
            alike, opposite = alike + (product > 0), opposite + (product < 0)
    assert found.ordered_alike == pytest.approx(alike / (alike + opposite))
    assert found.kendall == pytest.approx(kendalltau(first, second).statistic)
    far = [np.abs(rank_shares(one) - rank_shares(gold)) for one in (first, second)]
    assert found.first_closer == np.sum(far[0] < far[1] - 1e-9)
    assert found.second_closer == np.sum(far[1] < far[0] - 1e-9)
    (move,) = found.moves
    assert abs(move.second_rank - move.first_rank) == pytest.approx(
        np.max(np.abs(rank_shares(first) - rank_shares(second)))
    )


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(uncertainty.bootstrap_spearman.__kwdefaults__, "resamples", 50)
        patch.setattr("simgpt.evaluate.slices.RESAMPLES", 200)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with an encoder of random weights."""
    return str(tiny_bert(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def kept(model, tmp_path_factory):
    """Its result on the development pairs, with the cosines beside it."""
    path = tmp_path_factory.mktemp("results") / "tiny.json"
    evaluate_model(model, benchmarks="bundled", output=path)
    return path


@pytest.fixture(scope="module")
def diagnosed(model, kept):
    return diagnose_model(model, against=str(kept), benchmarks="bundled", errors=3)


def texts_in(content):
    if isinstance(content, dict):
        return [t for k, v in content.items() for t in (*texts_in(k), *texts_in(v))]
    if isinstance(content, list | tuple):
        return [text for value in content for text in texts_in(value)]
    return [content] if isinstance(content, str) else []


def test_a_diagnosis_is_plain_data_without_a_sentence(diagnosed):
    assert json.loads(json.dumps(diagnosed)) is not None
    task = bundled_dev_task()
    assert not set(texts_in(diagnosed)) & {*task.left, *task.right}
    assert set(diagnosed["signatures"]) == {"bundled_dev"}
    assert len(diagnosed["subsets"]["bundled_dev"]) == len(task.subsets)
    assert sum(row["pairs"] for row in diagnosed["length"]["bins"]) == 800
    assert len(diagnosed["errors"]["overall"]) == 3
    assert diagnosed["agreement"]["mean"] == pytest.approx(
        {"spearman": 1, "kendall": 1, "ordered_alike": 1}
    )
    assert diagnosed["calibration"]["by_halves"]


def test_a_diagnosis_of_a_result_leaves_out_what_needs_vectors_and_says_so(model, kept, diagnosed):
    of_result = diagnose_model(str(kept), benchmarks="bundled")
    held, full = (one["geometry"]["tasks"]["bundled_dev"] for one in (of_result, diagnosed))
    assert held == full | {"uniformity": None}
    assert "no vectors" in of_result["geometry"]["note"]
    assert diagnosed["geometry"]["note"] is None
    task = bundled_dev_task()
    unique = dict.fromkeys([*task.left, *task.right])
    vectors = encode(load_encoder(model), unique)
    assert full["uniformity"] == pytest.approx(uniformity(np.stack(list(vectors.values()))))
    for part in ("subsets", "length", "overlap", "calibration"):
        assert of_result[part] == diagnosed[part]
    assert of_result["agreement"] is None


def test_the_seven_are_calibrated_on_development_pairs_and_stsb_stands_for_all(
    toy_senteval, monkeypatch
):
    def random_cosines(name, tasks, **settings):
        draw = np.random.default_rng(0)
        cosines = {task.name: draw.random(task.pairs).astype(np.float32) for task in tasks}
        return Scored({"name": name, "precision": "fp32"}, cosines), None

    monkeypatch.setattr("simgpt.evaluate.diagnostics.score_with_vectors", random_cosines)
    found = diagnose_model("random", benchmarks=str(toy_senteval))
    assert found["calibration"]["fitted_on"] == ["bundled_dev", "stsb_dev", "sickr_dev"]
    assert not found["calibration"]["by_halves"]
    assert found["geometry"]["stands_for_all"] == "stsb"
    assert len(found["calibration"]["tasks"]) == len(found["subsets"]) == 7
    assert len(found["subsets"]["sts14"]) == 6


def test_the_command_shows_texts_and_writes_data_and_figures(model, kept, tmp_path):
    output = tmp_path / "diagnosis"
    words = ["evaluate", "diagnose", model, "--against", kept, "--benchmarks", "bundled"]
    done = CliRunner().invoke(app, [*map(str, words), "--errors", "2", "--output", str(output)])
    assert done.exit_code == 0, done.output
    content = json.loads((output / "diagnostics.json").read_text())
    figures = {f"{name}-{mode}.svg" for name in content["figures"] for mode in ("light", "dark")}
    assert {path.name for path in output.iterdir()} == {"diagnostics.json", *figures}
    task = bundled_dev_task()
    (first, second) = content["errors"]["overall"]
    for error in (first, second):
        texts = pair_text(task, error["subset"], error["pair"])
        assert all(text in done.output for text in texts)
    assert not set(texts_in(content)) & {*task.left, *task.right}
    assert "ordered alike" in done.output


def test_the_command_refuses_a_file_for_its_folder(model):
    words = ["evaluate", "diagnose", model, "--benchmarks", "bundled", "--output", "some.json"]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, SimgptError)
    assert "it must be a folder" in str(done.exception)
