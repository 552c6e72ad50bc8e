"""Sorting a step's sentences by length must change nothing but the padding."""

import itertools
import random

import pytest
import torch

from simgpt.config import RunConfig
from simgpt.encoder import load_encoder
from simgpt.train.data import Collator
from simgpt.train.embedding import _cuts, length_sorted_chunks, run_chunks
from simgpt.train.model import CHUNKS
from simgpt.train.objectives import simcse_loss
from simgpt.train.run import build_model
from simgpt.triplets import TEXTS, training_triplets
from tests.tiny import tiny_bert, tiny_roberta

SENTENCES = (
    "A dog runs.",
    "Two people are talking quietly in the kitchen of a very old house.",
    "A dog is running on the sand of a wide and empty beach.",
    "People talk.",
    "No.",
    "The kitchen was repainted last summer by a friend of theirs, who is a painter.",
)


@pytest.mark.parametrize("recompute", [False, True])
def test_embeddings_and_gradients_equal_those_of_one_padded_pass(recompute):
    model = load_encoder("bundled").eval()
    rows = model.tokenizer(list(SENTENCES), padding="longest", return_tensors="pt")
    expected = model(dict(rows))["sentence_embedding"]
    expected.pow(3).sum().backward()
    weight = next(model.parameters())
    gradient = weight.grad.clone()
    model.zero_grad()

    chunks, back = length_sorted_chunks(rows, 3)
    found = torch.cat(
        list(
            run_chunks(lambda c: model(dict(c))["sentence_embedding"], chunks, recompute=recompute)
        )
    )[back]
    found.pow(3).sum().backward()

    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(weight.grad, gradient, atol=1e-6, rtol=0)


def test_recomputing_replays_dropout():
    model = load_encoder("bundled").train()
    rows = model.tokenizer(list(SENTENCES), padding="longest", return_tensors="pt")
    chunks, _ = length_sorted_chunks(rows, 2)
    gradients = []
    for recompute in (False, True):
        model.zero_grad()
        torch.manual_seed(0)
        passes = run_chunks(
            lambda c: model(dict(c))["sentence_embedding"], chunks, recompute=recompute
        )
        torch.cat(list(passes)).pow(3).sum().backward()
        gradients.append(next(model.parameters()).grad.clone())
    assert torch.equal(*gradients)


def test_chunks_are_cut_to_their_own_longest_row_and_put_back_in_order():
    rows = {
        "input_ids": torch.tensor([[5, 6, 7, 8], [9, 0, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]]),
    }
    chunks, back = length_sorted_chunks(rows, 5)
    assert [chunk["input_ids"].tolist() for chunk in chunks] == [[[9]], [[5, 6, 7, 8]]]
    sums = torch.cat([chunk["input_ids"].sum(dim=1) for chunk in chunks])[back]
    assert sums.tolist() == [26, 9]


def padded_tokens(lengths, cuts):
    edges = [0, *cuts, len(lengths)]
    return sum((end - start) * lengths[end - 1] for start, end in itertools.pairwise(edges))


def test_no_other_cuts_pad_less():
    draw = random.Random(0)
    for _ in range(200):
        lengths = sorted(draw.randint(3, 9) for _ in range(draw.randint(1, 9)))
        count = draw.randint(1, 5)
        cuts = _cuts(lengths, count)
        assert len(cuts) < count
        places = range(1, len(lengths))
        every = (c for n in range(count) for c in itertools.combinations(places, n))
        assert padded_tokens(lengths, cuts) == min(padded_tokens(lengths, c) for c in every)


def test_chunks_hold_no_more_rows_than_they_may():
    lengths = torch.tensor([5, 5, 5, 5, 5, 2, 3])
    mask = (torch.arange(5) < lengths[:, None]).long()
    chunks, back = length_sorted_chunks({"attention_mask": mask}, 2, largest=2)
    assert [tuple(c["attention_mask"].shape) for c in chunks] == [(2, 3), (2, 5), (2, 5), (1, 5)]
    assert sorted(back.tolist()) == list(range(7))


def test_under_a_tenth_of_a_step_of_real_triplets_is_padding():
    model = load_encoder("bundled")
    triplets = list(training_triplets(RunConfig.from_params({"max_triplets": 640})))
    collate = Collator(model.tokenizer, max_tokens=32, columns=3)
    real = padded = 0
    for first in range(0, 640, 64):
        batch = [dict(zip(TEXTS, t.texts, strict=True)) for t in triplets[first : first + 64]]
        rows = collate(batch)
        real += int(rows["attention_mask"].sum())
        chunks, _ = length_sorted_chunks(rows, CHUNKS)
        padded += sum(chunk["input_ids"].numel() for chunk in chunks)
    assert 1 - real / padded < 0.1


def test_a_batch_is_tokenised_column_by_column_and_cut():
    model = load_encoder("bundled")
    batch = [
        {"sentence": "One.", "similar": "two " * 50, "dissimilar": "Three."},
        {"sentence": "Four.", "similar": "Five.", "dissimilar": "Six."},
    ]
    rows = Collator(model.tokenizer, max_tokens=8, columns=3)(batch)
    assert rows["input_ids"].shape == (6, 8)
    texts = model.tokenizer.batch_decode(rows["input_ids"], skip_special_tokens=True)
    assert texts == ["one.", "four.", "two two two two two two", "five.", "three.", "six."]
    pairs = Collator(model.tokenizer, max_tokens=8, columns=2)(batch)
    assert torch.equal(pairs["input_ids"], rows["input_ids"][:4])


@pytest.mark.parametrize("make", [tiny_bert, tiny_roberta])
@pytest.mark.parametrize("settings", [{}, {"prefix_tokens": 3}])
def test_a_steps_gradients_are_those_of_its_columns_padded_and_encoded_one_by_one(
    make, settings, tmp_path
):
    cfg = RunConfig.from_params({"backbone": str(make(tmp_path / "model"))} | settings)
    model = build_model(cfg).eval()
    batch = [
        {"sentence": text, "similar": f"{text} Yes.", "dissimilar": f"No. {text[:9]}"}
        for text in SENTENCES
    ]
    tokenizer = model.encoder.tokenizer
    rows = Collator(tokenizer, max_tokens=64, columns=3)(batch)
    loss = model(**rows)["loss"]
    loss.backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    found = {name: parameter.grad.clone() for name, parameter in trained.items()}

    model.zero_grad()
    columns = ([triplet[name] for triplet in batch] for name in TEXTS)
    features = [tokenizer(c, padding="longest", return_tensors="pt") for c in columns]
    vectors = [model.encoder(dict(column))["sentence_embedding"] for column in features]
    expected = simcse_loss(*vectors, temperature=cfg.temperature)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    assert len(found) > (1 if not cfg.prefix_tokens else 0)
    for name, parameter in trained.items():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-5, rtol=1e-4)
