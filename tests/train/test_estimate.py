"""What a run is said to take, against counts of real weights and the published runs' steps."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModel, BertConfig, DistilBertConfig, RobertaConfig

from simgpt.config import Precision, RunConfig, Selector
from simgpt.errors import SimgptError
from simgpt.train.devices import published_device, this_machine
from simgpt.train.estimate import Estimate, Shape, advice, describe, estimate_run

BASE = Shape.of(RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1))
T4 = published_device("T4", Precision.FP16)
DATA = {"triplets": 371_000, "tokens_per_sentence": 14.5, "shape": BASE, "device": T4}
TINY = {
    "vocab_size": 90,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
}


def config(**settings):
    return RunConfig(**{"batch_size": 512, "epochs": 5, "precision": Precision.FP16} | settings)


@pytest.mark.parametrize("kind", [BertConfig, RobertaConfig])
@pytest.mark.parametrize("types", [1, 2])
def test_weights_counted_by_formula_are_those_of_the_model(kind, types):
    described = kind(**TINY, type_vocab_size=types)
    model = AutoModel.from_config(described)
    shape = Shape.of(described)
    assert shape.parameters == sum(weights.numel() for weights in model.parameters())
    assert shape.matrices == sum(
        weights.numel()
        for name, weights in model.encoder.named_parameters()
        if weights.dim() == 2 and name.endswith("weight")
    )
    assert (shape.layers, shape.hidden, shape.intermediate, shape.vocabulary) == (3, 24, 40, 90)


def test_a_backbone_of_another_kind_is_refused_with_a_reason():
    with pytest.raises(SimgptError, match="intermediate_size.*BERT"):
        Shape.of(DistilBertConfig())


@pytest.mark.parametrize(
    ("triplets", "batch", "epochs", "most", "steps"),
    [(100, 10, 1, 0, 10), (101, 10, 1, 0, 11), (101, 10, 3, 0, 33), (101, 10, 3, 25, 9)],
)
def test_the_last_batch_of_an_epoch_may_be_smaller(triplets, batch, epochs, most, steps):
    cfg = config(batch_size=batch, epochs=epochs, max_triplets=most)
    assert estimate_run(cfg, **DATA | {"triplets": triplets}).steps == steps


@pytest.mark.parametrize(
    ("profile", "steps"),
    [
        ("paper-simcse-base", 3625),
        ("paper-simcse-large", 3625),
        ("paper-promcse-base", 7250),
        ("paper-promcse-large", 7250),
    ],
)
def test_the_published_runs_take_the_published_steps(profile, steps):
    cfg = RunConfig.from_params({"profile": profile})
    assert estimate_run(cfg, **DATA, processes=4).steps == steps


def test_a_frozen_backbone_takes_less_time_and_memory():
    trained, frozen = (estimate_run(config(prefix_tokens=p), **DATA) for p in (0, 10))
    assert frozen.memory_gib < trained.memory_gib
    assert 0.6 < frozen.seconds[0] / trained.seconds[0] < 0.72  # two passes' worth of three


def test_recomputation_takes_less_memory_and_more_time():
    whole, small, smaller = (estimate_run(config(mini_batch_size=m), **DATA) for m in (0, 128, 32))
    assert smaller.memory_gib < small.memory_gib < whole.memory_gib
    # Four passes' worth instead of three, but for scoring, which is not repeated.
    assert 1.3 < small.seconds[0] / whole.seconds[0] < 4 / 3


def test_masked_words_take_twice_the_time_and_more_memory():
    plain, masked = (estimate_run(config(mlm_weight=w, mlm_rate=0.1), **DATA) for w in (0, 0.05))
    assert 2 < masked.seconds[0] / plain.seconds[0] < 2.3
    assert masked.memory_gib > plain.memory_gib + 16 * BASE.vocabulary * BASE.hidden / 2**30


def test_two_processes_halve_the_time_and_share_the_batch():
    one, two = (estimate_run(config(), **DATA, processes=p) for p in (1, 2))
    assert two.seconds[0] == pytest.approx(one.seconds[0] / 2, rel=0.03)  # one of them scores
    assert two.steps == one.steps
    assert two.memory_gib < one.memory_gib


def test_scoring_more_often_takes_longer():
    seldom, often = (
        estimate_run(config(eval_steps=e, selector=Selector.STSB_DEV), **DATA).seconds
        for e in (125, 5)
    )
    assert often[0] > seldom[0] and often[1] > seldom[1]


def test_time_is_what_a_sum_by_hand_gives():
    # 371,000 triplets, 5 times, 3 sentences of 10 tokens, none padded (cut at 10): six operations
    # for each of 12 x 12 x 768^2 weights, and 4 x 12 x 768 x 10 a token for attention, three times.
    cfg = config(max_tokens=10, eval_steps=10**6)
    tokens = 371_000 * 5 * 3 * 10
    training = tokens * (6 * 12 * 12 * 768**2 + 3 * 4 * 12 * 768 * 10) / 65e12
    scoring = 1600 * 10 * (2 * 12 * 12 * 768**2 + 4 * 12 * 768 * 10) / 8.1e12
    low, high = estimate_run(cfg, **DATA | {"tokens_per_sentence": 10}).seconds
    assert low == pytest.approx((training + scoring) / 0.4)
    assert high == pytest.approx((training + scoring) / 0.2)


def test_an_estimate_reads_as_one_line():
    estimate = Estimate("T4", 3625, (4777, 9555), 9.84, True, 15.0)
    shown = describe(estimate)
    assert shown == ("T4: 3,625 steps, about 80 min to 2 h 40 min, 9.8 GiB of 15 (estimate)")
    assert describe(replace(estimate, fits=False)).endswith("of 15, which does not fit (estimate)")
    assert describe(replace(estimate, fits=None, device_gib=None)).endswith("9.8 GiB (estimate)")
    assert "1 step, about 1 s, " in describe(replace(estimate, steps=1, seconds=(0.2, 1.2)))
    assert "about 13 h 00 min to 26 h 00 min" in describe(replace(estimate, seconds=(46e3, 95e3)))


def test_the_advice_fits_and_twice_as_much_would_not():
    cfg = config(mlm_weight=0.05)
    assert estimate_run(cfg, **DATA).fits is False
    text = advice(cfg, **DATA)
    size = int(text.partition("mini_batch_size=")[2].partition(":")[0])
    assert size & (size - 1) == 0
    assert estimate_run(replace(cfg, mini_batch_size=size), **DATA).fits
    assert not estimate_run(replace(cfg, mini_batch_size=2 * size), **DATA).fits


def test_no_advice_where_it_fits_or_nobody_knows_and_none_helps_a_tiny_device():
    assert advice(config(batch_size=32), **DATA) is None
    unknown = replace(T4, memory_gib=None)
    assert estimate_run(config(), **DATA | {"device": unknown}).fits is None
    assert advice(config(), **DATA | {"device": unknown}) is None
    tiny = replace(T4, memory_gib=1.0)
    assert "too small" in advice(config(), **DATA | {"device": tiny})


def test_an_unknown_device_is_refused_with_the_known_ones():
    with pytest.raises(SimgptError, match="T4, L4, A100-40"):
        published_device("Z80", Precision.FP16)


def test_without_a_gpu_this_machine_is_measured(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    device = this_machine(Precision.AUTO)
    assert device.tflops == device.fp32_tflops > 0
    assert device.number_bytes == 4


def test_a_gpu_is_known_by_its_name_and_its_own_memory(monkeypatch):
    class Properties:
        total_memory = 80 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA A100-SXM4-80GB")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    device = this_machine(Precision.AUTO)
    assert (device.name, device.tflops, device.memory_gib) == ("NVIDIA A100-SXM4-80GB", 312.0, 80.0)
    assert this_machine(Precision.FP32).tflops == 19.5
