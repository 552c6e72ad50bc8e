"""PromCSE's prefix against attention written out by hand, layer by layer."""

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch.nn import functional
from transformers import RobertaConfig, RobertaModel

from simgpt import SimgptError
from simgpt.config import Pooling
from simgpt.encoder import load_encoder, longest_text, weights_sha256
from simgpt.encoder.prefix import PrefixTransformer, add_prefix
from simgpt.evaluate.encoding import encode
from tests.tiny import SIZES, TEXTS, tiny_bert, tiny_roberta

P = 5
ARCHITECTURES = pytest.mark.parametrize("tiny", [tiny_bert, tiny_roberta])


def prefixed(folder, tiny, *, pooling=Pooling.CLS):
    """A tiny encoder behind a prefix large enough to matter."""
    encoder = load_encoder(str(tiny(folder)), pooling=pooling, fresh_head=True)
    add_prefix(encoder, P)
    with torch.no_grad():
        encoder[0].prefix.normal_(0, 1, generator=torch.Generator().manual_seed(3))
    return encoder.eval()


def by_hand(module, ids):
    """Token vectors of one unpadded sentence, shape (tokens, hidden).

    The trained table is taken apart by index, key and value are put in front, and every head's
    attention is a softmax over P + tokens columns.
    """
    model, table = module.model, module.prefix
    hidden, heads = SIZES["hidden_size"], SIZES["num_attention_heads"]
    size, words = hidden // heads, model.embeddings
    first = P if model.config.model_type == "bert" else P + model.config.pad_token_id + 1
    positions = torch.arange(first, first + len(ids))
    x = words.word_embeddings.weight[ids] + words.position_embeddings.weight[positions]
    x = words.LayerNorm(x + words.token_type_embeddings.weight[0])
    for number, layer in enumerate(model.encoder.layer):
        attention = layer.attention.self
        query, key, value = attention.query(x), attention.key(x), attention.value(x)
        start = number * 2 * hidden
        key = torch.cat([table[:, start : start + hidden], key])
        value = torch.cat([table[:, start + hidden : start + 2 * hidden], value])
        contexts = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            weights = torch.softmax(query[:, part] @ key[:, part].T / size**0.5, dim=1)
            assert weights.shape == (len(ids), P + len(ids))
            contexts.append(weights @ value[:, part])
        output = layer.attention.output
        x = output.LayerNorm(output.dense(torch.cat(contexts, dim=1)) + x)
        wide = functional.gelu(layer.intermediate.dense(x))
        x = layer.output.LayerNorm(layer.output.dense(wide) + x)
    return x


@ARCHITECTURES
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_output_equals_attention_written_out_by_hand(tmp_path, tiny, attention):
    encoder = prefixed(tmp_path, tiny)
    encoder[0].model.set_attn_implementation(attention)
    features = encoder.preprocess(TEXTS)
    ids, mask = features["input_ids"].clone(), features["attention_mask"].clone()
    with torch.no_grad():
        output = encoder(features)
        for row in range(len(TEXTS)):
            expected = by_hand(encoder[0], ids[row, mask[row].bool()])
            found = output["token_embeddings"][row, : len(expected)]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
            sentence = torch.tanh(encoder[2].linear(expected[0]))
            torch.testing.assert_close(
                output["sentence_embedding"][row], sentence, atol=1e-5, rtol=0
            )
    assert torch.equal(output["attention_mask"], mask)  # pooling averages over the text alone


@ARCHITECTURES
@pytest.mark.parametrize("pooling", [pooling for pooling in Pooling if pooling != "auto"])
def test_a_sentence_alone_and_in_a_padded_batch_are_equal(tmp_path, tiny, pooling):
    encoder = prefixed(tmp_path, tiny, pooling=pooling)
    together = torch.tensor(encoder.encode(TEXTS))
    alone = torch.stack([torch.tensor(encoder.encode(text)) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@ARCHITECTURES
def test_a_second_pass_equals_the_first(tmp_path, tiny):
    encoder = prefixed(tmp_path, tiny)
    first, second = encoder.encode(TEXTS), encoder.encode(TEXTS)
    assert (first == second).all()


def test_dropout_masks_every_sentences_prefix_on_its_own(tmp_path):
    encoder = prefixed(tmp_path, tiny_bert).train()
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.Dropout) and name != "0.prefix_dropout":
            module.p = 0.0
    assert encoder[0].prefix_dropout.p == 0.1
    rows = encoder(encoder.preprocess([TEXTS[0], TEXTS[0]]))["sentence_embedding"]
    assert (rows[0] - rows[1]).abs().max() > 1e-3
    encoder[0].prefix_dropout.p = 0.0
    rows = encoder(encoder.preprocess([TEXTS[0], TEXTS[0]]))["sentence_embedding"]
    torch.testing.assert_close(rows[0], rows[1], atol=1e-6, rtol=0)


def test_the_frozen_transformer_keeps_its_dropout_in_training(tmp_path):
    encoder = prefixed(tmp_path, tiny_bert).train()
    encoder[0].prefix_dropout.p = 0.0
    rows = encoder(encoder.preprocess([TEXTS[0], TEXTS[0]]))["sentence_embedding"]
    assert (rows[0] - rows[1]).abs().max() > 1e-3


def test_only_the_prefix_and_the_head_get_gradients(tmp_path):
    encoder = prefixed(tmp_path, tiny_roberta)
    encoder(encoder.preprocess(TEXTS))["sentence_embedding"].pow(3).sum().backward()
    trained = {name for name, weight in encoder.named_parameters() if weight.grad is not None}
    assert trained == {"0.prefix", "2.linear.weight", "2.linear.bias"}
    assert trained == {name for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert encoder[0].prefix.grad.abs().sum(dim=1).min() > 0


def test_a_fresh_prefix_is_drawn_as_in_the_paper():
    encoder = add_prefix(load_encoder("bundled"), 50)
    prefix = encoder[0].prefix
    assert prefix.shape == (50, 6 * 2 * 384)
    assert abs(prefix.std().item() - 0.02) < 2e-4
    assert abs(prefix.mean().item()) < 2e-4


@pytest.mark.parametrize(
    ("layers", "hidden", "heads", "expected"),
    [(12, 768, 12, 774_912), (24, 1024, 16, 1_541_120)],
)
def test_the_papers_sizes_train_the_papers_number_of_weights(
    tmp_path, layers, hidden, heads, expected
):
    """Only layers and widths count: the frozen rest is made as thin as it goes."""
    folder = tiny_roberta(tmp_path)
    config = RobertaConfig.from_pretrained(folder)
    config.update({"num_hidden_layers": layers, "hidden_size": hidden})
    config.update({"num_attention_heads": heads, "intermediate_size": 1})
    RobertaModel(config).save_pretrained(folder)
    encoder = add_prefix(load_encoder(str(folder), pooling=Pooling.CLS, fresh_head=True), 10)
    trained = sum(weight.numel() for weight in encoder.parameters() if weight.requires_grad)
    assert trained == expected


@ARCHITECTURES
def test_a_saved_prefix_loads_here_and_where_its_code_is_trusted(tmp_path, tiny):
    encoder = prefixed(tmp_path / "tiny", tiny)
    expected = torch.tensor(encoder.encode(TEXTS))
    encoder.save(str(tmp_path / "saved"), create_model_card=False)
    loaded = load_encoder(str(tmp_path / "saved"))
    assert isinstance(loaded[0], PrefixTransformer)
    assert loaded[0].prefix_tokens == P
    assert loaded[0].prefix.requires_grad
    assert not any(weight.requires_grad for weight in loaded[0].model.parameters())
    trusting = SentenceTransformer(str(tmp_path / "saved"), trust_remote_code=True)
    for again in (loaded, trusting):
        found = torch.tensor(again.encode(TEXTS))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", [pooling for pooling in Pooling if pooling != "auto"])
def test_every_pooling_behind_a_prefix_survives_saving(tmp_path, pooling):
    encoder = prefixed(tmp_path / "tiny", tiny_roberta, pooling=pooling)
    encoder.save(str(tmp_path / "saved"), create_model_card=False)
    loaded = load_encoder(str(tmp_path / "saved"), pooling=pooling)
    assert isinstance(loaded[0], PrefixTransformer)
    found, expected = torch.tensor(loaded.encode(TEXTS)), torch.tensor(encoder.encode(TEXTS))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_the_weights_hash_covers_prefix_and_head(tmp_path):
    encoder = prefixed(tmp_path / "tiny", tiny_bert)
    hashes = set()
    for number, change in enumerate(
        (lambda: None, lambda: encoder[0].prefix.mul_(2), lambda: encoder[2].linear.weight.mul_(2))
    ):
        with torch.no_grad():
            change()
        encoder.save(str(tmp_path / f"{number}"), create_model_card=False)
        hashes.add(weights_sha256(str(tmp_path / f"{number}")))
    assert len(hashes) == 3


@pytest.mark.parametrize(("tiny", "longest"), [(tiny_bert, 64 - P), (tiny_roberta, 64 - 2 - P)])
def test_a_text_is_cut_to_the_positions_that_the_prefix_leaves(tmp_path, tiny, longest):
    encoder = prefixed(tmp_path, tiny)
    assert encoder.max_seq_length == longest
    assert longest_text(encoder) == longest
    encoder.max_seq_length = 7
    words = "dog house " * 200
    vectors = encode(encoder, [words, "dog house " * 150, TEXTS[0]])
    assert encoder.max_seq_length == 7
    assert (vectors[words] == vectors["dog house " * 150]).all()
    encoder.max_seq_length = longest
    assert encoder.preprocess([words])["input_ids"].shape == (1, longest)


def test_without_a_prefix_robertas_last_two_positions_stay_unused(tmp_path):
    encoder = load_encoder(str(tiny_roberta(tmp_path)))
    assert longest_text(encoder) == encoder.max_seq_length == 62
    assert len(encode(encoder, ["dog house " * 200])) == 1
    assert longest_text(load_encoder("bundled")) == 512


def test_mixed_precision_runs_and_stays_close(tmp_path):
    encoder = prefixed(tmp_path, tiny_bert)
    expected = torch.tensor(encoder.encode(TEXTS))
    for attention in ("sdpa", "eager"):
        encoder[0].model.set_attn_implementation(attention)
        with torch.autocast("cpu", torch.bfloat16):
            found = encoder(encoder.preprocess(TEXTS))["sentence_embedding"].float()
        torch.testing.assert_close(found, expected, atol=0.1, rtol=0)


def test_other_architectures_are_refused_with_the_legal_ones(tmp_path):
    from transformers import DistilBertConfig, DistilBertModel

    folder = tiny_bert(tmp_path)
    DistilBertModel(
        DistilBertConfig(vocab_size=200, dim=32, n_heads=4, n_layers=1)
    ).save_pretrained(folder)
    encoder = load_encoder(str(folder))
    with pytest.raises(SimgptError, match="distilbert .* bert, camembert, roberta, xlm-roberta"):
        add_prefix(encoder, P)


def test_a_prefix_that_is_empty_too_long_or_a_second_one_is_refused(tmp_path):
    name = str(tiny_bert(tmp_path))
    for tokens in (0, 62):
        with pytest.raises(SimgptError, match=f"prefix of {tokens} tokens leaves"):
            add_prefix(load_encoder(name), tokens)
    encoder = add_prefix(load_encoder(name), 61)
    with pytest.raises(SimgptError, match="has a prefix of 61 tokens already"):
        add_prefix(encoder, P)


def test_a_folder_that_lost_its_prefix_or_names_foreign_code_is_refused(tmp_path):
    encoder = prefixed(tmp_path / "tiny", tiny_bert)
    saved = tmp_path / "saved"
    encoder.save(str(saved), create_model_card=False)
    (saved / "prefix.safetensors").rename(tmp_path / "kept")
    with pytest.raises(SimgptError, match=r"holds no prefix\.safetensors"):
        load_encoder(str(saved))
    (tmp_path / "kept").rename(saved / "prefix.safetensors")
    modules = saved / "modules.json"
    text = modules.read_text().replace("sentence_transformers.base.modules.dense.Dense", "os.Dense")
    modules.write_text(text)
    with pytest.raises(SimgptError, match=r"os\.Dense is not one of sentence-transformers"):
        load_encoder(str(saved))
