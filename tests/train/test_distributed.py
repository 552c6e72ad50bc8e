"""Two processes train as one would: the same losses, weights and files, and each way to start them.

Where nothing is said of a launcher, the processes get the environment that torchrun would give
them: starting one takes ten seconds.
"""

import json
import os
import signal
import subprocess
import sys
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from simgpt.train import model as model_module
from simgpt.train.mlm import IGNORED
from simgpt.train.run import build_model
from tests.tiny import tiny_roberta
from tests.train.support import (
    Simgpt,
    arguments,
    call,
    checkpoint_steps,
    config,
    furthest,
    group,
    log_rows,
    loopback,
    sentence,
    settings,
    simgpt,
    wait_until,
    weights,
)
from tests.train.test_resume import dropout_of, signal_in_step
from tests.train.test_trainer import batch

CLOSE = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def backbone(folder):
    """Without dropout, whose masks differ between processes."""
    made = tiny_roberta(folder / "roberta", mlm=True)
    dropout_of(made, 0.0)
    return made


def environment(output):
    return json.loads((output / "environment.json").read_text())


def together(words, log, prepare=None, size=2):
    """Exit status and words of each process of a group."""
    running = [Simgpt(words, log, prepare, rank) for rank in group(size)]
    return [process.wait() for process in running]


@pytest.fixture
def launch():
    """Start a launcher; what is left of it and of its processes ends with the test."""
    started = []

    def start(*words):
        kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=kept | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback()},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()  # it ends its own processes, which are no children of this one
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def alone(folder, backbone):
    """A run of four steps in one process, with its settings."""
    given = settings(
        folder, backbone=backbone, triplets=16, hard_negative_weight=0.8, energy_weight=5
    )
    status, said = simgpt(arguments(folder / "alone", given), folder)
    assert status == 0, said
    assert environment(folder / "alone")["processes"] == 1
    return given, folder / "alone"


def assert_close(output, alone):
    assert furthest(weights(output), weights(alone)) < CLOSE
    told, expected = log_rows(output), log_rows(alone)
    assert len(told) == len(expected) == 8  # four losses, four scores
    for row, other in zip(told, expected, strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() & {"loss", "contrastive", "energy"}:
            assert row[name] == pytest.approx(other[name], abs=CLOSE)


def test_two_processes_end_in_the_weights_and_losses_of_one(alone, tmp_path):
    given, expected = alone
    output = tmp_path / "two"
    for status, said in together(arguments(output, given), tmp_path):
        assert status == 0, said
    assert environment(output)["processes"] == 2
    assert_close(output, expected)


@pytest.mark.parametrize(
    "launcher",
    [
        ("torch.distributed.run", "--nproc-per-node", 2, "-m"),
        # Its --cpu would start one process where there is no MPI.
        ("accelerate.commands.launch", "--multi_gpu", "--num_processes", 2, "-m"),
    ],
    ids=["torchrun", "accelerate launch"],
)
def test_a_launcher_starts_two_processes_that_share_each_batch(launcher, alone, launch, tmp_path):
    given, expected = alone
    output = tmp_path / "launched"
    # All development pairs here, so the scores are others; the last step decides what is exported.
    given = given | {"eval_steps": 100}
    done = launch(*launcher, "simgpt", *arguments(output, given))
    said, _ = done.communicate(timeout=240)
    assert done.returncode == 0, said
    assert said.count("Trained model: ") == 1
    assert environment(output)["processes"] == 2
    status, said = simgpt(arguments(tmp_path / "alone", given), tmp_path)
    assert status == 0, said
    assert furthest(weights(output), weights(tmp_path / "alone")) < CLOSE


def test_a_run_that_torchrun_was_told_to_stop_goes_on_in_one_process(alone, launch, tmp_path):
    given, _ = alone
    given = given | {"epochs": 200, "eval_steps": 50}
    output = tmp_path / "stopped"
    running = launch(
        *("torch.distributed.run", "--nproc-per-node", 2, "-m", "simgpt"),
        *arguments(output, given),
    )
    log = output / "train_log.jsonl"
    wait_until(lambda: log.exists() and log.read_text(), limit_s=120)
    running.send_signal(signal.SIGTERM)
    said, _ = running.communicate(timeout=120)
    assert running.returncode != 0
    (step,) = {int(n) for n in checkpoint_steps(output) if n % 50} or {None}
    assert f"stopped after step {step} of 400; run the same command to go on" in said
    status, said = simgpt(
        arguments(output, given), tmp_path, partial(signal_in_step, signal.SIGTERM, step=step + 2)
    )
    assert status == 128 + signal.SIGTERM
    assert "was on 2 processes and goes on on 1" in said
    assert max(checkpoint_steps(output)) == step + 2


def test_a_run_stopped_on_two_processes_ends_on_one_as_if_it_had_been_there_all_along(
    alone, tmp_path
):
    given, expected = alone
    output = tmp_path / "run"
    prepare = partial(signal_in_step, signal.SIGTERM, step=3)
    for status, said in together(arguments(output, given), tmp_path, prepare):
        assert status == 128 + signal.SIGTERM, said
        assert "Traceback" not in said
    status, said = simgpt(arguments(output, given), tmp_path)
    assert status == 0, said
    assert "this run was on 2 processes and goes on on 1" in said
    (sitting,) = environment(output)["resumed"]
    assert (sitting["step"], sitting["processes"]) == (3, 1)
    assert_close(output, expected)


def test_masked_words_train_on_two_processes(alone, tmp_path):
    """Which words are hidden differs; how the losses add up is compared below."""
    given = alone[0] | {"mlm_weight": 0.1, "mlm_rate": 0.3}
    output = tmp_path / "two"
    for status, said in together(arguments(output, given), tmp_path):
        assert status == 0, said
    for row in log_rows(output):
        if "loss" in row:
            parts = row["contrastive"] + 5 * row["energy"]
            assert row["loss"] > parts  # those of the first process


def test_a_batch_that_the_processes_cannot_share_is_one_sentence(alone, tmp_path):
    given = alone[0] | {"batch_size": 7}
    (status, said), (_, other) = together(arguments(tmp_path / "run", given), tmp_path)
    assert status == 1
    assert sentence(said) == "batch_size is 7; it must be a multiple of the 2 processes"
    assert "Traceback" not in other


def test_a_second_group_is_refused_while_the_first_goes_on(alone, tmp_path):
    from filelock import FileLock

    given, _ = alone
    output = tmp_path / "run"
    output.mkdir()
    with FileLock(output / ".lock"):
        running = [Simgpt(arguments(output, given), tmp_path, None, rank) for rank in group(2)]
        status, said = running[0].wait()
        assert status == 1
        assert sentence(said) == f"{output}: another process is training this run"
        running[1].process.kill()  # as a launcher does when one of its processes fails
        running[1].process.join()


def hide_fixed_words(ids, maskable, **kwargs):
    """Every other word, whichever process asks."""
    chosen = maskable & (ids % 2 == 0)
    return torch.where(chosen, 4, ids), torch.where(chosen, ids, IGNORED)


def share_of_a_step(given, folder, mini_batch_size):
    """Loss and gradients of a process's share of a batch, words hidden by a rule."""
    torch.manual_seed(0)
    model_module.mask_tokens = hide_fixed_words
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    model = build_model(given(mini_batch_size=mini_batch_size))
    wrapped = model
    if world > 1:
        dist.init_process_group("gloo")
        wrapped = DistributedDataParallel(model)
    columns = {name: rows.chunk(3) for name, rows in batch(model, folder).items()}
    share = {n: torch.cat([c.chunk(world)[rank] for c in cs]) for n, cs in columns.items()}
    outputs = wrapped(**share)
    outputs["loss"].backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    loss = outputs["loss"].detach().clone()
    if world > 1:
        dist.all_reduce(loss)
        dist.barrier()
        dist.destroy_process_group()
    return {"loss": loss / world, **gradients}


def test_four_processes_of_two_triplets_equal_one_of_eight_in_small_passes(backbone, folder):
    """Words are hidden by a rule here: the share of masked words differs between processes."""
    more = {"mlm_weight": 0.1, "energy_weight": 5, "hard_negative_weight": 0.8}
    given = partial(config, folder, backbone=backbone, **more)
    whole = batch(build_model(given()), folder)
    hidden = hide_fixed_words(whole["input_ids"], whole["attention_mask"].bool())[1] != IGNORED
    counts = [sum(int(rows.chunk(4)[rank].sum()) for rows in hidden.chunk(3)) for rank in range(4)]
    assert len(set(counts)) > 1
    (expected,) = call(partial(share_of_a_step, given, folder, 0), folder)
    (cached,) = call(partial(share_of_a_step, given, folder, 3), folder)
    scale = max(tensor.abs().max().item() for tensor in expected.values())
    for found in (cached, *call(partial(share_of_a_step, given, folder, 1), folder, group(4))):
        assert furthest(found, expected) < CLOSE * max(1.0, scale)
