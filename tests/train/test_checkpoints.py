"""Checkpoints: sealed when whole, set aside when torn, and never the cause of a lost run."""

import json
from functools import partial

import pytest
import torch
from torch import nn

from simgpt.errors import SimgptError
from simgpt.files import COMPLETE
from simgpt.train.checkpoints import (
    checkpoint_path,
    is_sealed,
    load_weights,
    newest_checkpoint,
    prune,
    save_weights,
    seal,
)
from tests.tiny import tiny_bert
from tests.train.support import (
    arguments,
    checkpoint_steps,
    kill_at,
    same,
    sentence,
    settings,
    simgpt,
    weights,
)


def write_checkpoint(folder, step, *, best=None, sealed=True):
    path = checkpoint_path(folder, step)
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights" * 100)
    (path / "trainer_state.json").write_text(json.dumps({"best_global_step": best or step}))
    if sealed:
        seal(path)
    return path


def test_a_checkpoint_counts_once_it_is_sealed_and_as_long_as_its_files_are_whole(tmp_path):
    path = write_checkpoint(tmp_path, 4, sealed=False)
    assert not is_sealed(path)
    seal(path)
    assert is_sealed(path)
    for spoil in (
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(b""),
        lambda file: file.unlink(),
    ):
        spoil(path / "model.safetensors")
        assert not is_sealed(path)
        (path / "model.safetensors").write_bytes(b"weights" * 100)
        assert is_sealed(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"model.safetensors": '])
def test_a_seal_that_cannot_be_read_is_none(tmp_path, content):
    path = write_checkpoint(tmp_path, 4)
    (path / COMPLETE).write_text(content)
    assert not is_sealed(path)


def test_the_newest_whole_checkpoint_is_used_and_torn_ones_are_named_and_set_aside(
    tmp_path, caplog
):
    for step in (2, 9, 10):
        write_checkpoint(tmp_path, step, sealed=step != 10)
    (checkpoint_path(tmp_path, 9) / "model.safetensors").write_bytes(b"we")
    assert newest_checkpoint(tmp_path) == checkpoint_path(tmp_path, 2)
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "checkpoint-2",
        "torn-checkpoint-9",
        "torn-checkpoint-10",
    }
    for record, step in zip(caplog.records, (10, 9), strict=True):
        assert record.levelname == "WARNING"
        assert f"checkpoint-{step} was torn" in record.getMessage()
        assert f"torn-checkpoint-{step}" in record.getMessage()


def test_a_checkpoint_torn_a_second_time_is_set_aside_too(tmp_path):
    for _ in range(2):
        write_checkpoint(tmp_path, 3, sealed=False)
        assert newest_checkpoint(tmp_path) is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["torn-checkpoint-3"]


def test_without_the_checkpoint_of_the_best_score_a_later_one_is_of_no_use(tmp_path, caplog):
    """The run would train to its end, and then find that the weights to export are not there."""
    write_checkpoint(tmp_path, 2)
    best = write_checkpoint(tmp_path, 4)
    write_checkpoint(tmp_path, 6, best=4)
    assert newest_checkpoint(tmp_path) == checkpoint_path(tmp_path, 6)
    (best / "model.safetensors").write_bytes(b"we")
    assert newest_checkpoint(tmp_path) == checkpoint_path(tmp_path, 2)
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "checkpoint-4 was torn" in told
    assert "checkpoint-6" in told


def test_pruning_keeps_the_steps_it_is_told_and_whatever_is_no_checkpoint(tmp_path):
    for step in (1, 2, 3, 10):
        write_checkpoint(tmp_path, step)
    (tmp_path / "torn-checkpoint-7").mkdir()
    (tmp_path / "checkpoint-of-mine").mkdir()
    prune(tmp_path, keep={3, 1})
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "checkpoint-1",
        "checkpoint-3",
        "torn-checkpoint-7",
        "checkpoint-of-mine",
    }


def test_weights_come_back_bit_for_bit_and_frozen_ones_are_not_stored(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    save_weights(model, tmp_path)
    again = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    again[0].requires_grad_(False)
    frozen = again[0].weight.clone()
    load_weights(again, tmp_path)
    assert same(dict(again[1].named_parameters()), dict(model[1].named_parameters()))
    assert torch.equal(again[0].weight, frozen)


def test_weights_of_another_model_are_refused(tmp_path):
    save_weights(nn.Linear(3, 4), tmp_path)
    for other in (nn.Linear(4, 4), nn.Linear(3, 4, bias=False)):
        with pytest.raises(SimgptError, match="do not fit the model of this config"):
            load_weights(other, tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run and its settings."""
    folder = tmp_path_factory.mktemp("whole")
    given = settings(folder, backbone=tiny_bert(folder / "bert"))
    status, said = simgpt(arguments(folder / "run", given), folder)
    assert status == 0, said
    return given, folder / "run"


@pytest.mark.parametrize("torn", ["the last", "all"])
def test_a_run_with_a_torn_checkpoint_goes_on_from_a_whole_one_or_begins_anew(
    whole, torn, tmp_path
):
    given, reference = whole
    output = tmp_path / "run"
    point = "a checkpoint is sealed, the others not pruned"
    simgpt(arguments(output, given), tmp_path, kill_at(point, count=3))
    assert checkpoint_steps(output)[-2:] == [2, 3]
    for step in checkpoint_steps(output) if torn == "all" else [3]:
        file = checkpoint_path(output / "trainer", step) / "optimizer.pt"
        file.write_bytes(file.read_bytes()[:-100])
    status, said = simgpt(arguments(output, given), tmp_path)
    assert status == 0, said
    assert "checkpoint-3 was torn" in said
    assert "torn-checkpoint-3" in said
    assert ("going on after step 2" in said) == (torn == "the last")
    assert ("going on" in said) == (torn == "the last")
    assert same(weights(output), weights(reference))


def fill_the_disk(place, full_at):
    """A `prepare`: the disk fills up in the middle of the `full_at`-th file that torch writes."""
    import errno

    real = torch.save
    left = [full_at]

    def save(content, path, *args, **kwargs):
        real(content, path, *args, **kwargs)
        left[0] -= 1
        if not left[0]:
            with open(path, "r+b") as file:  # noqa: PTH123
                file.truncate(file.seek(0, 2) // 2)
            raise OSError(errno.ENOSPC, "No space left on device")

    torch.save = save


def test_a_full_disk_is_one_sentence_and_costs_neither_space_nor_the_checkpoint_before(
    whole, tmp_path
):
    given, reference = whole
    output = tmp_path / "run"
    # Three files a checkpoint go through torch: the fifth belongs to the second.
    status, said = simgpt(arguments(output, given), tmp_path, partial(fill_the_disk, output, 5))
    assert status == 1
    assert "checkpoint-2: the disk is full; free some space and run the command" in sentence(said)
    assert checkpoint_steps(output) == [1]  # the half-written one gave its space back
    assert is_sealed(checkpoint_path(output / "trainer", 1))
    status, said = simgpt(arguments(output, given), tmp_path)
    assert status == 0, said
    assert "going on after step 1" in said
    assert "torn" not in said
    assert same(weights(output), weights(reference))
