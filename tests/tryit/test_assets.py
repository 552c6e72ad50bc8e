"""What the build writes for the page, and what it refuses."""

import hashlib
import json

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from simgpt import SimgptError
from simgpt.config import Pooling
from simgpt.encoder import load_encoder, weights_sha256
from simgpt.encoder.prefix import add_prefix
from simgpt.notebooks import model_of_page
from simgpt.tryit import assets, write_tryit
from simgpt.tryit.assets import levels
from simgpt.tryit.encoder import check_runs_in_page, page_weights, take_weights
from tests.tiny import TEXTS, tiny_bert, tiny_roberta
from tests.tryit.support import tiny_uncased


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(tiny_uncased(tmp_path_factory.mktemp("model") / "tiny"))


def test_the_header_says_what_is_in_the_files_and_where_they_come_from(tiny, tmp_path):
    facts = write_tryit(tiny, tmp_path)
    header = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    content = (tmp_path / "weights.bin").read_bytes()
    assert header["made_from"]["weights_sha256"] == weights_sha256(tiny)
    assert header["sha256"] == hashlib.sha256(content).hexdigest()
    assert header["bytes"] == len(content)
    assert header["architecture"]["heads"] == 4
    assert header["tokenizer"]["longest"] == 64
    words = header["tensors"]["embeddings.word_embeddings.weight"]
    vocabulary = (tmp_path / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
    assert words["shape"] == [len(vocabulary), 32]
    assert vocabulary.index("[CLS]") == load_encoder(tiny).tokenizer.cls_token_id
    assert len(header["check"]["pairs"]) == len(header["check"]["cosines"]) == 50
    assert 0 < header["check"]["difference"] <= 0.01
    assert "`tiny`, which this book did not train" in facts["tryit_model"]
    assert facts["tryit_difference"] == f"{header['check']['difference']:.4f}"


def test_the_same_model_is_written_once_and_another_anew(tiny, tmp_path):
    write_tryit(tiny, tmp_path / "page")
    first = (tmp_path / "page" / "model.json").stat().st_mtime_ns
    write_tryit(tiny, tmp_path / "page")
    assert (tmp_path / "page" / "model.json").stat().st_mtime_ns == first
    other = load_encoder(tiny)
    other[0].model.embeddings.LayerNorm.bias.data += 1
    other.save(str(tmp_path / "other"), create_model_card=False)
    write_tryit(str(tmp_path / "other"), tmp_path / "page")
    assert (tmp_path / "page" / "model.json").stat().st_mtime_ns != first


def test_weights_that_are_not_rounded_give_the_very_vectors(tiny):
    """Besides rounding, the page gets one table for positions and kinds of text."""
    encoder = load_encoder(tiny)
    before = encoder.encode(TEXTS)
    take_weights(encoder, page_weights(encoder))
    assert not encoder[0].model.embeddings.token_type_embeddings.weight.any()
    np.testing.assert_allclose(encoder.encode(TEXTS), before, atol=1e-5)


def test_a_model_that_rounding_would_change_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "LARGEST_DIFFERENCE", 1e-9)
    with pytest.raises(SimgptError, match="in 8 bits a cosine changes by .* SIMGPT_TRYIT_MODEL"):
        write_tryit(tiny, tmp_path)
    assert not (tmp_path / "model.json").exists()


def test_what_the_page_cannot_run_is_refused_in_a_sentence(tiny, tmp_path):
    roberta = load_encoder(str(tiny_roberta(tmp_path / "roberta")))
    cased = load_encoder(str(tiny_bert(tmp_path / "cased")))
    words = SentenceTransformer(
        modules=[StaticEmbedding(cased.tokenizer.backend_tokenizer, embedding_dim=8)]
    )
    prompted = load_encoder(tiny)
    prompted.prompts, prompted.default_prompt_name = {"query": "query: "}, "query"
    for encoder, reason in (
        (roberta, "roberta and no BERT"),
        (words, "no transformer and no BERT"),
        (cased, "another tokenizer than BERT's uncased one"),
        (load_encoder(tiny, pooling=Pooling.CLS_BEFORE_POOLER), "pooled by cls"),
        (load_encoder(tiny, pooling=Pooling.AVG_TOP2), "made of Transformer, WeightedLayerPooling"),
        (add_prefix(load_encoder(tiny), 3), "made of PrefixTransformer"),
        (prompted, "given a prompt"),
    ):
        with pytest.raises(SimgptError, match=f"it: .*{reason}.*; the book's page runs a BERT"):
            check_runs_in_page(encoder, "it")
    check_runs_in_page(load_encoder("bundled"), "bundled")


def test_a_ratings_cosine_has_as_many_pairs_below_it_as_the_rating():
    """By hand: 2 of 5 pairs are rated below 1, so its cosine is 2/5 of the way up from 0.1."""
    cosines, ratings = np.array([0.5, 0.1, 0.3, 0.9, 0.7]), np.array([2.0, 0.0, 0.5, 5.0, 3.5])
    assert levels(cosines, ratings) == pytest.approx([0.42, 0.42, 0.58, 0.74])


def test_the_page_runs_the_model_that_is_named_or_one_that_it_can_run(tmp_path, monkeypatch):
    monkeypatch.delenv("SIMGPT_TRYIT_MODEL", raising=False)
    for profile in ("laptop-promcse", "paper-simcse-base"):
        assert model_of_page(tmp_path, profile) == "bundled"
    monkeypatch.setenv("SIMGPT_TRYIT_MODEL", "runs/mine")
    assert model_of_page(tmp_path, "smoke") == "runs/mine"
