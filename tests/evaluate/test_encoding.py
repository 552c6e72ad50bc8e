"""Vectors are the encoder's own, whatever the order, the batches and the program that computes."""

import numpy as np
import pytest
import torch

from simgpt.config import Pooling, ScoringPrecision
from simgpt.encoder import load_encoder
from simgpt.errors import SimgptError
from simgpt.evaluate import encoding
from simgpt.evaluate.encoding import encode
from simgpt.evaluate.scorers import TorchScorer, load_scorer, token_ids
from tests.tiny import tiny_bert, tiny_roberta

TEXTS = [
    "A dog runs on the beach.",
    "No.",
    "a dog " * 40,
    "The old man reads his paper in the shade of a tree.",
    "No.",
]


@pytest.fixture(scope="module", params=[tiny_bert, tiny_roberta])
def encoder(request, tmp_path_factory):
    return load_encoder(str(request.param(tmp_path_factory.mktemp("tiny") / "model")))


def test_vectors_equal_those_of_one_sentence_at_a_time(encoder):
    found = encode(encoder, TEXTS)
    assert list(found) == list(dict.fromkeys(TEXTS))
    for text in TEXTS:
        alone = encoder.encode([text])[0]
        assert found[text] == pytest.approx(alone, abs=1e-5)


def test_a_sentence_is_embedded_once_and_hardly_padded(encoder, monkeypatch):
    scorer, rows, tokens = TorchScorer(encoder), [], []
    embed = scorer.embed

    def watched(ids, mask):
        rows.append(len(ids))
        tokens.append((ids.size, int(mask.sum())))
        return embed(ids, mask)

    monkeypatch.setattr(scorer, "embed", watched)
    monkeypatch.setattr(scorer, "batch_tokens", 60)
    texts = [f"{'the dog ' * (n % 9)}{n % 13}" for n in range(200)]
    encode(scorer, texts)
    assert sum(rows) == len(set(texts))
    padded, real = (sum(column) for column in zip(*tokens, strict=True))
    assert real / padded > 0.9
    assert max(size for size, _ in tokens) <= 60


def test_the_longest_sentences_come_first_so_that_what_does_not_fit_fails_at_once():
    lengths = np.array([3, 50, 7, 50, 1])
    batches = list(encoding._batches(lengths, 100))
    assert [rows.tolist() for rows in batches] == [[1, 3], [2, 0, 4]]


def test_a_sentence_longer_than_a_batch_has_one_to_itself():
    batches = list(encoding._batches(np.array([500, 2]), 100))
    assert [rows.tolist() for rows in batches] == [[0], [1]]


def test_no_text_is_padded_to_128_though_the_tokenizers_file_asks_for_it():
    scorer = load_scorer("bundled")
    assert [len(ids) for ids in token_ids(scorer, ["No.", "A dog runs."])] == [4, 6]


def test_long_texts_are_cut_to_the_encoders_positions_not_to_what_training_saw(encoder):
    encoder.max_seq_length = 8
    scorer = TorchScorer(encoder)
    assert scorer.limit > 8
    (ids,) = token_ids(scorer, ["the dog " * 600])
    assert len(ids) == scorer.limit
    assert encoder.max_seq_length == 8


def test_half_precision_is_near_and_is_not_the_same():
    whole = encode(load_scorer("bundled"), TEXTS)
    half = encode(load_scorer("bundled", precision=ScoringPrecision.BF16), TEXTS)
    differences = [np.abs(whole[text] - half[text]).max() for text in TEXTS]
    assert 1e-5 < max(differences) < 0.02
    assert half[TEXTS[0]].dtype == np.float32


def test_an_exported_graph_gives_the_encoders_vectors(tmp_path):
    pytest.importorskip("onnxruntime")
    from simgpt.train.export import Form, export_model

    bert = tiny_bert(tmp_path / "bert")
    export_model(str(bert), Form.ONNX, tmp_path / "graph")
    plain, graph = (
        encode(load_scorer(str(bert)), TEXTS),
        encode(load_scorer(str(tmp_path / "graph")), TEXTS),
    )
    for text in TEXTS:
        unit = graph[text] / np.linalg.norm(graph[text])
        assert unit == pytest.approx(plain[text] / np.linalg.norm(plain[text]), abs=1e-5)
    with pytest.raises(SimgptError, match="an exported graph keeps its own pooling and precision"):
        load_scorer(str(tmp_path / "graph"), pooling=Pooling.CLS)


def test_an_encoder_with_a_prompt_is_asked_itself(encoder):
    encoder.prompts, encoder.default_prompt_name = {"query": "the dog "}, "query"
    try:
        found = encode(encoder, TEXTS[:2])
        expected = encoder.encode(TEXTS[:2])
        assert found[TEXTS[1]] == pytest.approx(expected[1], abs=1e-6)
    finally:
        encoder.prompts, encoder.default_prompt_name = {}, None


class Odd:
    """A scorer that gives what a test says."""

    def __init__(self, answers):
        self.tokenizer, self.limit, self.batch_tokens = TorchScorerTokenizer(), 512, 1
        self.answers = iter(answers)

    def embed(self, ids, mask):
        return next(self.answers)


class TorchScorerTokenizer:
    pad_token_id = 0

    def __call__(self, sentences, **_):
        return {"input_ids": [[1] * (9 - n) for n in range(len(sentences))]}


def test_a_vector_that_is_not_finite_is_told_with_its_sentence():
    odd = Odd([np.ones((1, 3), np.float32), np.array([[1, np.nan, 1]], np.float32)])
    with pytest.raises(SimgptError, match="a vector that is not finite for: 'second'"):
        encode(odd, ["first", "second"])


def test_vectors_of_another_size_are_refused():
    odd = Odd([np.ones((1, 3), np.float32), np.ones((1, 4), np.float32)])
    with pytest.raises(SimgptError, match=r"vectors of shape \(1, 4\) .* others of 3 dimensions"):
        encode(odd, ["first", "second"])


def test_nothing_to_encode_is_no_error(encoder):
    assert encode(encoder, []) == {}
    assert torch.is_grad_enabled()
