"""Checkpoints as SimCSE's and PromCSE's training code saves them, and loads that must fail."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from simgpt import SimgptError
from simgpt.config import Pooling
from simgpt.encoder import load_encoder
from simgpt.encoder.prefix import PrefixTransformer
from tests.encoder.test_prefix import by_hand
from tests.tiny import SIZES, TEXTS, tiny_bert, tiny_roberta

ARCHITECTURES = pytest.mark.parametrize("tiny", [tiny_bert, tiny_roberta])
HIDDEN = SIZES["hidden_size"]


def training_checkpoint(folder, tiny, *, prefix=0, head=True, safe=False, drop="", extra=()):
    """Rewrite a tiny folder's weights under the names that the training code gives them."""
    model = AutoModel.from_pretrained(tiny(folder))
    kind = model.config.model_type
    draw = torch.Generator().manual_seed(5)
    weights = {
        f"{kind}.{name}": tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith("pooler.") and not (drop and drop in name)
    }
    weights[f"{kind}.embeddings.position_ids"] = torch.arange(64).unsqueeze(0)
    weights["lm_head.bias"] = torch.zeros(3)
    if head:
        weights["mlp.dense.weight"] = torch.randn(HIDDEN, HIDDEN, generator=draw)
        weights["mlp.dense.bias"] = torch.randn(HIDDEN, generator=draw)
    if prefix:
        table = torch.randn(prefix, 3 * 2 * HIDDEN, generator=draw)
        weights["prefix_encoder.embedding.weight"] = table
    weights |= {name: torch.zeros(2, 2) for name in extra}
    (folder / "model.safetensors").unlink()
    if safe:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(weights, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = [f"{kind.capitalize()}ForCL"]
    (folder / "config.json").write_text(json.dumps(config))
    return model.eval(), weights


def first_tokens(model, encoder):
    features = {key: value for key, value in encoder.preprocess(TEXTS).items() if key != "modality"}
    with torch.no_grad():
        return model(**features).last_hidden_state[:, 0]


@ARCHITECTURES
@pytest.mark.parametrize("safe", [False, True])
def test_a_simcse_checkpoint_loads_with_its_head(tmp_path, tiny, safe):
    model, weights = training_checkpoint(tmp_path, tiny, safe=safe)
    encoder = load_encoder(str(tmp_path))
    dense = first_tokens(model, encoder) @ weights["mlp.dense.weight"].T
    expected = torch.tanh(dense + weights["mlp.dense.bias"])
    found = torch.tensor(encoder.encode(TEXTS))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@ARCHITECTURES
def test_a_promcse_checkpoint_loads_with_its_prefix_and_head(tmp_path, tiny):
    _, weights = training_checkpoint(tmp_path, tiny, prefix=5)
    encoder = load_encoder(str(tmp_path))
    assert isinstance(encoder[0], PrefixTransformer)
    assert torch.equal(encoder[0].prefix, weights["prefix_encoder.embedding.weight"])
    found = torch.tensor(encoder.encode(TEXTS))
    for row, text in enumerate(TEXTS):
        ids = encoder.preprocess([text])["input_ids"][0]
        with torch.no_grad():
            dense = weights["mlp.dense.weight"] @ by_hand(encoder[0], ids)[0]
        expected = torch.tanh(dense + weights["mlp.dense.bias"])
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=0)


def test_an_imported_checkpoint_survives_saving(tmp_path):
    training_checkpoint(tmp_path / "theirs", tiny_roberta, prefix=5)
    encoder = load_encoder(str(tmp_path / "theirs"))
    encoder.save(str(tmp_path / "ours"), create_model_card=False)
    found = torch.tensor(load_encoder(str(tmp_path / "ours")).encode(TEXTS))
    torch.testing.assert_close(found, torch.tensor(encoder.encode(TEXTS)), atol=1e-6, rtol=0)


def test_an_explicit_pooling_is_honoured(tmp_path):
    model, _ = training_checkpoint(tmp_path, tiny_bert)
    encoder = load_encoder(str(tmp_path), pooling=Pooling.CLS_BEFORE_POOLER)
    found = torch.tensor(encoder.encode(TEXTS))
    torch.testing.assert_close(found, first_tokens(model, encoder), atol=1e-5, rtol=0)
    by_auto = load_encoder(str(tmp_path)).encode(TEXTS)
    assert (load_encoder(str(tmp_path), pooling=Pooling.CLS).encode(TEXTS) == by_auto).all()


def test_a_prefix_without_a_head_is_read_at_the_first_token(tmp_path):
    training_checkpoint(tmp_path, tiny_bert, prefix=5, head=False)
    encoder = load_encoder(str(tmp_path))
    assert isinstance(encoder[0], PrefixTransformer)
    assert [module.pooling_mode for module in list(encoder)[1:]] == ["cls"]
    with pytest.raises(SimgptError, match="cls head would be random"):
        load_encoder(str(tmp_path), pooling=Pooling.CLS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extra": ["prefix_encoder.trans.0.weight"]}, "projection .* not supported"),
        ({"drop": "layer.1.output.dense.weight"}, "1 of the encoder's weights are missing"),
        ({"drop": "layer"}, "48 of the encoder's weights are missing .*random"),
        ({"head": False, "extra": ["mlp.dense.weight"]}, r"half a head; mlp\.dense\.bias"),
        ({"extra": ["prefix_encoder.embedding.weight"]}, "does not fit this transformer"),
    ],
)
def test_a_broken_training_checkpoint_is_refused(tmp_path, changes, said):
    training_checkpoint(tmp_path, tiny_roberta, **changes)
    with pytest.raises(SimgptError, match=said):
        load_encoder(str(tmp_path))


def test_a_plain_checkpoint_that_lacks_weights_is_refused(tmp_path, capfd):
    training_checkpoint(tmp_path, tiny_bert, head=False, drop="embeddings.LayerNorm")
    with pytest.raises(SimgptError, match="2 of the encoder's weights are missing"):
        load_encoder(str(tmp_path))
    assert capfd.readouterr().err == ""
