"""What annotating once saves: by hand on round numbers, and on what is really asked."""

import json
import tomllib
from datetime import date

import pytest
from typer.testing import CliRunner

from simgpt import SimgptError
from simgpt.annotate import load_prices, load_prompt
from simgpt.annotate.estimate import annotation_tokens
from simgpt.annotate.requests import Sampling, Setup
from simgpt.annotate.scoring import load_scoring_prompt
from simgpt.cli import app
from simgpt.report import headline
from simgpt.savings import (
    MACHINE,
    MODELS,
    break_even_pairs,
    break_even_sentences,
    load_machine,
    reckon,
    training_of,
)
from simgpt.triplets import BUNDLED_TRIPLETS, load_dev_pairs, read_triplets

FAST = {"pairs_per_s": 1000.0, "sentences_per_s": 2000.0, "cosines_per_s": 1e7}
SLOW = {
    "pairs_per_s": 100.0,
    "sentences_per_s": 200.0,
    "cosines_per_s": 1e6,
    "peak_mib": 900.0,
    "largest_change": 0.0,
    "holds": True,
}
TRAINING = {"seconds": 360.0, "triplets": 1000}
LLM = {
    "model": "small",
    "scoring": {"pairs": 20, "pairs_per_s": 2.0, "parsed": 0.5, "spearman": None},
    "annotating": {"sentences": 10, "sentences_per_s": 0.5, "parsed": 1.0},
}
COUNT = sum(1 for _ in read_triplets(BUNDLED_TRIPLETS))


@pytest.fixture
def by_bytes(monkeypatch):
    """Tokens from bytes, whatever tokenisers this machine has: 4.4 bytes are one."""
    monkeypatch.setattr("simgpt.annotate.estimate.count_tokens", lambda text, model: None)


@pytest.fixture
def savings(by_bytes):
    return reckon(
        {"quick": FAST, "plain": SLOW}, machine=load_machine(3.6), training=TRAINING, llm=LLM
    )


def test_pairs_to_break_even_are_the_one_off_cost_over_what_a_pair_saves():
    assert break_even_pairs(one_off=10, llm=0.75, encoder=0.25) == 20
    assert break_even_pairs(one_off=0, llm=0.75, encoder=0.25) == 0


@pytest.mark.parametrize("encoder", [0.5, 0.75])
def test_an_encoder_that_is_not_cheaper_by_the_pair_never_breaks_even(encoder):
    assert break_even_pairs(one_off=10, llm=0.5, encoder=encoder) is None
    assert break_even_sentences(one_off=10, llm=0.5, sentence=0, cosine=encoder) is None


def test_free_vectors_break_even_where_the_pairs_of_all_sentences_cost_the_one_off():
    # 5 sentences make 10 pairs.
    assert break_even_sentences(one_off=10, llm=1, sentence=0, cosine=0) == pytest.approx(5)


def test_at_the_break_even_in_sentences_both_ways_cost_the_same():
    n = break_even_sentences(one_off=100, llm=3, sentence=2, cosine=0.5)
    assert 100 + 2 * n + n * (n - 1) / 2 * 0.5 == pytest.approx(n * (n - 1) / 2 * 3)
    # By hand: 1.25 n^2 - 3.25 n - 100 = 0.
    assert n == pytest.approx((3.25 + (3.25**2 + 500) ** 0.5) / 2.5)


def test_the_machine_price_is_dated_and_says_where_it_comes_from():
    content = tomllib.loads(MACHINE.read_text())
    assert isinstance(content["as_of"], date)
    machine = load_machine()
    assert str(content["as_of"]) in machine.source
    assert 0.01 < machine.usd_per_hour < 1
    assert machine.usd(7200) == 2 * machine.usd_per_hour


@pytest.mark.parametrize("price", [-1, float("inf"), float("nan")])
def test_an_impossible_machine_price_is_refused(price):
    with pytest.raises(SimgptError, match="--machine-usd-per-hour is"):
        load_machine(price)


def test_every_model_has_a_known_dated_price(savings):
    known = load_prices()
    for model in MODELS:
        row = savings["llm_priced"][model]
        assert row["usd_per_million_tokens"] == {
            "input": known[model].input,
            "output": known[model].output,
        }
        assert row["source"] == known[model].source
        assert row["source"][-10:].count("-") == 2


def test_tokens_of_a_pair_are_those_of_the_requests_that_would_be_sent(savings):
    setup = Setup("e", "m", load_scoring_prompt(), Sampling(max_tokens=8))
    pairs = load_dev_pairs().to_list()
    sent = [setup.request((pair["sentence1"], pair["sentence2"])).text for pair in pairs]
    tokens = sum(len(text.encode()) for text in sent) / len(sent) / 4.4
    for row in savings["llm_priced"].values():
        counted = row["pair_tokens"]["input"]
        assert counted["middle"] == pytest.approx(tokens, rel=1e-6)
        assert 0 < counted["low"] < counted["middle"] < counted["high"]
        assert 0 < row["shared_tokens"] < counted["middle"]
        assert "estimated from bytes" in row["basis"]


def test_tokens_are_counted_where_there_is_a_tokeniser(monkeypatch):
    monkeypatch.setattr("simgpt.annotate.estimate.count_tokens", lambda text, model: 1000)
    found = reckon({"plain": SLOW}, machine=load_machine(1))["llm_priced"]["gpt-4"]
    assert "counted with tiktoken" in found["basis"]
    assert 1006 < found["pair_tokens"]["input"]["middle"] < 1060
    assert found["shared_tokens"] == 1006


def test_an_annotations_tokens_are_the_mean_of_the_three_prompts(by_bytes):
    kinds = ("captions", "questions", "multi_genre")
    inputs, outputs, _ = annotation_tokens([Setup("e", "m", load_prompt(k)) for k in kinds])
    triplets = list(read_triplets(BUNDLED_TRIPLETS))
    sentence = sum(len(triplet.sentence.encode()) for triplet in triplets) / len(triplets)
    rendered = [len(load_prompt(kind).render("x").encode()) - 1 + sentence for kind in kinds]
    assert inputs.middle == pytest.approx(sum(rendered) / 3 / 4.4, rel=1e-3)
    assert 10 < outputs.low < outputs.middle < outputs.high < 100


def test_a_million_pairs_cost_their_tokens_and_the_encoder_its_time(savings):
    row = savings["llm_priced"]["gpt-4"]
    tokens = row["pair_tokens"]
    usd = 30 * tokens["input"]["middle"] + 60 * tokens["output"]["middle"]
    assert row["usd_per_million_pairs"]["middle"] == pytest.approx(usd)
    # $3.6 an hour are $0.001 a second.
    assert savings["encoder_usd_per_million_pairs"] == pytest.approx({"quick": 1, "plain": 10})
    assert savings["local_usd_per_million_pairs"] == pytest.approx(500)


def test_the_one_off_cost_is_annotation_and_training_in_proportion(savings):
    bundled, paper = savings["one_off"]["bundled"], savings["one_off"]["paper"]
    assert (bundled["sentences"], paper["sentences"]) == (COUNT, 371_000)
    assert bundled["training_s"] == pytest.approx(0.36 * COUNT)
    assert bundled["training_usd"] == pytest.approx(0.36 * COUNT * 0.001)
    annotation = savings["llm_priced"]["gpt-4o"]["usd_per_annotation"]["middle"]
    assert bundled["usd"]["gpt-4o"]["middle"] == pytest.approx(
        COUNT * annotation + bundled["training_usd"]
    )
    # The local model takes two seconds a sentence.
    assert bundled["usd"]["local"]["middle"] == pytest.approx(COUNT * (0.002 + 0.00036))


def test_the_break_even_is_reckoned_with_the_slowest_encoder_and_has_bounds(savings):
    even = savings["break_even"]
    assert even["encoder"] == "plain"
    for name in ("bundled", "paper"):
        for model in MODELS:
            pairs, sentences = even[name][model]["pairs"], even[name][model]["sentences"]
            assert pairs["low"] < pairs["middle"] < pairs["high"]
            assert sentences["low"] < sentences["middle"] < sentences["high"]
    # In seconds: 2.36 a triplet; half a second a pair, of which the encoder takes 0.01.
    local = even["bundled"]["local"]["pairs"]["middle"]
    assert local == pytest.approx(COUNT * 2.36 / 0.49)
    assert savings["one_off"]["bundled"]["local_s"] == pytest.approx(COUNT * 2.36)


def test_the_break_even_in_time_does_not_hang_on_the_machines_price(by_bytes):
    found = reckon({"plain": SLOW}, machine=load_machine(0), training=TRAINING, llm=LLM)
    local = found["break_even"]["bundled"]["local"]["pairs"]["middle"]
    assert local == pytest.approx(COUNT * 2.36 / 0.49)
    assert found["local_usd_per_million_pairs"] == 0


def test_an_encoder_on_a_very_dear_machine_never_breaks_even(by_bytes):
    found = reckon({"plain": SLOW}, machine=load_machine(1e6), training=TRAINING)
    assert found["break_even"]["bundled"]["gpt-4.1-nano"]["pairs"]["middle"] is None
    assert found["local_usd_per_million_pairs"] is None


def test_training_that_is_not_known_is_not_counted(by_bytes):
    once = reckon({"plain": SLOW}, machine=load_machine(1))["one_off"]["bundled"]
    assert (once["training_s"], once["training_usd"]) == (None, 0)


def test_a_models_own_training_counts_before_that_of_others():
    record = {"seconds": 5.0, "triplets": {"count": 8}}
    assert training_of({"training": record}) == {"seconds": 5.0, "triplets": 8, "runs": 1}


def test_the_committed_trainings_stand_in_for_a_model_that_was_not_trained_here(repository):
    found = training_of({"name": "bundled"})
    runs = headline(repository / "book" / "results").trained
    seconds = sorted(run.content["model"]["training"]["seconds"] for run in runs)
    assert found["runs"] == len(seconds)
    assert seconds[0] <= found["seconds"] <= seconds[-1]


def run(*words):
    return CliRunner().invoke(app, ["evaluate", "speed", *map(str, words)])


@pytest.fixture
def stub(monkeypatch):
    """No encoder is measured; the local model is taken for not installed."""
    monkeypatch.setattr(
        "simgpt.speed.measure_speed",
        lambda name, **rest: {"encoders": {"plain": SLOW}, "skipped": {"other": "not there"}},
    )
    monkeypatch.setattr("simgpt.llm_speed.installed", lambda: False)


def test_the_command_joins_speeds_prices_and_break_evens(stub, tmp_path):
    output = tmp_path / "speed.json"
    done = run("bundled", "--output", output, "--machine-usd-per-hour", 3.6)
    assert done.exit_code == 0, done.output
    for words in (
        "gpt-4o-mini",
        "371,000 sentences once",
        "Not counted: labour",
        "$3.6 an hour",
        "Left out: other",
    ):
        assert words in done.output
    assert "make local-llm" in done.output
    result = json.loads(output.read_text())
    assert {
        "encoders",
        "llm_measured",
        "llm_priced",
        "machine",
        "one_off",
        "break_even",
        "environment",
        "seconds",
    } <= result.keys()
    assert "make local-llm" in result["llm_measured"]["skipped"]
    assert result["training"]["triplets"] == COUNT
    assert result["model"]["name"] == "bundled"


def test_a_kept_measurement_of_the_language_model_is_joined(stub, tmp_path):
    kept = tmp_path / "llm.json"
    kept.write_text(json.dumps(LLM))
    done = run("--llm", kept, "--output", tmp_path / "speed.json")
    assert done.exit_code == 0, done.output
    assert "small, asked about each pair" in done.output
    assert "50 % of its answers held a score" in done.output
    assert json.loads((tmp_path / "speed.json").read_text())["llm_measured"] == LLM


def test_a_file_that_is_no_measurement_of_a_language_model_is_named(stub, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    done = run("--llm", tmp_path / "other.json")
    assert isinstance(done.exception, SimgptError)
    assert "other.json: holds no measurement" in str(done.exception)
