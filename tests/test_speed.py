"""Engines measured side by side: who holds the scores, who cannot run, and why."""

import pytest

from simgpt import speed
from simgpt.errors import SimgptError
from simgpt.speed import Engine, measure_speed
from tests.tiny import tiny_bert


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("tiny") / "bert"))


def test_every_engine_is_timed_on_the_same_pairs_and_held_against_the_first(bert):
    pytest.importorskip("onnxruntime")
    found = measure_speed(bert, benchmarks="bundled", engines=(Engine.FP32, Engine.ONNX))
    plain, graph = found["encoders"][Engine.FP32], found["encoders"][Engine.ONNX]
    assert found["sentences"] > 1500
    assert found["skipped"] == {}
    for one in (plain, graph):
        assert one["pairs_per_s"] == one["sentences_per_s"] / 2 > 0
        assert one["cosines_per_s"] > one["pairs_per_s"]
        assert one["peak_mib"] > 100
        assert one["holds"]
    assert plain["largest_change"] == 0
    assert graph["largest_change"] < 0.01


def test_scores_that_change_by_more_than_a_tenth_do_not_hold(bert, monkeypatch):
    one = {"spearman": {"a": 0.8, "b": 0.7}}, {"spearman": {"a": 0.8, "b": 0.7011}}
    answers = iter(dict(answer) for answer in one)
    monkeypatch.setattr(speed, "_in_process", lambda *_: next(answers))
    monkeypatch.setattr(speed, "_obstacle", lambda _: None)
    found = measure_speed(bert, benchmarks="bundled", engines=(Engine.FP32, Engine.BF16))
    half = found["encoders"][Engine.BF16]
    assert half["largest_change"] == pytest.approx(0.11)
    assert not half["holds"]


def test_an_engine_that_cannot_run_is_left_out_with_its_reason(bert, monkeypatch):
    monkeypatch.setattr(speed, "_good_at_bf16", lambda: False)
    monkeypatch.setattr("simgpt.train.export.importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(speed, "_in_process", lambda *_: {"spearman": {"a": 0.8}})
    found = measure_speed(bert, benchmarks="bundled")
    assert list(found["encoders"]) == [Engine.FP32]
    assert "no faster than fp32" in found["skipped"][Engine.BF16]
    assert 'pip install ".[onnx]"' in found["skipped"][Engine.INT8]


def test_a_model_that_is_not_there_is_named_before_anything_is_measured(tmp_path):
    with pytest.raises(SimgptError, match="gone: no such model folder"):
        measure_speed(str(tmp_path / "gone"), benchmarks="bundled")
