"""The run folder: whose it is, what may change, and what is written down about it."""

import json
from dataclasses import replace

import pytest

from simgpt.config import RunConfig
from simgpt.errors import SimgptError
from simgpt.files import COMPLETE, write_json
from simgpt.train.checkpoints import checkpoint_path, seal
from simgpt.train.folder import is_finished, logged_seconds, open_run
from tests.tiny import tiny_bert
from tests.train.support import (
    Simgpt,
    arguments,
    checkpoint_steps,
    kill_at,
    log_rows,
    sentence,
    settings,
    simgpt,
    wait_until,
    weights,
)

CFG = RunConfig.from_params({"seed": 3})
FACTS = {
    "processes": 1,
    "triplets": {"count": 9, "sha256": "a" * 64},
    "development": {"task": "bundled_dev", "sha256": "b" * 64},
}


def begin(output, *, step=None, cfg=CFG):
    """A run folder as its first sitting leaves it, with a checkpoint after `step`."""
    open_run(cfg, output, FACTS, allow_config_change=False)
    if step:
        path = checkpoint_path(output / "trainer", step)
        path.mkdir(parents=True)
        write_json(path / "trainer_state.json", {"best_global_step": step})
        seal(path)
    return output


def environment(output):
    return json.loads((output / "environment.json").read_text())


def finished(cfg, output, *, allow=False):
    return is_finished(cfg, output, allow_config_change=allow)


def test_a_new_or_empty_folder_is_free(tmp_path):
    assert not finished(CFG, tmp_path / "new")
    assert not finished(CFG, tmp_path)
    (tmp_path / ".lock").touch()
    assert not finished(CFG, tmp_path)
    (tmp_path / ".config.77.tmp.json").touch()  # killed before its first file was in place
    assert not finished(CFG, tmp_path)


@pytest.mark.parametrize("name", ["thesis.tex", "checkpoint", ".config", "environment.json"])
def test_a_folder_with_other_files_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(SimgptError, match="not empty and no run folder; give another --output"):
        finished(CFG, tmp_path, allow=True)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(SimgptError, match="no run folder"):
        finished(CFG, tmp_path / "run")


@pytest.mark.parametrize("held", [{"architectures": ["BertModel"]}, ["a", "list"]])
def test_a_model_folder_is_refused_although_it_has_a_config(tmp_path, held):
    write_json(tmp_path / "config.json", held)
    with pytest.raises(SimgptError, match="no run folder"):
        finished(CFG, tmp_path, allow=True)
    assert json.loads((tmp_path / "config.json").read_text()) == held


def test_a_folder_without_a_checkpoint_may_be_begun_under_another_config(tmp_path):
    begin(tmp_path)
    (tmp_path / "train_log.jsonl").write_text('{"step": 1, "seconds": 5.0}\n{"st')
    other = replace(CFG, learning_rate=1e-3, seed=4)
    assert not finished(other, tmp_path)
    assert open_run(other, tmp_path, FACTS, allow_config_change=False) is None
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 4
    assert environment(tmp_path)["config_changes"] == []
    assert logged_seconds(tmp_path) == 0


def test_another_config_is_refused_by_name_once_there_is_a_checkpoint(tmp_path):
    begin(tmp_path, step=2)
    assert not finished(CFG, tmp_path)
    other = replace(CFG, learning_rate=1e-3, seed=4)
    with pytest.raises(SimgptError, match=r"differs in learning_rate, seed.*--allow-config-change"):
        finished(other, tmp_path)
    assert not finished(other, tmp_path, allow=True)


def test_an_allowed_change_is_written_down_with_step_old_and_new(tmp_path):
    begin(tmp_path, step=2)
    other = replace(CFG, learning_rate=1e-3)
    checkpoint = open_run(other, tmp_path, FACTS, allow_config_change=True)
    assert checkpoint == checkpoint_path(tmp_path / "trainer", 2)
    changes = [{"step": 2, "changes": {"learning_rate": [5e-5, 1e-3]}}]
    assert environment(tmp_path)["config_changes"] == changes
    assert not finished(other, tmp_path)  # it is this run's config now
    open_run(other, tmp_path, FACTS, allow_config_change=False)
    assert environment(tmp_path)["config_changes"] == changes
    assert [sitting["step"] for sitting in environment(tmp_path)["resumed"]] == [2, 2]


@pytest.mark.parametrize("kind", ["triplets", "development"])
def test_other_data_under_the_same_name_is_refused_or_written_down(tmp_path, kind):
    begin(tmp_path, step=2)
    other = FACTS | {kind: FACTS[kind] | {"sha256": "c" * 64}}
    with pytest.raises(SimgptError, match=f"the {kind} data changed since this run began"):
        open_run(CFG, tmp_path, other, allow_config_change=False)
    open_run(CFG, tmp_path, other, allow_config_change=True)
    (change,) = environment(tmp_path)["config_changes"]
    assert change == {"step": 2, "changes": {f"{kind} data": [FACTS[kind], other[kind]]}}
    assert environment(tmp_path)[kind] == other[kind]
    open_run(CFG, tmp_path, other, allow_config_change=False)


def test_a_finished_folder_is_this_runs_or_refused(tmp_path):
    begin(tmp_path)
    (tmp_path / COMPLETE).touch()
    assert finished(CFG, tmp_path)
    for allow in (False, True):
        with pytest.raises(SimgptError, match=r"another run, finished \(it differs in seed\)"):
            finished(replace(CFG, seed=4), tmp_path, allow=allow)


def test_another_number_of_processes_is_told_and_written_down(tmp_path, caplog):
    begin(tmp_path, step=2)
    for processes, told in ((1, None), (4, "was on 1 process and goes on on 4"), (4, None)):
        caplog.clear()
        open_run(CFG, tmp_path, FACTS | {"processes": processes}, allow_config_change=False)
        warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert len(warnings) == (told is not None)
        assert told is None or told in warnings[0]
    assert environment(tmp_path)["processes"] == 1
    assert [sitting["processes"] for sitting in environment(tmp_path)["resumed"]] == [1, 4, 4]


def test_the_log_is_cut_to_the_checkpoint_with_a_torn_last_line_and_its_seconds_go_on(tmp_path):
    begin(tmp_path, step=2)
    lines = [
        {"step": 1, "seconds": 1.5, "loss": 3.0},
        {"step": 2, "seconds": 2.5, "loss": 2.0},
        {"step": 2, "seconds": 2.75, "eval_development_spearman": 0.5},
        {"step": 3, "seconds": 4.0, "loss": 1.0},
    ]
    whole = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "train_log.jsonl").write_text(whole + '{"step": 3, "sec')
    open_run(CFG, tmp_path, FACTS, allow_config_change=False)
    assert log_rows(tmp_path) == lines[:3]
    assert logged_seconds(tmp_path) == 2.75


@pytest.fixture
def given(tmp_path):
    return settings(tmp_path, backbone=tiny_bert(tmp_path / "bert"))


def test_changed_settings_and_data_stop_a_command_until_they_are_allowed(given, tmp_path):
    output = tmp_path / "run"
    simgpt(arguments(output, given), tmp_path, kill_at("a checkpoint is pruned", count=3))
    other = given | {"learning_rate": 1e-4}
    status, said = simgpt(arguments(output, other), tmp_path)
    assert status == 1
    assert "under way (it differs in learning_rate)" in sentence(said)
    triplets = tmp_path / "24 triplets.jsonl"
    triplets.write_text("".join(triplets.open().readlines()[::-1]))
    status, said = simgpt(arguments(output, given), tmp_path)
    assert status == 1
    assert "the triplets data changed since this run began" in sentence(said)
    status, said = simgpt(arguments(output, other, "--allow-config-change"), tmp_path)
    assert status == 0, said
    (change,) = environment(output)["config_changes"]
    assert change["step"] == 3
    assert change["changes"]["learning_rate"] == [1e-3, 1e-4]
    assert set(change["changes"]) == {"learning_rate", "triplets data"}
    # The new rate is not only written down: three of six steps are left, of a linear fall.
    rates = {row["step"]: row["learning_rate"] for row in log_rows(output) if "loss" in row}
    assert [rates[step] for step in (3, 4, 5, 6)] == pytest.approx(
        [1e-3 * 4 / 6, 1e-4 * 3 / 6, 1e-4 * 2 / 6, 1e-4 * 1 / 6]
    )
    before = weights(output)
    status, said = simgpt(arguments(output, other), tmp_path)
    assert status == 0
    assert "holds this run already, finished" in said
    assert weights(output).keys() == before.keys()
    status, said = simgpt(arguments(output, given, "--allow-config-change"), tmp_path)
    assert status == 1
    assert "another run, finished (it differs in learning_rate)" in sentence(said)


def slow_steps():
    import time

    from simgpt.train.trainer import TripletTrainer

    real = TripletTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        time.sleep(0.5)
        return real(self, *args, **kwargs)

    TripletTrainer.compute_loss = compute_loss


def test_a_second_run_on_the_same_folder_is_refused_while_the_first_goes_on(given, tmp_path):
    output = tmp_path / "run"
    first = Simgpt(arguments(output, given), tmp_path, slow_steps)
    wait_until(lambda: checkpoint_steps(output) if (output / "trainer").exists() else False)
    status, said = simgpt(arguments(output, given), tmp_path)
    assert status == 1
    assert sentence(said) == f"{output}: another process is training this run"
    status, said = first.wait()
    assert status == 0, said
    assert len(weights(output)) > 0
