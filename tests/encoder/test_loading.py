"""Loading: lazily, in fp32, and with no weight left random."""

import subprocess
import sys

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from transformers import AutoModel

from simgpt import SimgptError
from simgpt.config import Pooling
from simgpt.encoder import load_encoder
from tests.tiny import TEXTS, tiny_bert, tiny_roberta


def test_importing_the_package_does_not_wait_for_torch():
    code = "import sys, simgpt.encoder; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_half_precision_weights_are_widened(tmp_path):
    folder = tiny_bert(tmp_path)
    AutoModel.from_pretrained(folder).half().save_pretrained(folder)
    encoder = load_encoder(str(folder), pooling=Pooling.CLS)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}


def test_a_missing_head_is_never_random(tmp_path):
    published = str(tiny_roberta(tmp_path / "published", mlm=True))
    with pytest.raises(SimgptError, match="published: .* cls head would be random"):
        load_encoder(published, pooling=Pooling.CLS)
    with pytest.raises(SimgptError, match="bundled: .* cls head would be random"):
        load_encoder("bundled", pooling=Pooling.CLS)
    encoder = load_encoder(published)
    encoder.save(str(tmp_path / "saved"), create_model_card=False)
    with pytest.raises(SimgptError, match="saved: .* cls head would be random"):
        load_encoder(str(tmp_path / "saved"), pooling=Pooling.CLS)


def test_two_loads_of_a_checkpoint_without_a_pooler_are_equal(tmp_path):
    published = str(tiny_roberta(tmp_path, mlm=True))
    first, second = load_encoder(published).state_dict(), load_encoder(published).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_bag_of_words_keeps_its_pooling(tmp_path):
    tokenizer = Tokenizer.from_file(str(tiny_bert(tmp_path / "bert") / "tokenizer.json"))
    words = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)])
    words.save(str(tmp_path / "words"), create_model_card=False)
    assert load_encoder(str(tmp_path / "words")).encode(TEXTS).shape == (4, 8)
    with pytest.raises(SimgptError, match="words: its pooling cannot be replaced"):
        load_encoder(str(tmp_path / "words"), pooling=Pooling.MEAN)
