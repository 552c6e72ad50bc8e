"""The saved weights lie where the formulas say: between start and end, and amid several runs."""

import json

import pytest
import torch

from simgpt.encoder import load_encoder, weights_sha256
from simgpt.errors import SimgptError
from simgpt.evaluate.scored import describe_model
from simgpt.train.averaging import average_runs, average_weights
from simgpt.train.run import train
from tests.tiny import tiny_bert
from tests.train.support import config


def test_every_weight_moves_to_its_share_of_the_way():
    start, model = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average_weights(model, before, share=0.8)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, 0.2 * before[name] + 0.8 * trained[name])


def test_a_share_of_one_keeps_the_trained_weights_bit_for_bit():
    start, model = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average_weights(model, start.state_dict(), share=1.0)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained[name])


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    given = {"backbone": tiny_bert(folder / "bert"), "pooling": "mean"}
    return [train(config(folder, **given, seed=n), folder / f"seed{n}") for n in (1, 2)]


def test_the_average_of_runs_has_the_mean_of_their_weights(two_runs, tmp_path):
    output = average_runs(two_runs, tmp_path / "average")
    states = [load_encoder(str(folder)).state_dict() for folder in (*two_runs, output)]
    moved = 0
    for name, one in states[0].items():
        torch.testing.assert_close(states[2][name], (one + states[1][name]) / 2)
        moved += not torch.equal(one, states[1][name])
    assert moved > 1  # the runs did differ


def test_a_result_of_an_average_names_its_runs(two_runs, tmp_path):
    output = average_runs(two_runs, tmp_path / "average")
    described = describe_model(str(output))
    assert [run["config"]["seed"] for run in described["averaged"]] == [1, 2]
    assert [run["weights_sha256"] for run in described["averaged"]] == [
        weights_sha256(str(run)) for run in two_runs
    ]
    assert str(tmp_path.parent) not in json.dumps(described)


@pytest.mark.parametrize(
    ("pick", "sentence"),
    [
        (lambda runs, other: runs[:1], "give two or more"),
        (lambda runs, other: [runs[0], runs[0]], "the same weights"),
        (lambda runs, other: [runs[0], other], "holds no finished run"),
    ],
)
def test_what_cannot_be_averaged_is_refused(two_runs, tmp_path, pick, sentence):
    with pytest.raises(SimgptError, match=sentence):
        average_runs(pick(two_runs, tmp_path), tmp_path / "average")
    assert not (tmp_path / "average").exists()


def test_a_folder_that_holds_something_is_left_alone(two_runs, tmp_path):
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SimgptError, match="not empty"):
        average_runs(two_runs, tmp_path)
