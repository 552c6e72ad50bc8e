"""A run that was killed or stopped, wherever, ends in the weights of one that was not, bit for bit.

Six steps over two epochs, so that kills fall into the middle of an epoch and on the turn of one.
"""

import json
import os
import signal
from functools import partial

import pytest

from tests.tiny import tiny_bert, tiny_roberta
from tests.train.support import (
    POINTS,
    arguments,
    checkpoint_steps,
    kill_at,
    log_rows,
    same,
    sentence,
    settings,
    simgpt,
    weights,
)

KILLED = -signal.SIGKILL
# At the start, then in every moment of a checkpoint, then at the end; the number says at which
# time that a sitting comes by it is killed. What is written after the last whole checkpoint is
# lost; one that is sealed counts, so the run gets on a step where the kill comes later.
KILLS = [
    *((point, 1) for point in list(POINTS)[:11]),
    ("half of the weights are written", 2),
    ("trainer_state.json is written", 2),
    ("a checkpoint is written, not sealed", 1),
    ("the seal is written, not yet in place", 1),
    ("a checkpoint is sealed, the others not pruned", 1),
    ("half of a checkpoint is pruned", 1),
    ("a checkpoint is pruned", 1),
    *((point, 1) for point in list(POINTS)[17:]),
]


def dropout_of(backbone, share):
    path = backbone / "config.json"
    shares = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), share)
    path.write_text(json.dumps(json.loads(path.read_text()) | shares))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def roberta(folder):
    """Its dropout is on, and its head for masked words is there."""
    return tiny_roberta(folder / "roberta", mlm=True)


@pytest.fixture(scope="module")
def bert(folder):
    backbone = tiny_bert(folder / "bert")
    dropout_of(backbone, 0.0)
    return backbone


@pytest.fixture(scope="module")
def undisturbed(folder, roberta):
    """A run of six steps with dropout and masked words, and its settings."""
    given = settings(folder, backbone=roberta, mlm_weight=0.1)
    status, said = simgpt(arguments(folder / "undisturbed", given), folder)
    assert status == 0, said
    return given, folder / "undisturbed"


def test_killed_wherever_it_may_be_the_run_ends_in_the_same_weights(undisturbed, tmp_path):
    given, whole = undisturbed
    output, reached = tmp_path / "killed", []
    for point, count in KILLS:
        status, said = simgpt(arguments(output, given), tmp_path, kill_at(point, count=count))
        assert status == KILLED, (point, status, said)
        assert "Traceback" not in said
        reached.append(max(checkpoint_steps(output), default=0))
    status, said = simgpt(arguments(output, given), tmp_path)
    assert status == 0, said
    assert {point for point, _ in KILLS} == set(POINTS)
    assert set(range(7)) <= set(reached)
    assert same(weights(output), weights(whole))
    told, expected = log_rows(output), log_rows(whole)
    for row in (*told, *expected):
        assert row.pop("seconds") > 0
    assert told == expected


VARIANTS = {
    "without dropout, energy on, passes repeated": (
        "bert",
        {"energy_weight": 5, "hard_negative_weight": 0.8, "mini_batch_size": 4},
        ("a checkpoint is pruned", 3),
    ),
    "behind a prefix, words masked": (
        "roberta",
        {"prefix_tokens": 3, "mlm_weight": 0.1, "learning_rate": 1e-2},
        ("a checkpoint is pruned", 3),
    ),
    "checkpoints every other step, averaged with the backbone, the last batch small": (
        "roberta",
        {"eval_steps": 2, "trained_share": 0.5, "pooling": "mean", "triplets": 22},
        ("a step begins", 4),
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_three_steps_a_kill_and_the_rest_give_the_weights_of_six_steps(
    variant, folder, roberta, bert, tmp_path
):
    backbone, more, (point, count) = VARIANTS[variant]
    given = settings(folder, backbone={"bert": bert, "roberta": roberta}[backbone], **more)
    for name in ("whole", "again"):
        status, said = simgpt(
            arguments(tmp_path / name, given),
            tmp_path,
            kill_at(point, count=count) if name == "again" else None,
        )
        assert status == (KILLED if name == "again" else 0), said
    status, said = simgpt(arguments(tmp_path / "again", given), tmp_path)
    assert status == 0, said
    assert "going on after step" in said
    assert same(weights(tmp_path / "again"), weights(tmp_path / "whole"))
    (resumed,) = json.loads((tmp_path / "again" / "environment.json").read_text())["resumed"]
    assert resumed["step"] == (2 if given["eval_steps"] == 2 else 3)


def signal_in_step(number, step):
    """A `prepare`: the signal arrives in the middle of the step."""
    from simgpt.train.trainer import TripletTrainer

    real = TripletTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        if self.state.global_step + 1 == step:
            os.kill(os.getpid(), number)
        return real(self, *args, **kwargs)

    TripletTrainer.compute_loss = compute_loss


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_writes_a_checkpoint_and_the_same_command_goes_on(
    number, undisturbed, tmp_path
):
    given, whole = undisturbed
    given = given | {"eval_steps": 4}  # no checkpoint is due where the signal comes
    output = tmp_path / "run"
    status, said = simgpt(
        arguments(output, given), tmp_path, partial(signal_in_step, number, step=2)
    )
    assert status == 128 + number
    assert sentence(said) == "stopped after step 2 of 6; run the same command to go on"
    assert checkpoint_steps(output) == [2]
    assert not (output / "COMPLETE").exists()
    status, said = simgpt(
        arguments(output, given), tmp_path, partial(signal_in_step, number, step=5)
    )
    assert status == 128 + number
    assert checkpoint_steps(output) == [4, 5]  # the best so far, and the last
    assert simgpt(arguments(output, given), tmp_path)[0] == 0
    status, said = simgpt(arguments(tmp_path / "whole", given), tmp_path)
    assert status == 0, said
    assert same(weights(output), weights(tmp_path / "whole"))
    rows = log_rows(output)
    steps = [row["step"] for row in rows if "loss" in row]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "eval_development_spearman" in row] == [4, 6]
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)


def test_a_signal_in_the_last_step_lets_the_run_finish(undisturbed, tmp_path):
    given, whole = undisturbed
    output = tmp_path / "run"
    prepare = partial(signal_in_step, signal.SIGTERM, step=6)
    status, said = simgpt(arguments(output, given), tmp_path, prepare)
    assert status == 0, said
    assert same(weights(output), weights(whole))
