"""The model card says what the run's files say, and names no place on the machine."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

from simgpt import SimgptError
from simgpt.cli import app
from simgpt.config import RunConfig
from simgpt.encoder import load_encoder, weights_sha256
from simgpt.encoder.prefix import add_prefix
from simgpt.files import read_json, sha256_of, write_json
from simgpt.train import train
from simgpt.train.card import model_card, write_card
from tests.conftest import REPOSITORY
from tests.tiny import TEXTS, tiny_bert, tiny_roberta

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TASKS = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb", "sickr")


def make_run(folder, **settings):
    """A run folder with weights of five bytes; `settings` go into its config."""
    run = folder / "my-run"
    params = {"backbone": "some/backbone", "batch_size": 4, "learning_rate": 3e-4, **settings}
    cfg = RunConfig.from_params(params)
    write_json(run / "config.json", cfg.to_dict())
    triplets = Path(cfg.triplets)
    environment = {
        "simgpt": "0.9.9",
        "python": "3.11.99",
        "packages": {"torch": "2.99.0"},
        "machine": {"system": "Linux", "cpu": "Abacus", "cores": 7, "threads": 7, "gpus": ["G9"]},
        "git": {"commit": COMMIT, "dirty": True},
        "started": "2026-01-02T03:04:05+00:00",
        "processes": 3,
        "seconds": 654.3,
        "triplets": {
            "count": 4321,
            "sha256": sha256_of(triplets) if triplets.is_file() else "b" * 64,
        },
        "development": {"task": "bundled_dev", "sha256": "d" * 64},
        "resumed": [],
        "config_changes": [],
    }
    write_json(run / "environment.json", environment)
    scores = ((2, 0.5), (4, 0.81239), (6, 0.7))
    rows = [{"step": s, "seconds": 1.0, "eval_development_spearman": v} for s, v in scores]
    (run / "train_log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    stock = "sentence_transformers.sentence_transformer.modules"
    modules = [{"type": f"{stock}.{name}"} for name in ("Transformer", "Pooling")]
    write_json(run / "checkpoint" / "modules.json", modules)
    (run / "checkpoint" / "model.safetensors").write_bytes(b"small")
    return run


def score(run, *, tasks=TASKS):
    def one(name):
        return {"spearman": 0.7654321, "signature": f"{name}|pairs:9|v0.9.9", "subsets": {}}

    result = {
        "model": {"weights_sha256": weights_sha256(str(run / "checkpoint"))},
        "tasks": {name: one(name) for name in tasks},
        "average": 76.54 if tasks else None,
        "development": {"bundled_dev": one("bundled_dev")},
        "environment": {"simgpt": "0.9.8", "git": {"commit": "f" * 40, "dirty": False}},
    }
    write_json(run / "scores.json", result)


def annotated(folder):
    """A triplets file with the summary that `simgpt annotate` puts beside it."""
    triplets = folder / "my triplets.jsonl"
    triplets.write_text("{}\n")
    summary = {
        "files": {triplets.name: sha256_of(triplets)},
        "outcomes": {"captions": {"kept": 1}, "questions": {"kept": 2}},
        "models": {"teacher-1-2026": 3},
        "setups": [
            {
                "model": "teacher-1",
                "prompt": "captions",
                "prompt_hash": "abcdef0123456789",
                "sampling": {"temperature": 1.0},
            }
        ],
        "usd": 12.34567,
    }
    write_json(folder / "my triplets.summary.json", summary)
    return triplets


def test_the_front_matter_is_a_hugging_face_model_cards(tmp_path):
    data = ModelCard(model_card(make_run(tmp_path))).data.to_dict()
    assert data["library_name"] == "sentence-transformers"
    assert data["pipeline_tag"] == "sentence-similarity"
    assert data["base_model"] == "some/backbone"
    assert data["language"] == "en"
    assert "simcse" in data["tags"]
    assert not {"license", "datasets", "model-index"} & data.keys()  # nothing that is not known


def test_settings_run_and_choice_are_told_with_the_files_numbers(tmp_path):
    run = make_run(tmp_path, temperature=0.07, seed=19, trained_share=0.8)
    card = model_card(run)
    for words in (
        "# my-run",
        "| `temperature` | `0.07` |",
        "| `learning_rate` | `0.0003` |",
        "| seed | 19 |",
        "| steps | 6 |",
        "| seconds | 654.3 |",
        "| processes | 3 |",
        "Linux, Abacus, 7 cores",
        "| GPUs | G9 |",
        "simgpt 0.9.9, Python 3.11.99, torch 2.99.0",
        f"`{COMMIT}` with uncommitted changes",
        "Of 3 checkpoints that of step 4 was kept",
        "`bundled_dev`, 81.24 (x 100)",
        "0.8 x trained",
        "cut at 32 tokens",
        weights_sha256(str(run / "checkpoint")),
    ):
        assert words in card, words
    assert "teacher" not in card  # a notebook's setting
    assert "cut short" not in card


def test_the_objective_is_told_in_words(tmp_path):
    plain = model_card(make_run(tmp_path))
    assert "dissimilar ones" in plain.split("## Use")[0]
    assert "hinge" not in plain.split("## Training")[0]
    assert "trust_remote_code" not in plain
    every = {"prefix_tokens": 11, "energy_weight": 5, "mlm_weight": 0.05, "pooling": "cls"}
    full = model_card(make_run(tmp_path / "full", **every))
    head = full.split("## Use")[0]
    for words in (
        "frozen behind PromCSE's prefix, 11 keys",
        "energy hinge",
        "masked language",
        "tanh",
    ):
        assert words in head, words
    assert "trust_remote_code=True)" in full
    assert "simgpt, which must be installed" in full
    assert "- promcse" in full
    pairs = model_card(make_run(tmp_path / "pairs", hard_negatives=False))
    assert "dissimilar" not in pairs.split("## Use")[0]


def test_bundled_triplets_are_told_with_the_licence_of_their_own_card(tmp_path):
    card = model_card(make_run(tmp_path))
    assert f"| `annotations.jsonl` | 4,321 | `{'b' * 64}` |" in card
    assert "Licence: cc0-1.0" in card
    assert "captions, multi_genre, questions" in card


def test_ones_own_triplets_are_told_with_teacher_prompt_and_cost(tmp_path):
    triplets = annotated(tmp_path)
    card = model_card(make_run(tmp_path, triplets=str(triplets)))
    for words in (
        f"| `my triplets.jsonl` | 4,321 | `{sha256_of(triplets)}` |",
        "`teacher-1`",
        "`abcdef0123456789`",
        "temperature 1.0",
        "`teacher-1-2026`",
        "cost 12.3457 US dollars",
        "(captions, questions)",
    ):
        assert words in card, words
    assert "language:" not in card.split("# my-run")[0]


def test_a_summary_of_other_triplets_says_nothing(tmp_path):
    triplets = annotated(tmp_path)
    triplets.write_text("{}\n{}\n")
    card = model_card(make_run(tmp_path, triplets=str(triplets)))
    assert "teacher-1" not in card
    assert "who wrote it is unknown" in card


def test_a_later_card_needs_neither_the_triplets_nor_the_backbone(tmp_path):
    (tmp_path / "backbone").mkdir()
    triplets = annotated(tmp_path)
    run = make_run(tmp_path, triplets=str(triplets), backbone=str(tmp_path / "backbone"))
    write_card(run)
    (run / "COMPLETE").touch()
    before = (run / "checkpoint" / "README.md").read_text()
    triplets.unlink()
    (tmp_path / "my triplets.summary.json").unlink()
    (tmp_path / "backbone").rmdir()
    write_card(run)
    assert (run / "checkpoint" / "README.md").read_text() == before
    assert "teacher-1" in before
    assert "base_model" not in before


def test_scores_are_told_with_signatures_and_the_development_pairs_apart(tmp_path):
    run = make_run(tmp_path)
    assert "not scored yet" in model_card(run)
    score(run)
    card = model_card(run)
    assert "not scored yet" not in card
    seven, development = card.split("## Scores")[1].split("**not a benchmark**")
    for name in TASKS:
        assert rf"| 76.54 | `{name}\|pairs:9\|v0.9.9` |" in seven
    assert "| average | 76.54 |" in seven
    assert "bundled_dev" in development
    assert "bundled_dev" not in seven
    assert f"simgpt 0.9.8, commit `{'f' * 40}`." in development


def test_development_scores_alone_leave_a_run_unscored(tmp_path):
    run = make_run(tmp_path)
    score(run, tasks=())
    card = model_card(run)
    assert "not scored yet" in card
    assert "average" not in card.split("## Scores")[1].split("## Limits")[0]
    assert "**not a benchmark**" in card


def test_scores_of_other_weights_are_not_told(tmp_path):
    run = make_run(tmp_path)
    score(run)
    (run / "checkpoint" / "model.safetensors").write_bytes(b"other")
    card = model_card(run)
    assert "not scored yet" in card
    assert "76.54" not in card


def test_what_happened_on_the_way_is_told(tmp_path):
    run = make_run(tmp_path)
    environment = read_json(run / "environment.json")
    git = {"commit": "e" * 40, "dirty": False}
    environment["resumed"] = [{"step": 2, "processes": 1, "git": git, "started": "2026"}]
    data = [{"count": 5, "sha256": "1" * 64}, {"count": 6, "sha256": "2" * 64}]
    changes = {
        "seed": [1, 2],
        "triplets": [f"{tmp_path}/a.jsonl", "b.jsonl"],
        "triplets data": data,
    }
    environment["config_changes"] = [{"step": 4, "changes": changes}]
    write_json(run / "environment.json", environment)
    card = model_card(run)
    assert f"Went on after step 2, 1 process, commit `{'e' * 40}`." in card
    assert "**Changed after step 4:** seed from 1 to 2; triplets from a.jsonl to b.jsonl" in card
    assert "triplets data from count 5, sha256 11111111 to count 6, sha256 22222222." in card


def test_no_path_of_the_machine_is_in_a_card(tmp_path):
    (tmp_path / "backbone").mkdir()
    settings = {
        "backbone": str(tmp_path / "backbone"),
        "triplets": str(annotated(tmp_path)),
        "benchmarks": str(tmp_path / "senteval"),
    }
    run = make_run(tmp_path, **settings)
    score(run)
    write_card(run)
    for file in (run / "checkpoint" / "README.md", run / "environment.json"):
        for place in (tmp_path, REPOSITORY, Path.home()):
            assert f"{place}/" not in file.read_text()
    assert "`senteval`" in (run / "checkpoint" / "README.md").read_text()


def test_a_run_without_its_log_is_an_error(tmp_path):
    run = make_run(tmp_path)
    (run / "train_log.jsonl").unlink()
    with pytest.raises(SimgptError, match="no such file"):
        model_card(run)


@pytest.mark.parametrize("prefix", [0, 4])
def test_the_cards_code_gives_similarities(tmp_path, prefix):
    run = make_run(tmp_path, prefix_tokens=prefix, pooling="cls")
    encoder = load_encoder(str(tiny_roberta(tmp_path / "tiny")), pooling="cls", fresh_head=True)
    if prefix:
        add_prefix(encoder, prefix)
    shutil.rmtree(run / "checkpoint")
    encoder.save(str(run / "checkpoint"), create_model_card=False)
    write_card(run)
    card = (run / "checkpoint" / "README.md").read_text()
    code = re.search(r"```python\n(.+?)```", card, re.DOTALL)[1]
    names = {"print": lambda shown: names.update(shown=shown)}
    exec(code.replace("path/to/this/folder", str(run / "checkpoint")), names)
    torch.testing.assert_close(names["shown"].diagonal(), torch.ones(2), atol=1e-5, rtol=0)
    expected = encoder.encode(TEXTS[:1])
    assert abs(names["model"].encode(TEXTS[:1]) - expected).max() < 1e-6


def test_training_writes_the_card_and_evaluating_writes_it_again(tmp_path):
    tiny = tiny_bert(tmp_path / "tiny")
    settings = {"backbone": str(tiny), "max_triplets": 8, "batch_size": 4, "eval_steps": 2}
    run = train(RunConfig.from_params(settings), tmp_path / "run")
    path = run / "checkpoint" / "README.md"
    assert "not scored yet" in path.read_text()
    assert "not a benchmark" not in path.read_text()
    weights = weights_sha256(str(run))
    done = CliRunner().invoke(app, ["evaluate", str(run), "--benchmarks", "bundled"])
    assert done.exit_code == 0, done.output
    signature = read_json(run / "scores.json")["development"]["bundled_dev"]["signature"]
    assert signature.replace("|", r"\|") in path.read_text()
    assert "**not a benchmark**" in path.read_text()
    assert weights in path.read_text()
    assert weights_sha256(str(run)) == weights
    assert SentenceTransformer(str(run / "checkpoint")).encode(TEXTS).shape == (4, 32)
