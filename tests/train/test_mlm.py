"""Hiding words and guessing them: the shares, the head, and what must not be touched."""

import pytest
import torch
from transformers import AutoModelForMaskedLM

from simgpt.config import RunConfig
from simgpt.errors import SimgptError
from simgpt.train.data import Collator
from simgpt.train.mlm import IGNORED, load_mlm_head, mask_tokens, mlm_loss_sum
from simgpt.train.run import build_model
from tests.tiny import tiny_bert, tiny_roberta

BATCH = [
    {"sentence": f"A dog runs {n}.", "similar": f"Dogs run {n}.", "dissimilar": "A cat sleeps."}
    for n in range(4)
]


def test_of_the_chosen_words_four_fifths_are_masked_and_a_tenth_is_random():
    torch.manual_seed(0)
    ids = torch.randint(10, 50_000, (400, 250))
    maskable = torch.rand(400, 250) < 0.9
    hidden, labels = mask_tokens(ids, maskable, rate=0.2, mask_id=3, vocabulary=50_000)
    chosen = labels != IGNORED
    assert not (chosen & ~maskable).any()
    assert chosen.sum() / maskable.sum() == pytest.approx(0.2, abs=0.005)
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(hidden[~chosen], ids[~chosen])
    masked = (hidden == 3) & chosen
    same = (hidden == ids) & chosen
    assert masked.sum() / chosen.sum() == pytest.approx(0.8, abs=0.01)
    assert same.sum() / chosen.sum() == pytest.approx(0.1, abs=0.01)
    drawn = hidden[chosen & ~masked & ~same].double()
    assert drawn.mean() == pytest.approx(25_000, rel=0.05)


@pytest.mark.parametrize("make", [tiny_bert, tiny_roberta])
def test_the_head_gives_the_checkpoints_own_logits_and_is_untied(make, tmp_path):
    folder = make(tmp_path / "model", mlm=True)
    full = AutoModelForMaskedLM.from_pretrained(folder).eval()
    head = load_mlm_head(folder).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    hidden = full.base_model(ids).last_hidden_state
    torch.testing.assert_close(head(hidden), full(ids).logits)
    embeddings = full.get_input_embeddings().weight
    matrices = [p for p in head.parameters() if p.shape == embeddings.shape]
    assert len(matrices) == 1
    assert torch.equal(matrices[0], embeddings)
    assert matrices[0].data_ptr() != embeddings.data_ptr()


@pytest.mark.parametrize("make", [tiny_bert, tiny_roberta])
def test_a_head_that_would_be_random_is_refused(make, tmp_path):
    with pytest.raises(SimgptError, match="holds no language-model head .*mlm_weight=0"):
        load_mlm_head(make(tmp_path / "model"))


def test_the_bundled_encoder_has_no_head_to_train():
    with pytest.raises(SimgptError, match="holds no language-model head"):
        build_model(RunConfig.from_params({"mlm_weight": 0.1}))


def test_the_loss_is_the_cross_entropy_at_hidden_words_only(tmp_path):
    head = load_mlm_head(tiny_roberta(tmp_path / "model", mlm=True)).eval()
    hidden = torch.randn(2, 3, 32)
    labels = torch.tensor([[IGNORED, 7, IGNORED], [9, IGNORED, IGNORED]])
    logits = head(hidden)
    by_hand = sum(
        torch.logsumexp(logits[row, column], 0) - logits[row, column, word]
        for row, column, word in ((0, 1, 7), (1, 0, 9))
    )
    torch.testing.assert_close(mlm_loss_sum(head, hidden, labels), by_hand)
    nothing = torch.full((2, 3), IGNORED)
    assert mlm_loss_sum(head, hidden, nothing).item() == 0


def test_special_tokens_and_padding_are_never_hidden_and_the_contrast_reads_whole_words(tmp_path):
    folder = tiny_roberta(tmp_path / "model", mlm=True)
    settings = {"backbone": str(folder), "mlm_weight": 0.05, "mlm_rate": 0.9}
    model = build_model(RunConfig.from_params(settings)).eval()
    rows = Collator(model.encoder.tokenizer, max_tokens=32, columns=3)(BATCH)
    hidden = model._hide_words(rows)
    special = torch.isin(rows["input_ids"], torch.tensor(model.encoder.tokenizer.all_special_ids))
    assert (hidden["labels"][special] == IGNORED).all()
    assert torch.equal(hidden["hidden_ids"][special], rows["input_ids"][special])
    assert (hidden["labels"] != IGNORED).any()

    without = build_model(RunConfig.from_params(settings | {"mlm_weight": 0})).eval()
    found, plain = model(**rows), without(**rows)
    torch.testing.assert_close(found["contrastive"], plain["contrastive"])
    assert "mlm" not in plain
    expected = found["contrastive"] + 0.05 * found["mlm"]
    torch.testing.assert_close(found["loss"], expected)
    assert found["mlm"] > 0


def test_every_trained_parameter_gets_a_gradient(tmp_path):
    folder = tiny_roberta(tmp_path / "model", mlm=True)
    for settings in (
        {"pooling": "cls"},
        {"pooling": "avg_first_last"},
        {"pooling": "cls", "prefix_tokens": 3, "energy_weight": 5},
    ):
        cfg = RunConfig.from_params({"backbone": str(folder), "mlm_weight": 0.05} | settings)
        model = build_model(cfg)
        rows = Collator(model.encoder.tokenizer, max_tokens=32, columns=3)(BATCH)
        model(**rows)["loss"].backward()
        for name, parameter in model.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name
