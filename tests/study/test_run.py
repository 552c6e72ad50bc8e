"""Every cell is trained and scored once, whatever happens meanwhile."""

import gc
import json
import logging
import shutil
import signal

import pytest
import torch
from filelock import FileLock

from simgpt.errors import SimgptError
from simgpt.study import run_study
from simgpt.train import run as training
from simgpt.train.model import TripletModel
from tests.study.support import inside, resample, results, write_grid
from tests.tiny import tiny_roberta
from tests.train.support import Simgpt, few_development_pairs, sentence, simgpt, wait_until

CELLS = ["both-seed1", "both-seed2", "cold-seed1", "cold-seed2", "plain"]
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def backbone(folder):
    """With dropout, so that a random state that leaks from cell to cell would show."""
    return tiny_roberta(folder / "roberta")


@pytest.fixture(scope="module")
def grid(folder, backbone):
    return write_grid(folder, backbone)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few development pairs while training, few resamples."""
    from simgpt.evaluate import uncertainty

    monkeypatch.setattr(training, "development_task", training.development_task)
    defaults = uncertainty.bootstrap_spearman.__kwdefaults__
    monkeypatch.setitem(defaults, "resamples", defaults["resamples"])
    few_development_pairs()
    resample(50)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes that tests start: sums come out the same
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(folder, grid):
    """The study, run in one go in a process of its own."""
    place = folder / "whole"
    place.mkdir()
    status, said = simgpt(["study", "run", grid], place, inside(place))
    assert status == 0, said
    return place


def run(grid, place, **wanted):
    return run_study(str(grid), output=place / "book" / "results", runs=place / "runs", **wanted)


def found(place):
    return results(place / "book" / "results")


def test_a_study_leaves_a_result_with_cosines_for_every_cell_and_no_weights(whole):
    assert sorted(found(whole)) == CELLS
    output = whole / "book" / "results" / "toy"
    assert {path.name for path in output.iterdir()} == {
        f"{cell}{ending}" for cell in CELLS for ending in (".json", ".safetensors")
    }
    result = json.loads((output / "cold-seed2.json").read_text())
    config = result["model"]["config"]
    assert (config["temperature"], config["seed"]) == (0.02, 2)
    assert result["model"]["precision"] == "fp32"
    assert result["model"]["training"]["triplets"]["count"] == 24
    assert "config" not in json.loads((output / "plain.json").read_text())["model"]
    assert not list((whole / "runs").rglob("*.safetensors"))
    assert (whole / "runs" / "study" / "toy" / "cold-seed2" / "train_log.jsonl").is_file()


def test_a_cell_by_itself_comes_out_as_after_others_in_the_same_process(grid, whole, tmp_path):
    run(grid, tmp_path, rows=["both"], seeds=[2])
    assert found(tmp_path) == {"both-seed2": found(whole)["both-seed2"]}


def test_cells_differ_by_seed_and_by_row(whole):
    assert len(set(found(whole).values())) == len(CELLS)


def test_a_finished_study_is_left_alone(grid, whole, tmp_path, monkeypatch):
    shutil.copytree(whole / "book", tmp_path / "book")
    files = sorted((tmp_path / "book").rglob("*.*"))
    before = [path.stat().st_mtime_ns for path in files]
    monkeypatch.setattr("simgpt.train.train", None)  # called, it would raise
    monkeypatch.setattr("simgpt.evaluate.evaluate_model", None)
    assert run(grid, tmp_path) == {}
    assert [path.stat().st_mtime_ns for path in files] == before
    assert sorted((tmp_path / "book").rglob("*.*")) == files


def test_two_shards_make_the_whole(grid, whole, tmp_path):
    assert run(grid, tmp_path / "a", shard=(1, 2)) == {}
    assert run(grid, tmp_path / "b", shard=(2, 2)) == {}
    one, other = found(tmp_path / "a"), found(tmp_path / "b")
    assert not one.keys() & other.keys()
    assert one | other == found(whole)


@pytest.fixture(scope="module")
def averaging(folder, backbone, grid):
    mean = {"name": "mean", "label": "mean of both", "average_of": "both"}
    both = {"name": "both", "label": "all of it", "data": "few"}
    data = {"few": {"from": str(next(folder.glob("*triplets.jsonl")))}}
    return write_grid(folder, backbone, name="mean", keep_models=True, rows=[both, mean], data=data)


def test_an_average_is_scored_once_its_runs_are_there(averaging, tmp_path):
    reason = "it needs the runs mean/both-seed1, mean/both-seed2; run these here first"
    assert run(averaging, tmp_path, rows=["mean"]) == {"mean/mean": reason}
    assert run(averaging, tmp_path) == {}
    result = json.loads((tmp_path / "book/results/mean/mean.json").read_text())
    assert [held["config"]["seed"] for held in result["model"]["averaged"]] == [1, 2]
    files = (tmp_path / "book/results/mean").glob("*.json")
    assert len({json.loads(file.read_text())["cosines_sha256"] for file in files}) == 3
    assert run(averaging, tmp_path, rows=["mean"]) == {}  # finished, and known to be


def test_an_average_of_other_runs_is_not_taken_for_this_one(averaging, tmp_path):
    run(averaging, tmp_path)
    path = tmp_path / "book/results/mean/mean.json"
    result = json.loads(path.read_text())
    result["model"]["averaged"][1]["config"]["temperature"] = 0.5
    path.write_text(json.dumps(result))
    with pytest.raises(SimgptError, match="both-seed2: temperature"):
        run(averaging, tmp_path, rows=["mean"])


# In the order in which a cell comes by; the number says at which time it is killed.
KILLS = [
    ("config.json is written, not yet in place", 1),
    ("a step begins", 4),
    ("half of the weights are written", 2),
    ("half of the export is written", 1),
    ("COMPLETE is in place", 1),
    ("half of the trainer's folder is gone", 1),
    ("seed1.safetensors", 1),
    ("seed1.json", 1),
]


def test_killed_wherever_it_may_be_the_same_command_ends_in_the_same_results(grid, whole, tmp_path):
    words = ["study", "run", grid, "--rows", "both", "--seeds", "1"]
    for point, count in KILLS:
        status, said = simgpt(words, tmp_path, inside(tmp_path, point, count=count))
        assert status == KILLED, (point, status, said)
    status, said = simgpt(words, tmp_path, inside(tmp_path))
    assert status == 0, said
    assert found(tmp_path) == {"both-seed1": found(whole)["both-seed1"]}
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


def test_a_kill_between_a_result_and_the_removal_of_its_weights_is_tidied_up(
    grid, tmp_path, monkeypatch
):
    def killed(job):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("simgpt.study.run._remove_weights", killed)
        with pytest.raises(KeyboardInterrupt):
            run(grid, tmp_path, rows=["both"], seeds=[1])
    assert list((tmp_path / "runs").rglob("*.safetensors"))
    assert run(grid, tmp_path, rows=["both"], seeds=[1]) == {}
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


def test_a_deleted_result_is_made_again_although_its_weights_were_removed(grid, tmp_path):
    run(grid, tmp_path, rows=["both"], seeds=[1])
    before = found(tmp_path)
    shutil.rmtree(tmp_path / "book")
    run(grid, tmp_path, rows=["both"], seeds=[1])
    assert found(tmp_path) == before


def test_a_study_that_keeps_its_models_keeps_them(folder, backbone, tmp_path):
    grid = write_grid(folder, backbone, name="kept", keep_models=True)
    run(grid, tmp_path, rows=["both"], seeds=[1])
    kept = tmp_path / "runs" / "kept" / "both-seed1"
    assert (kept / "checkpoint" / "model.safetensors").is_file()
    assert (kept / "COMPLETE").is_file()


@pytest.mark.parametrize("setting", ["temperature", "sha256"])
def test_a_result_of_other_settings_or_other_data_is_refused_before_anything_is_run(
    setting, grid, whole, tmp_path
):
    shutil.copytree(whole / "book", tmp_path / "book")
    path = tmp_path / "book" / "results" / "toy" / "cold-seed2.json"
    result = json.loads(path.read_text())
    if setting == "temperature":
        result["model"]["config"]["temperature"] = 0.3
    else:
        result["model"]["training"]["triplets"]["sha256"] = "0" * 64
    path.write_text(json.dumps(result))
    (path.parent / "both-seed1.json").unlink()
    told = {"temperature": "temperature", "sha256": "the triplets' content"}[setting]
    with pytest.raises(SimgptError) as error:
        run(grid, tmp_path)
    assert f"{path}: the result of another run (it differs in {told})" in str(error.value)
    assert not (path.parent / "both-seed1.json").exists()


def test_an_untouched_row_refuses_the_result_of_a_trained_model(grid, whole, tmp_path):
    shutil.copytree(whole / "book", tmp_path / "book")
    output = tmp_path / "book" / "results" / "toy"
    shutil.copy(output / "both-seed1.json", output / "plain.json")
    with pytest.raises(SimgptError, match=r"plain\.json.*differs in name"):
        run(grid, tmp_path)


def test_rows_without_their_data_are_left_out_and_named(
    folder, backbone, tmp_path, monkeypatch, caplog
):
    monkeypatch.delenv("MY_TRIPLETS", raising=False)
    grid = write_grid(
        folder,
        backbone,
        name="absent",
        data={"mine": {"from": "$MY_TRIPLETS"}, "few": {"from": str(folder / "24 triplets.jsonl")}},
        rows=[{"name": "mine", "data": "mine"}, {"name": "few", "data": "few"}],
        reference="few",
    )
    with caplog.at_level(logging.INFO, "simgpt"):
        left_out = run(grid, tmp_path, seeds=[1])
    reason = "data.mine.from: $MY_TRIPLETS is not set; it names a triplets file"
    assert left_out == {"absent/mine-seed1": reason}
    assert f"absent/mine-seed1 is left out: {reason}" in caplog.text
    assert list(results(tmp_path / "book" / "results", "absent")) == ["few-seed1"]


def test_a_cell_that_another_process_is_working_on_is_left_to_it(grid, tmp_path):
    place = tmp_path / "runs" / "toy"
    place.mkdir(parents=True)
    with FileLock(place / ".cold-seed1.lock"):
        left_out = run(grid, tmp_path, seeds=[1])
    assert left_out == {"toy/cold-seed1": "another process is working on it"}
    assert sorted(found(tmp_path)) == ["both-seed1", "plain"]


def test_two_processes_share_a_study_and_no_cell_is_trained_twice(grid, whole, tmp_path):
    both = [Simgpt(["study", "run", grid], tmp_path, inside(tmp_path)) for _ in range(2)]
    ended = [process.wait() for process in both]
    assert [status for status, _ in ended] == [0, 0], ended
    assert found(tmp_path) == found(whole)
    said = "".join(said for _, said in ended)
    for cell in CELLS:
        assert said.count(f"toy/{cell}: development pairs only") == 1


def test_ctrl_c_in_training_and_in_scoring_ends_in_one_sentence(grid, tmp_path):
    words = ["study", "run", grid, "--rows", "both", "--seeds", "1"]
    trained = tmp_path / "runs" / "study" / "toy" / "both-seed1"
    process = Simgpt(words, tmp_path, inside(tmp_path))
    wait_until((trained / "trainer" / "checkpoint-1" / "COMPLETE").exists)
    process.send(signal.SIGINT)
    status, said = process.wait()
    assert status == 130, said
    assert sentence(said).endswith("run the same command to go on")
    process = Simgpt(words, tmp_path, inside(tmp_path, resamples=10_000_000))
    wait_until((trained / "COMPLETE").exists)
    process.send(signal.SIGINT)
    status, said = process.wait()
    assert status == 130, said
    assert sentence(said) == "interrupted; run the same command to go on"


def test_each_finished_cell_gets_a_line_with_its_average_and_the_time_left(
    folder, backbone, toy_senteval, tmp_path, caplog
):
    grid = write_grid(folder, backbone, name="seven", settings={"benchmarks": str(toy_senteval)})
    with caplog.at_level(logging.INFO, "simgpt"):
        run(grid, tmp_path, seeds=[1], rows=["plain", "both"])
    output = tmp_path / "book" / "results" / "seven"
    for cell, rest in (("plain", "; 1 to go, about "), ("both-seed1", "\n")):
        average = json.loads((output / f"{cell}.json").read_text())["average"]
        assert f"seven/{cell}: average of seven {average:.2f}{rest}" in caplog.text


def test_missing_benchmarks_stop_a_study_before_anything_is_trained(folder, backbone, tmp_path):
    gone = str(tmp_path / "gone")
    grid = write_grid(folder, backbone, name="lost", settings={"benchmarks": gone})
    with pytest.raises(SimgptError, match="no benchmarks here"):
        run(grid, tmp_path)
    assert not (tmp_path / "runs" / "lost").exists()


def test_no_trained_model_is_in_memory_while_it_is_scored(grid, tmp_path, monkeypatch):
    alive = []

    def scored(*_, **__):
        alive.extend(thing for thing in gc.get_objects() if type(thing) is TripletModel)
        raise KeyboardInterrupt

    monkeypatch.setattr("simgpt.evaluate.evaluate_model", scored)
    gc.disable()  # which would by chance come first
    try:
        with pytest.raises(KeyboardInterrupt):
            run(grid, tmp_path, rows=["both"], seeds=[1])
    finally:
        gc.enable()
    assert alive == []
