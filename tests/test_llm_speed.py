"""How fast a language model answers: against a server on this machine, and the real local model."""

import json

import pytest

from simgpt import llm_speed
from simgpt.annotate import Api
from simgpt.llm_speed import local_llm, measure_llm
from tests.annotate.support import live
from tests.openai_server import OpenAIServer


@pytest.mark.parametrize("api", list(Api))
def test_pairs_and_sentences_are_timed_and_their_tokens_counted(monkeypatch, api):
    with OpenAIServer() as server:
        teacher = live(server.url, monkeypatch)
        found = measure_llm(teacher, pairs=30, sentences=12, api=api)
        asked = server.stats()["outcomes"]["ok"]
    scoring, annotating = found["scoring"], found["annotating"]
    assert (scoring["pairs"], annotating["sentences"]) == (30, 12)
    assert scoring["pairs_per_s"] > 0
    assert scoring["pairs_per_s"] == pytest.approx(30 / scoring["seconds"], rel=0.1)
    # The server counts a token for each four bytes; the prompt has 1,150 and a pair about 80.
    assert 280 < scoring["prompt_tokens"] < 350
    assert 0 < scoring["completion_tokens"] <= 8
    assert annotating["prompt_tokens"] > scoring["prompt_tokens"]
    assert scoring["parsed"] == 1
    assert -1 <= scoring["spearman"] <= 1
    assert annotating["parsed"] == 1
    assert found["environment"]["machine"]["cores"] >= 1
    assert found["load"] >= 0
    assert asked >= 30 + 8 + 12 + 8


def test_the_same_pairs_are_drawn_each_time(monkeypatch):
    with OpenAIServer() as server:
        teacher = live(server.url, monkeypatch)
        first = measure_llm(teacher, pairs=20, sentences=5)
        again = measure_llm(teacher, pairs=20, sentences=5)
    assert first["scoring"]["spearman"] == again["scoring"]["spearman"]
    assert first["scoring"]["prompt_tokens"] == again["scoring"]["prompt_tokens"]


def test_tokens_that_the_server_does_not_count_are_not_known(monkeypatch):
    with OpenAIServer(usage=False) as server:
        found = measure_llm(live(server.url, monkeypatch), pairs=10, sentences=5)
    assert found["scoring"]["prompt_tokens"] is None
    assert found["scoring"]["completion_tokens"] is None


def test_a_model_that_is_not_installed_is_skipped_with_the_command_that_installs_it(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(llm_speed, "installed", lambda: False)
    assert "`make local-llm`" in local_llm(tmp_path / "llm.json")["skipped"]
    assert not (tmp_path / "llm.json").exists()


def test_what_was_measured_is_kept_and_not_measured_again(monkeypatch, tmp_path):
    measured = {"model": "m", "scoring": {}, "annotating": {}}
    monkeypatch.setattr(llm_speed, "installed", lambda: True)
    monkeypatch.setattr(llm_speed, "measure_local_llm", lambda **sizes: measured)
    path = tmp_path / "llm.json"
    assert local_llm(path) == measured
    monkeypatch.setattr(llm_speed, "measure_local_llm", None)
    assert local_llm(path) == measured == json.loads(path.read_text())
