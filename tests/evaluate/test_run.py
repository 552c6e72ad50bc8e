"""Results that are kept: nothing is scored twice, and no two models are mixed."""

import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
from typer.testing import CliRunner

from simgpt.cli import app
from simgpt.config import Aggregation, Pooling, ScoringPrecision
from simgpt.errors import SimgptError
from simgpt.evaluate import evaluate_model, evaluate_models, run, scored
from simgpt.evaluate.benchmarks import bundled_dev_task
from simgpt.evaluate.scored import cosines_file, cosines_sha256, read_cosines, score_model
from tests.tiny import tiny_bert, tiny_roberta


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [str(tiny_bert(folder / "bert")), str(tiny_roberta(folder / "roberta"))]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    from simgpt.evaluate import uncertainty

    defaults = uncertainty.bootstrap_spearman.__kwdefaults__
    monkeypatch.setitem(defaults, "resamples", 50)


@pytest.fixture
def encoded(monkeypatch):
    """The models that are encoded, in order."""
    names, load = [], scored.load_scorer

    def watched(name, **settings):
        names.append(name.rpartition("/")[2])
        return load(name, **settings)

    monkeypatch.setattr(scored, "load_scorer", watched)
    return names


def test_a_finished_model_is_not_scored_again(models, tmp_path, encoded):
    first = evaluate_models(models, tmp_path / "out", benchmarks="bundled")
    again = evaluate_models(models, tmp_path / "out", benchmarks="bundled")
    assert encoded == ["bert", "roberta"]
    assert again == json.loads(json.dumps(first))
    assert first["bert"]["development"] != first["roberta"]["development"]


def test_after_a_kill_between_encoding_and_scores_nothing_is_encoded_again(
    models, tmp_path, encoded, monkeypatch
):
    output = tmp_path / "bert.json"
    whole = evaluate_model(models[0], benchmarks="bundled", output=tmp_path / "whole.json")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            evaluate_model(models[0], benchmarks="bundled", output=output)
    assert not output.exists()
    found = evaluate_model(models[0], benchmarks="bundled", output=output)
    assert len(encoded) == 2
    assert found["development"].keys() == whole["development"].keys()
    assert found["cosines_sha256"] == whole["cosines_sha256"]


def _evaluate_and_die(models, folder, step):
    """Die right after the `step`-th file is in place."""
    from simgpt.evaluate import scored as scored_module

    written = 0

    def counted(write):
        def wrapper(*words):
            nonlocal written
            write(*words)
            written += 1
            if written == step:
                os.kill(os.getpid(), signal.SIGKILL)

        return wrapper

    run.write_cosines = counted(scored_module.write_cosines)
    run.write_json = counted(run.write_json)
    evaluate_models(models, folder, benchmarks="bundled")


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_killed_after_any_file_the_same_command_ends_in_the_same_results(models, tmp_path, step):
    child = multiprocessing.get_context("forkserver").Process(
        target=_evaluate_and_die, args=(models, tmp_path / "out", step)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    found = evaluate_models(models, tmp_path / "out", benchmarks="bundled")
    for name, model in zip(("bert", "roberta"), models, strict=True):
        fresh = score_model(model, [bundled_dev_task()])
        assert found[name]["cosines_sha256"] == cosines_sha256(fresh.cosines)
        assert found[name]["model"]["weights_sha256"] == fresh.model["weights_sha256"]


def test_other_weights_under_the_same_name_are_scored_anew(models, tmp_path, encoded):
    output = tmp_path / "one.json"
    first = evaluate_model(models[0], benchmarks="bundled", output=output)
    second = evaluate_model(models[1], benchmarks="bundled", output=output)
    assert encoded == ["bert", "roberta"]
    assert first["cosines_sha256"] != second["cosines_sha256"]
    assert score_model(str(output), [bundled_dev_task()]).model == second["model"]


@pytest.mark.parametrize(
    "settings",
    [{"pooling": Pooling.CLS_BEFORE_POOLER}, {"precision": ScoringPrecision.BF16}],
)
def test_another_pooling_or_precision_is_another_model(models, tmp_path, encoded, settings):
    output = tmp_path / "one.json"
    first = evaluate_model(models[0], benchmarks="bundled", output=output)
    second = evaluate_model(models[0], benchmarks="bundled", output=output, **settings)
    assert len(encoded) == 2
    assert first["cosines_sha256"] != second["cosines_sha256"]


def test_another_aggregation_needs_no_encoding_and_is_in_the_signature(models, tmp_path, encoded):
    output = tmp_path / "one.json"
    first = evaluate_model(models[0], benchmarks="bundled", output=output)
    second = evaluate_model(
        models[0], benchmarks="bundled", output=output, aggregation=Aggregation.MEAN
    )
    assert len(encoded) == 1
    score = second["development"]["bundled_dev"]
    assert score["spearman"] == first["development"]["bundled_dev"]["aggregations"]["mean"]
    assert score["spearman"] == pytest.approx(np.mean(list(score["subsets"].values())))
    assert "|agg:mean|" in score["signature"]
    assert score["interval"]["low"] < score["spearman"] < score["interval"]["high"]


def test_half_precision_is_in_the_signature(models):
    found = evaluate_model(models[0], benchmarks="bundled", precision=ScoringPrecision.BF16)
    assert "|sim:cos|bf16|" in found["development"]["bundled_dev"]["signature"]


def test_a_result_stands_in_for_its_model(models, tmp_path, encoded):
    output = tmp_path / "one.json"
    evaluate_model(models[0], benchmarks="bundled", output=output)
    task = bundled_dev_task()
    held, fresh = score_model(str(output), [task]), score_model(models[0], [task])
    assert encoded == ["bert", "bert"]
    assert (held.cosines[task.name] == fresh.cosines[task.name]).all()
    assert held.model == fresh.model


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"one\.safetensors: no such file"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-5]),
            r"one\.safetensors: not a sound file of cosines",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0"),
            r"one\.safetensors: these are not the cosines of one\.json",
        ),
        (
            lambda path: path.write_bytes(
                path.read_bytes().replace(b"|pairs:800|", b"|pairs:801|")
            ),
            r"one\.safetensors: its bundled_dev is .*pairs:801.*, and the one at hand is ",
        ),
    ],
)
def test_cosines_that_are_gone_torn_or_of_something_else_are_refused(
    models, tmp_path, damage, message
):
    output = tmp_path / "one.json"
    evaluate_model(models[0], benchmarks="bundled", output=output)
    damage(cosines_file(output))
    with pytest.raises(SimgptError, match=message):
        score_model(str(output), [bundled_dev_task()])


def test_a_result_without_cosines_is_told_so(tmp_path):
    path = tmp_path / "old.json"
    path.write_text("{}")
    with pytest.raises(SimgptError, match="no result with cosines; write one with simgpt evaluate"):
        score_model(str(path), [bundled_dev_task()])


def test_cosines_of_an_earlier_version_of_the_package_still_serve(models, tmp_path, monkeypatch):
    output = tmp_path / "one.json"
    evaluate_model(models[0], benchmarks="bundled", output=output)
    monkeypatch.setattr("simgpt.evaluate.scores.__version__", "9.9.9")
    assert read_cosines(output, [bundled_dev_task()]).cosines


def test_two_models_of_one_name_are_refused_before_any_is_scored(models, tmp_path, encoded):
    other = tmp_path / "elsewhere" / "bert"
    other.parent.mkdir()
    other.symlink_to(models[0])
    with pytest.raises(SimgptError, match=r"would both be written to .*bert\.json"):
        evaluate_models([models[0], str(other)], tmp_path / "out", benchmarks="bundled")
    assert encoded == []


def test_several_models_want_a_folder(models, tmp_path):
    words = ["evaluate", *models, "--benchmarks", "bundled"]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, SimgptError)
    assert "several models need --output FOLDER" in str(done.exception)
    done = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "bert.json",
        "bert.safetensors",
        "roberta.json",
        "roberta.safetensors",
    }
