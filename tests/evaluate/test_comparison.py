"""Scores with intervals, and two models on the same pairs, from the encoder to the command line."""

import json

import pytest
from typer.testing import CliRunner

from simgpt.cli import app
from simgpt.config import Pooling, ScoringPrecision
from simgpt.encoder import load_encoder
from simgpt.errors import SimgptError
from simgpt.evaluate import TASK_NAMES, compare_models, evaluate_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The bundled encoder, and the same with its first token's vector for the sentence's."""
    folder = tmp_path_factory.mktemp("models") / "first token"
    load_encoder("bundled", pooling=Pooling.CLS_BEFORE_POOLER).save(str(folder))
    return "bundled", str(folder)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    from simgpt.evaluate import uncertainty

    defaults = uncertainty.bootstrap_spearman.__kwdefaults__
    monkeypatch.setitem(defaults, "resamples", 200)


def test_every_score_and_the_average_come_with_an_interval(models, toy_senteval):
    result = evaluate_model(models[0], benchmarks=str(toy_senteval))
    for score in (*result["tasks"].values(), *result["development"].values()):
        held = score["interval"]
        assert held["low"] <= score["spearman"] <= held["high"]
        assert held["level"] == 0.95
    average = result["average_interval"]
    assert 100 * average["low"] < result["average"] < 100 * average["high"]
    widths = [s["interval"]["high"] - s["interval"]["low"] for s in result["tasks"].values()]
    assert average["high"] - average["low"] < min(widths)


def test_without_benchmarks_there_is_no_interval_of_an_average(models):
    result = evaluate_model(models[0], benchmarks="bundled")
    assert result["average_interval"] is None
    assert set(result["development"]["bundled_dev"]["interval"]) == {"low", "high", "level"}


def test_two_models_are_compared_task_by_task_and_corrected_for_seven_tests(models, toy_senteval):
    result = compare_models(*models, benchmarks=str(toy_senteval))
    assert list(result["tasks"]) == list(TASK_NAMES)
    first = evaluate_model(models[0], benchmarks=str(toy_senteval))
    for name, row in result["tasks"].items():
        assert row["first"] == first["tasks"][name]["spearman"]
        assert row["difference"] == pytest.approx(row["first"] - row["second"], abs=1e-9)
        assert row["p_holm"] >= row["p_randomisation"]
        assert row["interval"]["low"] < row["interval"]["high"]
    average = result["average"]
    mean = sum(row["difference"] for row in result["tasks"].values()) / 7
    assert average["difference"] == pytest.approx(mean)


def test_the_command_compares_and_writes(models, tmp_path):
    output = tmp_path / "comparison.json"
    words = ["evaluate", "compare", *models, "--benchmarks", "bundled", "--output", str(output)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    held = json.loads(output.read_text())
    assert set(held["tasks"]) == {"bundled_dev"}
    assert held["average"] is None
    assert "p (Holm)" in done.output


def test_a_model_that_is_not_there_is_named(models, tmp_path):
    with pytest.raises(SimgptError, match="gone: no such model folder"):
        compare_models(models[0], str(tmp_path / "gone"), benchmarks="bundled")


def test_models_scored_in_different_precisions_are_not_compared(models, tmp_path):
    half = tmp_path / "half.json"
    evaluate_model(models[0], benchmarks="bundled", precision=ScoringPrecision.BF16, output=half)
    with pytest.raises(SimgptError, match=r"bundled was scored in fp32 and .*half\.json in bf16"):
        compare_models("bundled", str(half), benchmarks="bundled")
