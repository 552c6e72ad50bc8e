"""Exported encoders give the encoder's vectors: each form is opened as a stranger would open it."""

import re
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from torch.nn.functional import normalize
from typer.testing import CliRunner

from simgpt import SimgptError
from simgpt.cli import app
from simgpt.config import Pooling
from simgpt.encoder import load_encoder
from simgpt.encoder.prefix import add_prefix
from simgpt.train import export
from simgpt.train.export import Form, export_model
from tests.conftest import REPOSITORY
from tests.tiny import TEXTS, shake, tiny_bert, tiny_roberta

POOLINGS = [pooling for pooling in Pooling if pooling is not Pooling.AUTO]
ARCHITECTURES = pytest.mark.parametrize("tiny", [tiny_bert, tiny_roberta])


def saved(folder, tiny, pooling, *, prefix=0):
    """A SentenceTransformer folder with a head and a prefix large enough to matter."""
    encoder = load_encoder(str(tiny(folder / "tiny")), pooling=pooling, fresh_head=True)
    if pooling is Pooling.CLS:
        shake(encoder[2], seed=1)
    if prefix:
        add_prefix(encoder, prefix)
        with torch.no_grad():
            encoder[0].prefix.normal_(0, 1, generator=torch.Generator().manual_seed(3))
    encoder.save(str(folder / "saved"), create_model_card=False)
    return folder / "saved", encoder


def vectors(encoder, texts=TEXTS):
    return normalize(torch.tensor(encoder.encode(texts)))


def by_readme(folder, texts=TEXTS):
    """Run the code in the exported folder's README, with this folder and these texts."""
    code = re.search(r"```python\n(.+?)```", (folder / "README.md").read_text(), re.DOTALL)[1]
    code = code.replace("FOLDER", str(folder))
    code, count = re.subn(r"texts = \[.+\]", f"texts = {texts!r}", code)
    assert count == 1
    names = {}
    exec(code, names)
    return normalize(torch.as_tensor(names["vectors"])), names


def close(found, expected, atol):
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


@ARCHITECTURES
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_saved_encoder_opens_with_sentence_transformers_alone(tmp_path, tiny, pooling):
    folder, encoder = saved(tmp_path, tiny, pooling)
    close(vectors(SentenceTransformer(str(folder))), vectors(encoder), 1e-6)


@ARCHITECTURES
@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_plain_form_read_as_its_readme_says_gives_the_same_vectors(tmp_path, tiny, pooling):
    folder, encoder = saved(tmp_path, tiny, pooling)
    assert export_model(str(folder), Form.TRANSFORMERS, tmp_path / "plain") <= 1e-6
    found, names = by_readme(tmp_path / "plain")
    close(found, vectors(encoder), 1e-6)
    assert ("pooler_output" in (tmp_path / "plain" / "README.md").read_text()) == (
        pooling is Pooling.CLS
    )
    # A pooler that is not the head is not there to be mistaken for it.
    weights = load_file(tmp_path / "plain" / "model.safetensors")
    assert any("pooler" in name for name in weights) == (pooling is Pooling.CLS)
    if pooling is not Pooling.CLS:
        assert names["output"].pooler_output is None


def test_the_published_form_of_a_head_loads_here_too(tmp_path):
    folder, encoder = saved(tmp_path, tiny_bert, Pooling.CLS)
    export_model(str(folder), Form.TRANSFORMERS, tmp_path / "plain")
    again = load_encoder(str(tmp_path / "plain"), pooling=Pooling.CLS)
    close(vectors(again), vectors(encoder), 1e-6)


def test_long_texts_are_cut_alike(tmp_path):
    folder, encoder = saved(tmp_path, tiny_roberta, Pooling.MEAN)
    export_model(str(folder), Form.TRANSFORMERS, tmp_path / "plain")
    long = [TEXTS[2] * 10, "No."]
    close(by_readme(tmp_path / "plain", long)[0], vectors(encoder, long), 1e-6)


def test_onnx_gives_the_same_vectors_with_pooling_head_and_prefix(tmp_path):
    for name, tiny, pooling, prefix in (
        ("layers", tiny_roberta, Pooling.AVG_FIRST_LAST, 0),
        ("prefix", tiny_bert, Pooling.CLS, 5),
    ):
        folder, encoder = saved(tmp_path / name, tiny, pooling, prefix=prefix)
        output = tmp_path / name / "onnx"
        assert export_model(str(folder), Form.ONNX, output) <= 1e-5
        for texts in ([TEXTS[1]], TEXTS, [*TEXTS, TEXTS[2] * 10] * 3):
            close(by_readme(output, texts)[0], vectors(encoder, texts), 1e-5)
        names = {path.name for path in output.iterdir()}
        assert names == {"model.onnx", "README.md", "tokenizer.json", "tokenizer_config.json"}
        for file in output.iterdir():
            for private in (REPOSITORY, tmp_path, sys.prefix):
                assert str(private).encode() not in file.read_bytes(), file.name


def test_a_prefix_has_no_plain_form(tmp_path):
    folder, _ = saved(tmp_path, tiny_roberta, Pooling.CLS, prefix=4)
    with pytest.raises(SimgptError, match="cannot carry a prefix; use --to onnx"):
        export_model(str(folder), Form.TRANSFORMERS, tmp_path / "plain")
    assert not (tmp_path / "plain").exists()


def test_modules_that_no_plain_transformer_has_are_named(tmp_path):
    folder, encoder = saved(tmp_path, tiny_bert, Pooling.CLS)
    encoder[1].pooling_mode = "max"
    encoder.save(str(folder), create_model_card=False)
    with pytest.raises(SimgptError, match=r"\(Transformer, Pooling, Dense\) have no plain form"):
        export_model(str(folder), Form.TRANSFORMERS, tmp_path / "plain")


def test_a_prompt_before_every_text_is_refused(tmp_path):
    folder, encoder = saved(tmp_path, tiny_bert, Pooling.MEAN)
    encoder.prompts["search"], encoder.default_prompt_name = "dog : ", "search"
    encoder.save(str(folder), create_model_card=False)
    with pytest.raises(SimgptError, match=r"puts a prompt \(search\) in front of every text"):
        export_model(str(folder), Form.TRANSFORMERS, tmp_path / "plain")


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    folder, _ = saved(tmp_path, tiny_bert, Pooling.MEAN)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("x")
    for output in (tmp_path / "thesis", tmp_path / "thesis" / "thesis.tex"):
        with pytest.raises(SimgptError, match="not an empty folder; give another --output"):
            export_model(str(folder), Form.TRANSFORMERS, output)
    assert (tmp_path / "thesis" / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize("difference", [2e-6, float("nan")])
def test_a_form_with_other_vectors_is_not_kept(tmp_path, monkeypatch, difference):
    folder, _ = saved(tmp_path, tiny_bert, Pooling.MEAN)
    monkeypatch.setattr(export, "_difference", lambda found, expected: difference)
    (tmp_path / "plain").mkdir()
    with pytest.raises(SimgptError, match="vectors differ by"):
        export_model(str(folder), Form.TRANSFORMERS, tmp_path / "plain")
    assert list((tmp_path / "plain").iterdir()) == []
    assert not list(tmp_path.glob(".*.tmp*"))


def test_missing_packages_are_named_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(SimgptError, match=r'onnxscript not installed; pip install "\.\[onnx\]"'):
        export_model("no such model", Form.ONNX, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_an_unfinished_run_is_not_exported(tmp_path):
    folder, _ = saved(tmp_path, tiny_bert, Pooling.MEAN)
    run = tmp_path / "run"
    shutil.copytree(folder, run / "checkpoint")
    for name in ("config.json", "environment.json"):
        (run / name).write_text("{}")
    with pytest.raises(SimgptError, match="not finished"):
        export_model(str(run), Form.TRANSFORMERS, tmp_path / "plain")
    (run / "COMPLETE").touch()
    assert export_model(str(run), Form.TRANSFORMERS, tmp_path / "plain") <= 1e-6


def test_the_command_exports_and_names_the_forms_there_are(tmp_path):
    folder, encoder = saved(tmp_path, tiny_bert, Pooling.CLS)
    asked = ["export", str(folder), "--output", str(tmp_path / "plain"), "--to"]
    done = CliRunner().invoke(app, [*asked, "keras"])
    assert str(done.exception) == "--to is 'keras'; it must be one of: transformers, onnx"
    done = CliRunner().invoke(app, [*asked, "transformers"])
    assert done.exit_code == 0, done.output
    assert "differ from the encoder's by" in done.output
    close(by_readme(tmp_path / "plain")[0], vectors(encoder), 1e-6)
