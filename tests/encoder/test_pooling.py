"""Every pooling against a few lines of plain torch on the transformer's hidden states."""

import pytest
import torch
from sentence_transformers import SentenceTransformer

from simgpt.config import Pooling
from simgpt.encoder import load_encoder
from tests.tiny import TEXTS, shake, tiny_bert, tiny_roberta

POOLINGS = [pooling for pooling in Pooling if pooling is not Pooling.AUTO]


@pytest.fixture(params=["bert", "roberta", "bundled"])
def name(request, tmp_path):
    """An encoder's name. The tiny ones hold a pooler."""
    makers = {"bert": tiny_bert, "roberta": tiny_roberta}
    if request.param == "bundled":
        return "bundled"
    return str(makers[request.param](tmp_path / request.param))


def plain(encoder, pooling):
    """Sentence vectors straight from the hidden states, shape (texts, hidden)."""
    model = encoder[0].model
    features = {key: value for key, value in encoder.preprocess(TEXTS).items() if key != "modality"}
    states = model(**features, output_hidden_states=True).hidden_states
    mask = features["attention_mask"].unsqueeze(-1)

    def mean(layer):
        return (layer * mask).sum(dim=1) / mask.sum(dim=1)

    if pooling is Pooling.CLS:
        return torch.tanh(states[-1][:, 0] @ encoder[2].linear.weight.T + encoder[2].linear.bias)
    return {
        Pooling.MEAN: lambda: mean(states[-1]),
        Pooling.CLS_BEFORE_POOLER: lambda: states[-1][:, 0],
        Pooling.AVG_TOP2: lambda: mean((states[-2] + states[-1]) / 2),
        Pooling.AVG_FIRST_LAST: lambda: mean((states[1] + states[-1]) / 2),
    }[pooling]()


def trainable(encoder):
    return {name for name, weight in encoder.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_pooling_equals_the_plain_computation(name, pooling):
    encoder = load_encoder(name, pooling=pooling, fresh_head=True)
    with torch.no_grad():
        expected = plain(encoder, pooling)
        found = encoder(encoder.preprocess(TEXTS))["sentence_embedding"]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_saved_pooling_loads_here_and_without_this_package(name, pooling, tmp_path):
    encoder = load_encoder(name, pooling=pooling, fresh_head=True)
    expected = torch.tensor(encoder.encode(TEXTS))
    encoder.save(str(tmp_path / "saved"), create_model_card=False)
    kinds = {type(module).__module__.partition(".")[0] for module in encoder}
    assert kinds == {"sentence_transformers"}
    for loaded in (
        load_encoder(str(tmp_path / "saved")),
        SentenceTransformer(str(tmp_path / "saved")),
    ):
        found = torch.tensor(loaded.encode(TEXTS))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert trainable(load_encoder(str(tmp_path / "saved"))) == trainable(encoder)


def test_no_two_poolings_are_alike(tmp_path):
    name = str(tiny_bert(tmp_path / "bert"))
    vectors = [load_encoder(name, pooling=pooling).encode(TEXTS[:1])[0] for pooling in POOLINGS]
    for row, left in enumerate(vectors):
        assert all(abs(left - right).max() > 1e-2 for right in vectors[:row])


def test_auto_keeps_a_sentence_transformers_modules_and_gives_others_the_mean(tmp_path):
    bundled = [type(module).__name__ for module in load_encoder("bundled")]
    assert bundled == ["Transformer", "Pooling", "Normalize"]
    tiny = load_encoder(str(tiny_bert(tmp_path / "bert")))
    assert [type(module).__name__ for module in tiny] == ["Transformer", "Pooling"]
    assert tiny[1].pooling_mode == "mean"


def test_replacing_a_pooling_keeps_the_prompts(tmp_path):
    encoder = load_encoder(str(tiny_bert(tmp_path / "bert")))
    encoder.prompts["search"] = "dog : "
    encoder.default_prompt_name = "search"
    encoder.save(str(tmp_path / "saved"), create_model_card=False)
    loaded = load_encoder(str(tmp_path / "saved"), pooling=Pooling.CLS_BEFORE_POOLER)
    assert loaded.prompts["search"] == "dog : "
    assert loaded.default_prompt_name == "search"


def test_the_stored_pooler_is_the_head_of_a_plain_checkpoint(tmp_path):
    encoder = load_encoder(str(tiny_roberta(tmp_path / "roberta")), pooling=Pooling.CLS)
    features = {key: value for key, value in encoder.preprocess(TEXTS).items() if key != "modality"}
    with torch.no_grad():
        expected = encoder[0].model(**features).pooler_output
        found = encoder(encoder.preprocess(TEXTS))["sentence_embedding"]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_saved_head_is_kept_by_cls_and_replaced_by_a_fresh_one(tmp_path):
    encoder = load_encoder(str(tiny_bert(tmp_path / "bert")), pooling=Pooling.CLS, fresh_head=True)
    shake(encoder[2], seed=1)
    encoder.save(str(tmp_path / "saved"), create_model_card=False)
    kept = load_encoder(str(tmp_path / "saved"), pooling=Pooling.CLS)
    assert torch.equal(kept[2].linear.weight, encoder[2].linear.weight)
    fresh = load_encoder(str(tmp_path / "saved"), pooling=Pooling.CLS, fresh_head=True)
    assert not torch.equal(fresh[2].linear.weight, encoder[2].linear.weight)


def test_a_fresh_head_is_drawn_as_in_the_papers():
    encoder = load_encoder("bundled", pooling=Pooling.CLS, fresh_head=True)
    weight, bias = encoder[2].linear.weight, encoder[2].linear.bias
    assert weight.shape == (384, 384)
    assert abs(weight.std().item() - 0.02) < 2e-4
    assert abs(weight.mean().item()) < 2e-4
    assert not bias.any()
    assert weight.requires_grad and bias.requires_grad


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_trainable_weight_gets_a_gradient(name, pooling):
    """Data-parallel training stops at a trainable weight that no output depends on."""
    encoder = load_encoder(name, pooling=pooling, fresh_head=True)
    encoder(encoder.preprocess(TEXTS))["sentence_embedding"].pow(3).sum().backward()
    without = [name for name, weight in encoder.named_parameters() if weight.grad is None]
    frozen = [name for name, _ in encoder.named_parameters() if name not in trainable(encoder)]
    assert without == frozen
    assert all(".pooler." in name or "layer_weights" in name for name in frozen)
