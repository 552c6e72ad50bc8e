"""What training takes as a backbone, and what it refuses."""

import pytest
from sentence_transformers import SentenceTransformer
from transformers import GPT2Config, GPT2Model

from simgpt import SimgptError
from simgpt.encoder import check_trainable, load_encoder
from tests.encoder.test_prefix import prefixed
from tests.tiny import tiny_bert, tiny_roberta


def test_encoders_that_masking_has_pretrained_are_trainable(tmp_path):
    for name in ("bundled", str(tiny_bert(tmp_path / "b")), str(tiny_roberta(tmp_path / "r"))):
        check_trainable(name, load_encoder(name))
        check_trainable(name, load_encoder(name), prefix=True)


def test_decoders_are_not_trainable(tmp_path):
    folder = tiny_bert(tmp_path)
    encoder = load_encoder(str(folder))
    encoder.config.is_decoder = True
    with pytest.raises(SimgptError, match="mine: a decoding bert model; training takes a BERT-"):
        check_trainable("mine", encoder)
    GPT2Model(GPT2Config(vocab_size=200, n_embd=32, n_layer=1, n_head=2)).save_pretrained(folder)
    with pytest.raises(SimgptError, match="mine: a gpt2 model; training takes a BERT- or RoBERTa-"):
        check_trainable("mine", load_encoder(str(folder)))


def test_encoder_decoders_and_bags_of_words_are_not_trainable(tmp_path):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    encoder = load_encoder(str(tiny_bert(tmp_path)))
    encoder.config.is_encoder_decoder = True
    with pytest.raises(SimgptError, match="mine: a bert model; training takes"):
        check_trainable("mine", encoder)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    words = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)])
    with pytest.raises(SimgptError, match="mine: no transformer; training takes"):
        check_trainable("mine", words)


def test_a_prefix_on_another_architecture_or_on_a_prefix_is_not_trainable(tmp_path):
    encoder = load_encoder(str(tiny_bert(tmp_path / "electra")))
    encoder.config.model_type = "electra"
    check_trainable("mine", encoder)
    with pytest.raises(SimgptError, match="mine: a electra model takes no prefix; .* bert, camemb"):
        check_trainable("mine", encoder, prefix=True)
    with pytest.raises(SimgptError, match="mine: has a prefix of 5 tokens already"):
        check_trainable("mine", prefixed(tmp_path / "bert", tiny_bert), prefix=True)
